/* transport/links/tunnel.h — workers that nobody can connect to: they connect, and what would come to their port comes by that.
 *
 *   coordinator's DEALER ──► [tunnel_open's port, loopback] ═══ a connection that the worker made ═══► the worker's own port, loopback
 *
 * Bytes alone pass here: handshake, keys and frames are those of any other connection, between the same two ends. The worker always has
 * one connection ready, by which nothing has come; with the first byte it is taken, and another one made. What connects and says nothing,
 * as knock.h does, takes none.
 * Threads: each open tunnel is one thread's; what it has joined is moved by threads of their own until either side ends. */
#pragma once

#include "base/error.h"
#include "transport/wire/wire.h"

struct tunnel {
    int fd;        /* listens on loopback */
    int ready;     /* made by the worker; -1: none is */
    int caller[4]; /* said nothing so far; -1: none */
    char address[WIRE_TEXT]; /* where to call */
};

int  tunnel_open(struct tunnel *t, struct err *why);
void tunnel_close(struct tunnel *t);
void tunnel_ready(struct tunnel *t, int fd); /* the newest is as good as any; takes it */
void tunnel_look(struct tunnel *t);          /* never waits */

/* Of such a connection: waits, sends at once, and stays known to boxes in between while nothing is said. */
void tunnel_usual(int fd);

/* What comes by either of two connections goes out by the other, until both have ended. Takes both, also where it fails. */
int tunnel_join(int a, int b, struct err *why);
