/* gate.c: the rules of gate.h. Every table has a fixed size; addresses and Call-IDs are hashed with a secret key, so that
 * nobody can choose what meets whom. */
#include "gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define NETWORKS 1024
#define SCANNERS 64
#define SCANNER_LENGTH 48
#define WAYS 8
#define SOURCE_SETS 2048
#define CALL_SETS 4096
#define REPORTS 64
#define AGENT_LENGTH 48
#define REPORT_MS 10000
/* RFC 3261, section 17: no transaction lives longer than 64 * T1 = 32 s */
#define NOTE_MS 64000
#define PROVED_MS 3600000
/* of a message: how far its headers are looked at */
#define GLANCE 16384

struct network {
    uint8_t address[16];
    int bits;
};

struct bucket {
    uint64_t filled; /* when */
    int64_t level;   /* in thousandths of a message */
};

struct source {
    uint8_t address[16];
    uint64_t seen;
    uint64_t proved_until;
    uint64_t blocked_until;
    uint64_t failing_since;
    uint64_t reported;
    struct bucket bucket;
    uint32_t failures;
    uint32_t offences; /* since the last report */
};

struct call {
    uint64_t hash;
    uint64_t until;
    uint32_t pins;
};

struct report {
    enum gate_cause cause;
    uint32_t count;
    uint8_t address[16];
    int port;
    char agent[AGENT_LENGTH + 1];
};

struct glance {
    int response;
    const char *method, *call_id, *agent;
    size_t method_length, call_id_length, agent_length;
};

static struct {
    struct network networks[NETWORKS];
    int network_count;
    char scanners[SCANNERS][SCANNER_LENGTH];
    int scanner_count;
    int answer, open_plain, open_tls;
    int source_rate, all_rate, known_rate, call_rate;
    struct bucket all, calls;
    uint32_t most_failures;
    uint64_t block_ms;
    int draining, full, retry_after;
    struct source sources[SOURCE_SETS][WAYS];
    struct call dialogs[CALL_SETS][WAYS];
    struct report reports[REPORTS];
    unsigned first_report, report_count;
    unsigned long counts[GATE_CAUSES];
    uint64_t key[2];
    int keyed;
} gate;

static const char *const causes[GATE_CAUSES] = {"stranger",   "scanner",  "malformed", "flood", "blocked", "unasked",
                                                "connection", "draining", "full",      "rate",  "busy"};

/* Hashing: SipHash-2-4 (Aumasson and Bernstein, 2012). */

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                                                                                                       \
    do {                                                                                                               \
        a += b, b = ROTATE(b, 13) ^ a, a = ROTATE(a, 32);                                                              \
        c += d, d = ROTATE(d, 16) ^ c;                                                                                 \
        a += d, d = ROTATE(d, 21) ^ a;                                                                                 \
        c += b, b = ROTATE(b, 17) ^ c, c = ROTATE(c, 32);                                                              \
    } while (0)

static uint64_t hash_of(const void *data, size_t length)
{
    const uint8_t *bytes = data;
    if (!gate.keyed) {
        if (getrandom(gate.key, sizeof gate.key, 0) != sizeof gate.key)
            abort(); /* a key that can be guessed is none */
        gate.keyed = 1;
    }
    uint64_t a = gate.key[0] ^ 0x736f6d6570736575u, b = gate.key[1] ^ 0x646f72616e646f6du;
    uint64_t c = gate.key[0] ^ 0x6c7967656e657261u, d = gate.key[1] ^ 0x7465646279746573u;
    uint64_t last = (uint64_t)length << 56;
    size_t whole = length / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * i, 8);
        d ^= word;
        SIPROUND;
        SIPROUND;
        a ^= word;
    }
    for (size_t i = 8 * whole; i < length; i++)
        last |= (uint64_t)bytes[i] << (8 * (i % 8));
    d ^= last;
    SIPROUND;
    SIPROUND;
    a ^= last;
    c ^= 0xff;
    for (int i = 0; i < 4; i++)
        SIPROUND;
    return a ^ b ^ c ^ d;
}

