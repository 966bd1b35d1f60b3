/* gate_module.h: what sip_transport.c and activesock.c ask the gate. */
#ifndef GATE_MODULE_H
#define GATE_MODULE_H
#include <pj/activesock.h>
#include <pjsip/sip_transport.h>

/* Tells whether a message may be parsed. */
pj_bool_t gate_lets_in(pjsip_rx_data *rdata, const char *message, pj_size_t length);

/* Tells whether a message that did not parse is dropped without a word: it came from nobody known. */
pj_bool_t gate_drops_malformed(pjsip_rx_data *rdata);

/* In activesock.c: tells whether a connection is kept, NULL for all. */
extern pj_bool_t (*pj_activesock_filter)(const pj_sockaddr *from);
#endif
