/* transport/links/strangers.h — connections to a ROUTER of which nobody knows yet whose they are: how many there may be, and how much they may
 * send. libzmq keeps whatever comes until it is a whole message, of any number of parts, and counts none of it.
 *
 * A descriptor is libzmq's; here it is only asked how many bytes the kernel took in, and shut down, which libzmq takes for the other
 * end's going. Before that it is compared with whom it was connected to, because libzmq may have closed it and opened another. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#define STRANGERS_MOST 256
#define STRANGER_BYTES (64u << 10) /* a handshake and a greeting are less than 4 KiB */

struct strangers {
    int n;
    struct stranger {
        int fd;
        struct sockaddr_storage from;
    } at[STRANGERS_MOST]; /* the oldest first */
};

void strangers_came(struct strangers *s, int fd); /* who has been silent for longest goes if there are too many, of the address that has most */
void strangers_known(struct strangers *s, int fd); /* or gone: no stranger any more */

/* Ends those that sent more than they may. */
void strangers_look(struct strangers *s, uint64_t most);