/* Addresses: 16 bytes, IPv4 as mapped IPv6. */

static void map(uint8_t address[16], const void *four)
{
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, four, 4);
}

static int is_mapped(const uint8_t address[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(address, prefix, sizeof prefix) == 0;
}

static int read_address(const struct sockaddr *from, uint8_t address[16], int *port)
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        map(address, &in->sin_addr);
        *port = ntohs(in->sin_port);
        return 1;
    }
    if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)from;
        memcpy(address, &in->sin6_addr, 16);
        *port = ntohs(in->sin6_port);
        return 1;
    }
    return 0;
}

static int parse_address(const char *text, uint8_t address[16])
{
    struct in_addr four;
    if (inet_pton(AF_INET, text, &four) == 1) {
        map(address, &four);
        return 1;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

static int within(const uint8_t address[16], const struct network *network)
{
    int bytes = network->bits / 8, rest = network->bits % 8;
    if (memcmp(address, network->address, bytes) != 0)
        return 0;
    return rest == 0 || ((address[bytes] ^ network->address[bytes]) >> (8 - rest)) == 0;
}

static int is_peer(const uint8_t address[16])
{
    for (int i = 0; i < gate.network_count; i++)
        if (within(address, &gate.networks[i]))
            return 1;
    return 0;
}

/* Sources: an IPv6 host has a /64 to choose its address from, which is why those are one source. */

static struct source *source_of(const uint8_t address[16], uint64_t now)
{
    uint8_t key[16];
    memcpy(key, address, 16);
    if (!is_mapped(key))
        memset(key + 8, 0, 8);
    struct source *set = gate.sources[hash_of(key, sizeof key) % SOURCE_SETS], *chosen = set;
    for (int i = 0; i < WAYS; i++) {
        if (memcmp(set[i].address, key, sizeof key) == 0 && set[i].seen) {
            set[i].seen = now + 1;
            return &set[i];
        }
        /* a flood of made-up addresses pushes out neither who has proved itself nor, while there is another, who is
         * blocked */
        int worth = (set[i].proved_until > now) * 2 + (set[i].blocked_until > now);
        int least = (chosen->proved_until > now) * 2 + (chosen->blocked_until > now);
        if (worth < least || (worth == least && set[i].seen < chosen->seen))
            chosen = &set[i];
    }
    memset(chosen, 0, sizeof *chosen);
    memcpy(chosen->address, key, sizeof key);
    chosen->seen = now + 1;
    return chosen;
}

static int take(struct bucket *bucket, int rate, uint64_t now)
{
    int64_t most = (int64_t)rate * 1000 * 2; /* two seconds' worth at once */
    if (bucket->filled == 0)
        bucket->level = most;
    else if (now > bucket->filled + 2000)
        bucket->level = most;
    else if (now > bucket->filled)
        bucket->level += (int64_t)(now - bucket->filled) * rate;
    if (bucket->level > most)
        bucket->level = most;
    bucket->filled = now ? now : 1;
    if (bucket->level < 1000)
        return 0;
    bucket->level -= 1000;
    return 1;
}

/* Dialogs. */

static struct call *call_of(const char *call_id, size_t length, int make)
{
    uint64_t hash = hash_of(call_id, length);
    struct call *set = gate.dialogs[hash % CALL_SETS], *oldest = NULL;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].hash == hash && (set[i].pins || set[i].until))
            return &set[i];
        if (set[i].pins == 0 && (!oldest || set[i].until < oldest->until))
            oldest = &set[i];
    }
    if (!make || !oldest)
        return NULL;
    *oldest = (struct call){.hash = hash};
    return oldest;
}

int gate_holds(const char *call_id, size_t length)
{
    const struct call *call = length ? call_of(call_id, length, 0) : NULL;
    return call && call->pins;
}

static int is_noted(const char *call_id, size_t length, uint64_t now)
{
    const struct call *call = length ? call_of(call_id, length, 0) : NULL;
    return call && (call->pins || call->until > now);
}

