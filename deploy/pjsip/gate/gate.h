/* gate.h: who may talk to the SIP stack, judged by a message's source and by a glance at its bytes, before it is parsed.
 *
 * One gate a process, used by one thread. gate.c holds the rules, without I/O and with the time as an argument;
 * gate_module.c puts them into pjsip. What stands outside of #ifndef SWIG is what Python gets, as functions of pjsua2.
 *
 * Sources are known (in a network of a peer, or proved a short while ago by credentials or certificate), unproven (any
 * other address, where a peer may call from anywhere) or strangers (any other address, where none may).
 */
#ifndef GATE_H
#define GATE_H

/* Forgets everything and lets everything in, as before the first call of gate_start(). */
void gate_reset(void);

/* Adds a network of a peer, an address of either family and its prefix length; returns 0 when it is none or there are
 * too many. gate_clear_networks() takes all away. */
int gate_add_network(const char *address, int bits);
void gate_clear_networks(void);

/* Adds what the User-Agent of a scanner begins with, in any case; returns 0 when it is empty, too long, or one too many. */
int gate_add_scanner(const char *beginning);

/* What becomes of strangers' requests: dropped, or answered with 403 over UDP. And from where peers without networks
 * may call: over any transport, or over TLS alone (by certificate). */
void gate_set_strangers(int answer, int open_plain, int open_tls);

/* Messages a second, and at once: of each source that is not known, of all of those together, of each known source; and
 * new calls of all sources together. */
void gate_set_rates(int source, int all, int known, int calls);

/* Wrong credentials within so many seconds after which a source is dropped for so many seconds; 0 for never. */
void gate_set_logins(int most, int seconds);

/* New calls get 503 with Retry-After, where draining OPTIONS, too. */
void gate_set_load(int draining, int full, int retry_after);

/* A dialog begins or ends: as long as it lives, messages with its Call-ID are let in wherever they come from. */
void gate_pin(const char *call_id);
void gate_unpin(const char *call_id);

/* A source, as ADDRESS:PORT or [ADDRESS]:PORT, has shown who it is, or has shown wrong credentials. */
void gate_proved(const char *source);
void gate_failed(const char *source);

/* Names of what is counted, empty beyond the last, and how often it was since the start. */
const char *gate_cause(int number);
unsigned long gate_count(int number);

/* The next report of an offence, as "CAUSE COUNT ADDRESS:PORT USER-AGENT", empty when there is none. A source is reported
 * at once, then at most every ten seconds, with how many messages of its were dropped since. */
const char *gate_next_report(void);

/* Puts the gate into the stack that libInit() has made; returns 0 when that fails. */
int gate_start(void);

#ifndef SWIG
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum gate_transport { GATE_UDP, GATE_TCP, GATE_TLS };
enum gate_verdict { GATE_DROP, GATE_ANSWER, GATE_ADMIT, GATE_ADMIT_UNPROVEN };
enum gate_cause {
    GATE_STRANGER,   /* a request of a stranger */
    GATE_SCANNER,    /* its User-Agent is a scanner's */
    GATE_MALFORMED,  /* not SIP, and not from a known source */
    GATE_FLOOD,      /* more than the source, or all that are not known, may send */
    GATE_BLOCKED,    /* wrong credentials too often */
    GATE_UNASKED,    /* a response, ACK, CANCEL or BYE to nothing that we know of */
    GATE_CONNECTION, /* a connection of a stranger */
    GATE_DRAINING,   /* 503: we are about to stop */
    GATE_FULL,       /* 503: as many calls as we take */
    GATE_RATE,       /* 503: more new calls a second than we take */
    GATE_BUSY,       /* 503: messages wait so long that they will soon be lost */
    GATE_CAUSES
};

/* Judges a message before it is parsed. now is in milliseconds, on a clock that does not go back, here and below. */
enum gate_verdict gate_judge(
    const struct sockaddr *from, enum gate_transport transport, const char *message, size_t length, uint64_t now);

/* Judges a connection; returns whether it is kept. */
int gate_judge_connection(const struct sockaddr *from, uint64_t now);

/* A message goes out to an address: what comes back is let in for a minute, even from where nobody is known. */
void gate_note(const struct sockaddr *to, const char *call_id, size_t length, uint64_t now);

/* Whether a dialog with that Call-ID lives. */
int gate_holds(const char *call_id, size_t length);

/* Whether a new call is taken; else why not, as a cause, which is counted. waiting: see GATE_BUSY. */
int gate_sheds(int waiting, uint64_t now);
int gate_is_draining(void);
int gate_retry_after(void);

/* An unproven source sent what does not parse. */
void gate_malformed(const struct sockaddr *from, uint64_t now);

/* Milliseconds on the clock that the gate goes by. */
uint64_t gate_now(void);
#endif
#endif
