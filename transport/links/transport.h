/* transport/links/transport.h — one node's door to all the others: frames go out by number, frames come in from anyone.
 *
 * Nodes are numbered: 0 is the coordinator, 1..n are workers, in no particular order. There are three kinds of door behind one
 * header: threads of one process (here.c), MPI ranks (mpi.c), ZeroMQ sockets (zmq.c). For tests there is a fourth, where network
 * and time are invented (sim.h), and one that spoils what comes in by any of these (faulty.h).
 *
 * Promise:   frames from one node to another arrive in order, each once or not at all; a port looks inside no body but that of GREET.
 * Ownership: port_send takes the frame if it returns 0 (and sets *frame to NULL) and leaves it with the caller if it
 *            does not. A frame that port_recv hands out belongs to the caller: frame_free, or send it on.
 * Threads:   one thread uses a port. Only port_wake may be called from another, to make a waiting port_recv return.
 * Pressure:  a sender holds at most a window of frames per peer; beyond that port_send keeps them queued, in order, and
 *            goes on accepting (the scheduler bounds what is under way; the bound is checked, not hoped for:
 *            port_limits). A sender never blocks, so a ring of full nodes cannot stand still.
 * Waiting:   port_recv sleeps; it does not burn the core a stage needs. */
#pragma once

#include "base/error.h"
#include "transport/wire/frame.h"

#include <stdbool.h>

struct port;

struct keys; /* transport/links/keys.h */

/* How a port begins. Zero means the usual: no keys (links are plain; keys outlive the port), bodies of at most 1 MiB, 1024 frames queued for a peer. port_limits
 * changes the last two during a run. */
struct link_options {
    struct keys *keys;
    uint64_t max_body;
    uint32_t max_queued;
};

int port_self(const struct port *p);  /* this node's number; -1 for a zmq listener that was not told yet */
int port_nodes(const struct port *p); /* workers + 1; 0 while unknown */
const char *port_kind(const struct port *p); /* "here", "mpi", "zmq", "sim": to be shown, not to decide by */

/* Whether the others go on when one node is gone. MPI: no; a lost rank ends the world, a moment later. */
bool port_outlives_peers(const struct port *p);

/* Whether peers are reached by an address, so that one which was not greeted knows nothing of us and can be added at any
 * time. Else all nodes are there from the start, and wait for a word. */
bool port_by_address(const struct port *p);

/* Where all nodes are there from the start: whether this one belongs to this port, or to another part of it (port_part_mpi). */
bool port_has(const struct port *p, int node);

/* Sends to node `to`, on the route that stands in the head (0: none). All else of the head is filled in here. E_LINK if the
 * peer is known to be gone, or the route is not open; E_WIRE if the body is larger than port_limits allows. */
int port_send(struct port *p, int to, struct frame **frame, struct err *why);
int port_send_off(struct port *p, int to, struct frame *f, struct err *why); /* takes it in any case */

/* Waits up to timeout_ms (-1: for ever; 0: looks) for a frame from anyone. Returns 0 with *out set; or 0 with *out NULL
 * when the time is over or port_wake was called; or an error. A frame is handed out only if its head and body passed
 * their CRCs, its size is within the limit, its sequence number is the next of that peer on that route, and run, route,
 * plan and epoch are open here (other frames are dropped and counted). Queued outgoing frames move on inside this call.
 * A peer known to be lost (connection gone) shows up once as a frame of type M_LOST from that node, after all it sent.
 * E_WIRE and its sentence come once too: a peer that broke the rules is not listened to any more, and gets no frames; the
 * others go on. M_GREET is the one message a port looks into: it tells a worker's port its number, the run and the epoch. */
int port_recv(struct port *p, struct frame **out, int timeout_ms, struct err *why);

/* The peer whose fault the last error of port_recv was, by number; -1: it was ours. */
int port_culprit(const struct port *p);

/* Makes a port_recv that waits now, or the next one, return. From any thread. */
void port_wake(struct port *p);

/* Waits up to timeout_ms until port_recv has something to look at by one of these. False, at once: ports of this kind cannot be waited for
 * together, or one port alone would be. */
bool ports_wait(struct port *const *ports, int n, int timeout_ms);

/* Whether port_wake was called since this was last asked. Tells a wake from time that is over; by the port's thread. */
bool port_woken(struct port *p);

/* Pushes out what is queued, for at most timeout_ms. 0 if nothing is left. */
int port_flush(struct port *p, int timeout_ms, struct err *why);

/* The largest body accepted or sent from now on (FRAME_BODY_MOST at most), and the most frames that may be queued for one
 * peer. Before the first call 1 MiB and 1024. A body that is larger ends that peer's link, so call it before asking for one. */
void port_limits(struct port *p, uint64_t max_body, uint32_t max_queued);

/* Which run this is, and which epoch of it, for all frames without a route: outgoing heads carry them, incoming heads must.
 * Until called the run is 0 and any is taken. Another run than before forgets the routes. Frames are counted anew with each
 * run and epoch. A coordinator calls it before it greets; a worker's port learns both from GREET, also a later epoch of the
 * same run at any time, and then it forgets the routes. */