/* Messages: their first line, Call-ID and User-Agent, without a look at the rest. */

static int is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

static size_t line_length(const char *text, const char *end)
{
    const char *feed = memchr(text, '\n', (size_t)(end - text));
    return feed ? (size_t)(feed - text) : (size_t)(end - text);
}

static void trim(const char **text, size_t *length)
{
    while (*length && strchr(" \t\r", (*text)[*length - 1]))
        --*length;
    while (*length && strchr(" \t\r", **text)) {
        ++*text;
        --*length;
    }
}

static int first_line(const char *line, size_t length, struct glance *found)
{
    static const char version[] = "SIP/2.0";
    const size_t size = sizeof version - 1;
    trim(&line, &length);
    if (length > size && strncasecmp(line, version, size) == 0 && line[size] == ' ') {
        found->response = 1;
        return 1;
    }
    const char *space = memchr(line, ' ', length);
    if (!space || space == line || length < size + 4 || strncasecmp(line + length - size, version, size) != 0)
        return 0;
    found->method = line;
    found->method_length = (size_t)(space - line);
    return 1;
}

static int look(const char *message, size_t length, struct glance *found)
{
    const char *end = message + (length < GLANCE ? length : GLANCE), *line = message;
    memset(found, 0, sizeof *found);
    for (int first = 1; line < end; first = 0) {
        size_t size = line_length(line, end);
        const char *text = line, *colon;
        line += size + 1;
        if (first) {
            if (!first_line(text, size, found))
                return 0;
            continue;
        }
        if (size == 0 || (size == 1 && *text == '\r'))
            break;
        if (!(colon = memchr(text, ':', size)))
            continue;
        const char *name = text, *value = colon + 1;
        size_t name_length = (size_t)(colon - text), value_length = size - name_length - 1;
        trim(&name, &name_length);
        trim(&value, &value_length);
        if (!found->call_id && (is(name, name_length, "call-id") || is(name, name_length, "i"))) {
            found->call_id = value;
            found->call_id_length = value_length;
        } else if (!found->agent && is(name, name_length, "user-agent")) {
            found->agent = value;
            found->agent_length = value_length;
        }
    }
    return found->call_id_length > 0;
}

static int is_scanner(const struct glance *found)
{
    for (int i = 0; i < gate.scanner_count; i++) {
        size_t length = strlen(gate.scanners[i]);
        if (found->agent_length >= length && strncasecmp(found->agent, gate.scanners[i], length) == 0)
            return 1;
    }
    return 0;
}

/* Reports. */

static void offend(struct source *source, const uint8_t address[16], int port, enum gate_cause cause,
                   const struct glance *found, uint64_t now)
{
    gate.counts[cause]++;
    source->offences++;
    if ((source->reported && now < source->reported + REPORT_MS) || gate.report_count == REPORTS)
        return;
    struct report *report = &gate.reports[(gate.first_report + gate.report_count++) % REPORTS];
    *report = (struct report){.cause = cause, .count = source->offences, .port = port};
    memcpy(report->address, address, 16);
    for (size_t i = 0; found && i < found->agent_length && i < AGENT_LENGTH; i++) {
        /* nothing that could pass for another field of a log line */
        char mark = found->agent[i];
        int plain = (mark >= 'a' && mark <= 'z') || (mark >= 'A' && mark <= 'Z') || (mark >= '0' && mark <= '9');
        report->agent[i] = plain || (mark && strchr("-._/", mark)) ? mark : '_';
    }
    source->reported = now + 1;
    source->offences = 0;
}

const char *gate_next_report(void)
{
    static char text[160];
    char address[INET6_ADDRSTRLEN];
    if (gate.report_count == 0)
        return "";
    const struct report *report = &gate.reports[gate.first_report];
    gate.first_report = (gate.first_report + 1) % REPORTS;
    gate.report_count--;
    int mapped = is_mapped(report->address);
    inet_ntop(mapped ? AF_INET : AF_INET6, report->address + (mapped ? 12 : 0), address, sizeof address);
    snprintf(text, sizeof text, mapped ? "%s %u %s:%d %s" : "%s %u [%s]:%d %s", causes[report->cause], report->count,
             address, report->port, report->agent);
    return text;
}

