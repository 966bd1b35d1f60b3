/* gate_fuzz.c: judges what comes on standard input, each message as its length (4 bytes, this machine's order) and its
 * bytes, in a buffer of just that size, so that a sanitizer sees every byte read beyond it. Prints how many it judged. */
#include "gate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    uint32_t length, judged = 0;
    gate_reset();
    gate_add_network("192.0.2.0", 24);
    gate_add_scanner("friendly-scanner");
    gate_set_strangers(1, 1, 1);
    while (fread(&length, sizeof length, 1, stdin) == 1) {
        char *message = malloc(length ? length : 1);
        if (fread(message, 1, length, stdin) != length)
            return 1;
        from.sin_addr.s_addr = htonl(judged % 2 ? 0xc0000207 : 0xcb007100 + judged % 200);
        gate_judge((struct sockaddr *)&from, judged % 3, message, length, judged);
        if (judged % 5 == 0)
            gate_note((struct sockaddr *)&from, message, length, judged);
        while (*gate_next_report())
            ;
        free(message);
        judged++;
    }
    printf("%u\n", judged);
    return 0;
}
