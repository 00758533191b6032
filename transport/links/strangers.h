/* transport/links/strangers.h — connections to a ROUTER of which nobody knows yet whose they are: how many there may be, how much they may
 * send, and for how long they may say nothing. Also whether a connection is there still, and was told why it is not served.
 *
 * libzmq keeps whatever comes until it is a whole message, of any number of parts, and counts none of it. A descriptor is libzmq's; here it is
 * only asked how many bytes the kernel took in, and shut down, which libzmq takes for the other end's going. Before that it is compared with
 * whom it was connected to, because libzmq may have closed it and opened another. Who sends nothing costs nothing: the kernel says who did. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define STRANGERS_MOST 256
#define STRANGER_BYTES (64u << 10) /* a handshake and a greeting are less than 4 KiB */
#define STRANGER_SILENT_NS 60000000000ull /* who means to be heard speaks as soon as it is let in */
#define STRANGERS_FDS 1024 /* of higher ones nobody remembers whether they were refused */
#define STRANGERS_LOOK_NS 2000000ull /* between two looks while something comes */

struct strangers {
    int n, epoll; /* epoll: readable when one of them has sent something since the last look; -1: there are none, ever */
    uint64_t again_ns; /* not to be looked at before */
    uint64_t most;     /* as the last look had it */
    struct stranger {
        int fd;
        uint64_t came_ns; /* 0: it has said something that a node may say */
        struct sockaddr_storage from;
    } at[STRANGERS_MOST]; /* the oldest first */
    enum { FD_CLOSED, FD_OPEN, FD_REFUSED } fd[STRANGERS_FDS]; /* as far as was told here */
};

int strangers_begin(struct strangers *s, struct err *why);
void strangers_end(struct strangers *s);

/* Whoever has been here for longest goes if there are too many, of the address that has most. */
void strangers_came(struct strangers *s, int fd, uint64_t now);
void strangers_spoke(struct strangers *s, int fd); /* it may stay, and send no more than before */
void strangers_known(struct strangers *s, int fd); /* no stranger any more */
void strangers_left(struct strangers *s, int fd);
bool strangers_connected(const struct strangers *s, int fd); /* it has not left; also of a descriptor that is not known, as -1 */

/* Who was told why it is not served is told once: who reads nothing shall not be told without end. */
void strangers_tell(struct strangers *s, int fd);
bool strangers_told(const struct strangers *s, int fd);

/* Ends those that sent more than they may, and those that were silent for too long. */
void strangers_look(struct strangers *s, uint64_t most, uint64_t now);

/* `until`, or sooner if they are to be looked at before; and a descriptor that is readable if that is to be at once, or -1. */
uint64_t strangers_wait(const struct strangers *s, uint64_t now, uint64_t until, int *fd);