/* Judgements. */

enum gate_verdict gate_judge(const struct sockaddr *from, enum gate_transport transport, const char *message,
                             size_t length, uint64_t now)
{
    uint8_t address[16];
    int port;
    if (!read_address(from, address, &port))
        return GATE_ADMIT; /* no address of the network's: the stack's own loop */
    struct source *source = source_of(address, now);
    int peer = is_peer(address), known = peer || source->proved_until > now;
    struct glance found;
    int readable = look(message, length, &found);
    int pinned = readable && gate_holds(found.call_id, found.call_id_length);
    if (pinned)
        return take(&source->bucket, gate.known_rate, now)
                   ? GATE_ADMIT
                   : (offend(source, address, port, GATE_FLOOD, &found, now), GATE_DROP);
#define DROP(cause) return offend(source, address, port, cause, &found, now), GATE_DROP
    int follows = readable && (found.response || is(found.method, found.method_length, "ACK") ||
                               is(found.method, found.method_length, "CANCEL") || is(found.method, found.method_length, "BYE"));
    int noted = follows && is_noted(found.call_id, found.call_id_length, now);
    if (source->blocked_until > now && !noted) /* an ACK ends the retransmissions of our refusal */
        DROP(GATE_BLOCKED);
    if (!take(&source->bucket, known ? gate.known_rate : gate.source_rate, now))
        DROP(GATE_FLOOD);
    if (is_scanner(&found))
        DROP(GATE_SCANNER);
    if (known)
        return GATE_ADMIT;
    if (!readable)
        DROP(GATE_MALFORMED);
    if (!take(&gate.all, gate.all_rate, now))
        DROP(GATE_FLOOD);
    if (noted)
        return GATE_ADMIT_UNPROVEN;
    if (follows)
        DROP(GATE_UNASKED);
    int open = transport == GATE_TLS ? gate.open_tls : gate.open_plain;
    if (open && is(found.method, found.method_length, "INVITE"))
        return GATE_ADMIT_UNPROVEN;
    offend(source, address, port, GATE_STRANGER, &found, now);
    return gate.answer && transport == GATE_UDP ? GATE_ANSWER : GATE_DROP;
#undef DROP
}

int gate_judge_connection(const struct sockaddr *from, uint64_t now)
{
    uint8_t address[16];
    int port;
    if (!read_address(from, address, &port))
        return 1;
    struct source *source = source_of(address, now);
    int known = is_peer(address) || source->proved_until > now;
    enum gate_cause cause;
    if (source->blocked_until > now)
        cause = GATE_BLOCKED;
    else if (!known && !gate.open_plain && !gate.open_tls)
        cause = GATE_CONNECTION;
    else if (!take(&source->bucket, known ? gate.known_rate : gate.source_rate, now) ||
             (!known && !take(&gate.all, gate.all_rate, now)))
        cause = GATE_FLOOD;
    else
        return 1;
    offend(source, address, port, cause, NULL, now);
    return 0;
}

void gate_malformed(const struct sockaddr *from, uint64_t now)
{
    uint8_t address[16];
    int port;
    if (read_address(from, address, &port))
        offend(source_of(address, now), address, port, GATE_MALFORMED, NULL, now);
}

void gate_note(const struct sockaddr *to, const char *call_id, size_t length, uint64_t now)
{
    uint8_t address[16];
    int port;
    if (!read_address(to, address, &port) || is_peer(address))
        return;
    struct call *call = call_of(call_id, length, 1);
    if (call)
        call->until = now + NOTE_MS;
}

