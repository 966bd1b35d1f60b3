/* gate_module.c: the gate in pjsip. sip_transport.c asks gate_lets_in() before it parses a message, activesock.c asks
 * keeps() before it takes a connection, and a module before the transaction layer answers what is refused without a
 * transaction. Before gate_start() all is let in: the test caller of the same build has no gate. */
#include "gate.h"
#include "gate_module.h"

#include <linux/sock_diag.h>
#include <pjsip.h>
#include <pjsua-lib/pjsua.h>
#include <sys/socket.h>

#define ADMITTED ((void *)1)
#define UNPROVEN ((void *)2)
#define STRANGER ((void *)3)

static pj_bool_t on_rx_request(pjsip_rx_data *rdata);
static pj_status_t on_tx(pjsip_tx_data *tdata);

static pjsip_module module = {
    .name = {"mod-gate", 8},
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_TSX_LAYER - 1,
    .on_rx_request = &on_rx_request,
    .on_tx_request = &on_tx,
    .on_tx_response = &on_tx,
};

static int refusing; /* what is sent is a refusal of our own: nothing shall come back */

static enum gate_transport kind(const pjsip_transport *transport)
{
    if (transport->flag & PJSIP_TRANSPORT_DATAGRAM)
        return GATE_UDP;
    return transport->flag & PJSIP_TRANSPORT_SECURE ? GATE_TLS : GATE_TCP;
}

pj_bool_t gate_lets_in(pjsip_rx_data *rdata, const char *message, pj_size_t length)
{
    if (module.id < 0)
        return PJ_TRUE;
    const struct sockaddr *from = (const struct sockaddr *)&rdata->pkt_info.src_addr;
    switch (gate_judge(from, kind(rdata->tp_info.transport), message, length, gate_now())) {
    case GATE_DROP:
        if (kind(rdata->tp_info.transport) != GATE_UDP)
            pjsip_transport_shutdown(rdata->tp_info.transport);
        return PJ_FALSE;
    case GATE_ANSWER:
        rdata->endpt_info.mod_data[module.id] = STRANGER;
        return PJ_TRUE;
    case GATE_ADMIT_UNPROVEN:
        rdata->endpt_info.mod_data[module.id] = UNPROVEN;
        return PJ_TRUE;
    default:
        rdata->endpt_info.mod_data[module.id] = ADMITTED;
        return PJ_TRUE;
    }
}

pj_bool_t gate_drops_malformed(pjsip_rx_data *rdata)
{
    if (module.id < 0 || rdata->endpt_info.mod_data[module.id] == ADMITTED)
        return PJ_FALSE;
    gate_malformed((const struct sockaddr *)&rdata->pkt_info.src_addr, gate_now());
    return PJ_TRUE;
}

static pj_bool_t keeps(const pj_sockaddr *from)
{
    return gate_judge_connection((const struct sockaddr *)from, gate_now());
}

/* Whether three quarters of what the socket can hold is waiting: soon messages are lost, and then sent again. */
static int waiting(pjsip_transport *transport)
{
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t size = sizeof memory;
    if (kind(transport) != GATE_UDP)
        return 0;
    int descriptor = (int)pjsip_udp_transport_get_socket(transport);
    if (getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, memory, &size) != 0 || size < sizeof memory)
        return 0;
    return memory[SK_MEMINFO_RMEM_ALLOC] > memory[SK_MEMINFO_RCVBUF] / 4 * 3;
}

/* Whether a transaction has the request already: what is sent again gets the answer that it got. */
static int is_repeated(pjsip_rx_data *rdata)
{
    pj_str_t key;
    if (pjsip_tsx_create_key(rdata->tp_info.pool, &key, PJSIP_ROLE_UAS, &rdata->msg_info.msg->line.req.method, rdata) !=
        PJ_SUCCESS)
        return 0;
    return pjsip_tsx_layer_find_tsx(&key, PJ_FALSE) != NULL;
}

static pj_bool_t refuse(pjsip_rx_data *rdata, int code)
{
    pjsip_hdr lines;
    pj_list_init(&lines);
    if (code == 503)
        pj_list_push_back(&lines, pjsip_retry_after_hdr_create(rdata->tp_info.pool, gate_retry_after()));
    refusing = 1;
    pjsip_endpt_respond_stateless(pjsua_get_pjsip_endpt(), rdata, code, NULL, &lines, NULL);
    refusing = 0;
    return PJ_TRUE;
}

static pj_bool_t on_rx_request(pjsip_rx_data *rdata)
{
    const pjsip_msg *msg = rdata->msg_info.msg;
    const pjsip_method *method = &msg->line.req.method;
    if (rdata->endpt_info.mod_data[module.id] == STRANGER)
        return method->id == PJSIP_ACK_METHOD ? PJ_TRUE : refuse(rdata, 403);
    if (rdata->msg_info.to->tag.slen)
        return PJ_FALSE;
    if (method->id == PJSIP_OPTIONS_METHOD)
        return gate_is_draining() ? refuse(rdata, 503) : PJ_FALSE;
    if (method->id != PJSIP_INVITE_METHOD || gate_holds(rdata->msg_info.cid->id.ptr, rdata->msg_info.cid->id.slen) ||
        is_repeated(rdata))
        return PJ_FALSE;
    return gate_sheds(waiting(rdata->tp_info.transport), gate_now()) ? refuse(rdata, 503) : PJ_FALSE;
}

static pj_status_t on_tx(pjsip_tx_data *tdata)
{
    const pjsip_cid_hdr *cid = pjsip_msg_find_hdr(tdata->msg, PJSIP_H_CALL_ID, NULL);
    if (cid && !refusing && tdata->tp_info.dst_addr_len)
        gate_note((const struct sockaddr *)&tdata->tp_info.dst_addr, cid->id.ptr, cid->id.slen, gate_now());
    return PJ_SUCCESS;
}

int gate_start(void)
{
    if (module.id >= 0)
        return 1;
    if (pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &module) != PJ_SUCCESS)
        return 0;
    pj_activesock_filter = &keeps;
    return 1;
}
