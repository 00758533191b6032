/* transport/links/sim.h — a port whose network, peers and time are invented, for tests: one thread, the same order for the same
 * seed, hours in milliseconds.
 *
 * A world has processes. One of them is driven, or several in turn: the code under test holds its port (sim_port, node 0) and calls
 * port_recv on it as ever. Whenever it waits there, time goes on to the next thing that happens: a frame arrives, a peer ends, an
 * appointment is due. All others are functions that are called with each frame they get and may send, at once or after some
 * computing. Whatever port.c does for real links it does here too: numbers, epochs, routes, losses.
 *
 *   driven: port_send ──► after a drawn delay ──► on_frame(…) ──► port_send, sim_send_later ──► after a delay ──► port_recv
 *
 * Frames of one process to another arrive in the order sent. None is lost unless a process ends, hangs, a connection breaks, or a test
 * makes a port faulty (faulty.h). The loss of a process arrives after all that it sent, once at each that had to do with it; what was sent
 * first by a connection of which nobody was heard is sent again. A process that serves one coordinator says to another that it is busy.
 *
 * Costs: an entry in a heap for each frame; a million frames take about a second. */
#pragma once

#include "base/clock.h"
#include "transport/links/transport.h"

#define SIM_ADDRESS 24

struct sim;

struct sim_links { /* what lies between processes */
    uint64_t seed;
    uint64_t delay_ns, jitter_ns;  /* of each frame: from delay to delay + jitter, drawn evenly */
    double bytes_per_second;       /* 0: size takes no time */
    /* Where links are unlike: nanoseconds that this frame takes from process to process; then the three above mean nothing. */
    uint64_t (*travel_ns)(void *user, int from, int to, struct frame *f);
    /* So long from now nothing passes, not even the end of a connection; then all that was sent does, in order. NULL: no link is ever cut. */
    uint64_t (*cut_ns)(void *user, int from, int to);
    void *user;
};

int sim_open(struct sim **out, const struct sim_links *links, struct err *why);
void sim_close(struct sim **s); /* after the driven port was closed; sets *s to NULL; NULL is fine */

/* The time of this world, for whoever is driven in it. It stands still but in port_recv of the driven port. */
const struct clock *sim_clock(const struct sim *s);

/* The port of the driven process: node 0, with no workers yet. The caller's, to be closed as ever. Once for each world. */
int sim_port(struct sim *s, struct port **out, struct err *why);

/* Another driven process, and its port: a second coordinator, or one in the place of another that ended. It hears when its own port_recv is
 * called; what comes before lies there. */
int sim_driven(struct sim *s, struct port **out, int *number, struct err *why);

/* What a process does with a frame. The frame is its own: free it, send it on (then *f is NULL), or leave it, and it is freed.
 * M_LOST comes here too. An error ends the process, as a crash would. `port` is the process's: it learns its number from GREET;
 * port_send and port_route work, port_recv has nothing to give. */
typedef int sim_on_frame(void *user, struct port *port, struct frame **f, struct err *why);

/* A process that listens at `address` ("sim:3"), for port_invite and port_reach. Any time. Gives its number, from 1. */
int sim_process(struct sim *s, sim_on_frame *on_frame, void *user, char address[SIM_ADDRESS], int *number, struct err *why);

/* From a process, to a node: sent when it has computed for so long, after all that it computes already. Takes the frame in any
 * case. It goes nowhere if the process or the node has ended by then. */
int sim_send_later(struct port *port, int to, struct frame **f, uint64_t compute_ns, struct err *why);

/* Calls `what` at this moment of the world, or at once if it has passed. From inside it everything may be done. */
int sim_at(struct sim *s, uint64_t at_ns, void (*what)(void *user), void *user, struct err *why);

void sim_end(struct sim *s, int number);  /* the process dies: its connections close, what it has sent still arrives */
void sim_hang(struct sim *s, int number); /* it is there and silent from now on: only a lease will notice */
void sim_stop(struct sim *s, int number, uint64_t until_ns); /* it stands still until then, and goes on with what came meanwhile */
void sim_break(struct sim *s, int one, int other);           /* their connection closes, and both live */
/* An ended one is there again, at its address, and knows nothing: what was on its way to it is lost, who called it meanwhile is heard. */
int  sim_restart(struct sim *s, int number, struct err *why);
/* Time passes while the driven process stands still. */
void sim_pass(struct sim *s, uint64_t until_ns);
bool sim_is_alive(const struct sim *s, int number);

/* Why a process ended by itself; code 0: it did not. */
const struct err *sim_why(const struct sim *s, int number);