int gate_sheds(int waiting, uint64_t now)
{
    int cause = gate.draining                           ? GATE_DRAINING
                : gate.full                             ? GATE_FULL
                : waiting                               ? GATE_BUSY
                : !take(&gate.calls, gate.call_rate, now) ? GATE_RATE
                                                        : -1;
    if (cause < 0)
        return 0;
    gate.counts[cause]++;
    return 1;
}

int gate_is_draining(void)
{
    return gate.draining;
}

int gate_retry_after(void)
{
    return gate.retry_after;
}

/* What Python says and asks. */

void gate_reset(void)
{
    memset(&gate, 0, sizeof gate);
    gate.source_rate = gate.all_rate = gate.known_rate = gate.call_rate = 1000000;
}

int gate_add_network(const char *address, int bits)
{
    struct network *network = &gate.networks[gate.network_count];
    if (gate.network_count == NETWORKS || !parse_address(address, network->address))
        return 0;
    network->bits = bits + (strchr(address, ':') ? 0 : 96);
    if (bits < 0 || network->bits > 128)
        return 0;
    gate.network_count++;
    return 1;
}

void gate_clear_networks(void)
{
    gate.network_count = 0;
}

int gate_add_scanner(const char *beginning)
{
    if (gate.scanner_count == SCANNERS || !*beginning || strlen(beginning) >= SCANNER_LENGTH)
        return 0;
    strcpy(gate.scanners[gate.scanner_count++], beginning);
    return 1;
}

void gate_set_strangers(int answer, int open_plain, int open_tls)
{
    gate.answer = answer;
    gate.open_plain = open_plain;
    gate.open_tls = open_tls;
}

void gate_set_rates(int source, int all, int known, int calls)
{
    gate.source_rate = source;
    gate.all_rate = all;
    gate.known_rate = known;
    gate.call_rate = calls;
}

void gate_set_logins(int most, int seconds)
{
    gate.most_failures = (uint32_t)most;
    gate.block_ms = (uint64_t)seconds * 1000;
}

void gate_set_load(int draining, int full, int retry_after)
{
    gate.draining = draining;
    gate.full = full;
    gate.retry_after = retry_after;
}

void gate_pin(const char *call_id)
{
    struct call *call = call_of(call_id, strlen(call_id), 1);
    if (call)
        call->pins++;
}

void gate_unpin(const char *call_id)
{
    struct call *call = call_of(call_id, strlen(call_id), 0);
    if (!call || call->pins == 0)
        return;
    call->pins--;
    call->until = gate_now() + NOTE_MS; /* for what is sent again */
}

static struct source *source_named(const char *text, uint64_t now)
{
    char host[INET6_ADDRSTRLEN + 1];
    uint8_t address[16];
    const char *begin = *text == '[' ? text + 1 : text, *end = strchr(begin, *text == '[' ? ']' : ':');
    size_t length = end ? (size_t)(end - begin) : strlen(begin);
    if (length >= sizeof host)
        return NULL;
    memcpy(host, begin, length);
    host[length] = 0;
    return parse_address(host, address) ? source_of(address, now) : NULL;
}

void gate_proved(const char *text)
{
    uint64_t now = gate_now();
    struct source *source = source_named(text, now);
    if (source) {
        source->proved_until = now + PROVED_MS;
        source->failures = 0;
    }
}

void gate_failed(const char *text)
{
    uint64_t now = gate_now();
    struct source *source = source_named(text, now);
    if (!source || gate.most_failures == 0)
        return;
    if (source->failures == 0 || now > source->failing_since + gate.block_ms) {
        source->failing_since = now;
        source->failures = 0;
    }
    if (++source->failures >= gate.most_failures) {
        source->blocked_until = now + gate.block_ms;
        source->proved_until = 0;
        source->failures = 0;
    }
}

const char *gate_cause(int number)
{
    return number >= 0 && number < GATE_CAUSES ? causes[number] : "";
}

unsigned long gate_count(int number)
{
    return number >= 0 && number < GATE_CAUSES ? gate.counts[number] : 0;
}

uint64_t gate_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