void port_run(struct port *p, uint64_t run, uint32_t epoch);
uint64_t port_in_run(const struct port *p); /* 0: none so far */

/* Coordinator: the epoch for one node alone, before it is greeted again. The others go on in theirs. */
int port_epoch(struct port *p, int node, uint32_t epoch, struct err *why);

/* Opens a route, or begins it anew: frames on it carry this plan and epoch, and only such are taken; others are dropped and
 * counted. Frames of a pair of nodes are counted for each route. A worker calls it for the routes it is assigned to before
 * it says READY. E_USAGE for a number that is not 1..ROUTES_MOST. */
int port_route(struct port *p, uint16_t route, uint64_t plan, uint32_t epoch, struct err *why);

/* zmq: how to reach `node` for sending (a worker learns its next stage from the plan). Others: nothing to do. With another
 * address than before, or after a loss, the connection is made anew. One that the node made itself is as good. If it calls while we try to, its
 * connection is the one. */
int port_reach(struct port *p, int node, const char *address, struct err *why);

/* Whether anything has come from this node on the connection that is there. Where no connections are made: true. */
bool port_met(const struct port *p, int node);

/* The key that whoever is called at this address has to prove: keys_pin said so. Zeros: none, the link is plain. */
void port_key(const struct port *p, const char *address, uint8_t out[32]);

/* Worker: by this key a neighbour is known, as the coordinator told: it may call, and is called at this address with it; empty: it calls.
 * Zeros: the link is plain. Before port_reach. E_USAGE if this process has no keys and is to use some. */
int port_neighbour(struct port *p, int node, const char *address, const uint8_t key[32], struct err *why);

/* Coordinator over zmq: one more worker, at any time, under the lowest number that is free; returns at once, whether it
 * answers shows in port_recv. It may be started before or after. A name is looked up, and whichever of its addresses accepts a
 * connection is taken. E_USAGE beyond WORKERS_MOST or for an address that is a worker's already, E_LINK for a bad address, or if the nodes of this kind of port are there from the start. */
int port_invite(struct port *p, const char *address, int *node, struct err *why);

/* Why nothing has come from `node` so far, in a few words for a sentence ("connection refused: …"); NULL: not known. */
const char *port_silence(const struct port *p, int node);

/* Forgets a peer, lost or not, with what is queued for it: its number may be given to another by port_invite. Frames it
 * sent before are dropped, and it is not told: send M_STOP before, and flush. */
void port_part(struct port *p, int node);

/* The same of a peer that counts as lost, whatever it says itself: its number stays its own, nothing it sends is taken, nothing is
 * sent to it. Its address may be invited again, under another number. */
void port_shun(struct port *p, int node);
bool port_shunned(const struct port *p, int node); /* or lost */

struct port_counters {
    uint64_t frames_in, frames_out, bytes_in, bytes_out; /* heads included */
    uint64_t dropped;                                    /* frames of another run, route, plan or epoch */
    uint64_t queued_most;
};
struct port_counters port_counters(const struct port *p);

void port_close(struct port **p); /* sets *p to NULL; NULL is fine. Undelivered frames are dropped: flush first. */

/* ---- here: all nodes are threads of this process ---- */
struct hub; /* shared by the ports; freed with the last of them */
int port_open_here(struct port **ports, int nodes, struct err *why); /* fills ports[0..nodes-1] */

/* ---- mpi: one port per process, made by the thread that owns MPI; rank 0 may divide it ---- */
bool mpi_launched(void);                                /* started under mpirun or srun, judged without MPI_Init */
int mpi_rank(void);                                     /* the same of this process's rank; 0 if it was not */
int port_open_mpi(struct port **out, struct err *why);  /* MPI_Init; E_LINK unless there are 2 ranks or more */
/* Some of its ranks ([nodes]) as a port of their own, for a replica: they keep their numbers, the run that is on, and what they know of us.
 * Before a route is opened; the whole is to be closed last. */
int port_part_mpi(struct port **out, struct port *whole, const bool *has, struct err *why);
/* Ranks of this machine but rank 0, which only coordinates; and which of them, from 0 on, this one is. As MPI sees it, however the
 * ranks were laid out. */
struct mpi_mates {
    int workers, number;
};
struct mpi_mates port_mpi_mates(const struct port *p);
/* For the end of a program: gives the status back; but if a rank was lost, or MPI broke, ends every rank with it. */
int mpi_leave(int code);

/* ---- zmq ---- options may be NULL: the usual */
/* Worker: binds `address` ("tcp://127.0.0.1:7001", "ipc:///path"), of a name all it stands for. The first coordinator whose GREET comes is served; a
 * second one is answered M_FAULT "busy". E_LINK if the address cannot be used (port in use, bad address). */
int port_open_listen(struct port **out, const char *address, const struct link_options *options, struct err *why);
/* After a run is over: forget the peers and the run, listen for the next coordinator. */
int port_listen_again(struct port *p, struct err *why);
/* Coordinator: node 0, with no workers yet; port_invite adds them. */
int port_open_dial(struct port **out, const struct link_options *options, struct err *why);
