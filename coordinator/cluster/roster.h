/* coordinator/cluster/roster.h — who takes part in a run, and the one place where the coordinator listens to them.
 *
 * A member is a process that can compute. It is not its wire node, which is only the number under which the port reaches
 * it, and it is not a stage, which is what the plan gives it to do: a member may have no part of the plan, or several.
 *
 *                 HELLO            ASSIGN            READY
 *   INVITED ────────────► GREETED ────────► LOADING ────────► READY
 *      │                     │                 │                │
 *      └─────────────────────┴─── no sign of life, connection closed, process ended, broke the protocol ───► LOST
 *                            └─── FAULT: it says itself that it cannot go on ──────────────────────────────► LOST
 *
 * roster_next is the only receive loop of the coordinator. Frames, losses, faults, wakes and Ctrl-C come out of it as
 * events, in the order they happened. Pings and their answers are dealt with in here. What is to be done about a loss is
 * decided elsewhere (remedy.h): the roster only notices.
 *
 * Time comes from the clock it was opened with, so a simulation can drive it.
 * Threads: one, but for roster_wake. */
#pragma once

#include "base/clock.h"
#include "base/silence.h"
#include "coordinator/cluster/local_workers.h"
#include "partition/plan/plan.h"
#include "transport/links/transport.h"
#include "transport/wire/wire.h"

#define PING_NS 500000000ull /* between two pings, and two looks at how members get on */

enum standing { INVITED, GREETED, LOADING, READY, LOST };

struct member {
    int node;                /* the port's number for it, from 1 */
    int worker;              /* its number in the plan, from 0; -1: it has no part of it */
    int place;               /* which of the wished-for workers it is, from 0: one that comes after it was lost has the same; -1: of another
                              * replica, under MPI */
    enum standing standing;
    char name[200];          /* "worker 2 (process 123 on host)" */
    char where[170];         /* "process 123 on host" */
    char address[WIRE_TEXT]; /* where we reach it, and others as far as its reach says; empty without ZeroMQ */
    enum reach reach;
    struct hello hello;
    uint64_t ready_bytes;    /* resident when it said READY */
    double ready_seconds;    /* it took to load */
    struct report report;    /* the last it sent */
    uint64_t reports, asked; /* how many it sent; how many it was asked for */
    uint32_t unheeded;       /* answers to PROBE that nobody waits for any more: they are dropped when they come */
    struct silence silence;  /* since it last sent anything, or was added */
    int lost_by;             /* LOST: the code of what happened to it */
    bool suspect;            /* that takes long; it is lost soon, or heard again */
    uint64_t doubted;        /* its lease is over: `passed` of the roster at that moment, and one; 0: it is not */
    struct silence still;    /* since it last did anything, as its PONGs tell, or got something to do */
    uint64_t still_most_ns;  /* the longest of these that ended by itself */
    struct silence mute;     /* since it said anything but PONG, or got something to do */
    uint64_t part_bytes;     /* of what it was assigned last */
    struct ping pong;        /* the last it sent */
    bool counted;            /* it answered once, and is counted among those that are wanted */
    bool hailed;             /* it was greeted, and has not answered yet */
    bool leaves;             /* it was told to end, and computes on until it is let go */
    uint64_t closed_ns;      /* when its connection closed, while the reason is still awaited; 0: it did not */
};

enum event_kind {
    EVENT_NONE,        /* the time is over and nothing happened */
    EVENT_FRAME,       /* `frame` from `who`; none of those the roster deals with itself */
    EVENT_JOINED,      /* `who` answered the greeting */
    EVENT_LOST,        /* `who` is gone, or broke the protocol; `why` says how. Once for each member */
    EVENT_FAULT,       /* `who` cannot go on and says `why`; it counts as lost from now on */
    EVENT_APART,       /* `who` and `other` live, and their connection does not come about, or broke; `why` names both and says how that is known */
    EVENT_LEAVES,      /* `who` was told to end, and goes on until roster_let_go; `why` says so */
    EVENT_REPORT,      /* the counters of `who` came: who->report */
    EVENT_WOKEN,       /* roster_wake was called */
    EVENT_INTERRUPTED, /* Ctrl-C, SIGTERM or SIGHUP, `why` says which; comes every time until the process ends */
};

struct event {
    enum event_kind kind;
    struct member *who, *other;
    struct frame *frame; /* the receiver's; event_free frees it unless it was taken and set to NULL */
    struct err why;      /* code and sentence of EVENT_LOST, EVENT_FAULT, EVENT_LEAVES and EVENT_INTERRUPTED */
};

struct roster;

/* The port is the roster's from now on, also on failure. `clock` must live as long as the roster. */
int roster_open(struct roster **out, struct port *port, const struct clock *clock, struct err *why);
void roster_close(struct roster **r); /* closes the port; what is queued is dropped. Sets *r to NULL; NULL is fine */

/* One more member, the next node, invited at `address`; empty where the port needs none. Its place is the next one unless it is given another one. A
 * rank that belongs to another part of the port is listed too, so that numbers stay what they are, and counts as lost. E_USAGE if there are
 * too many, or what port_invite says. */
int roster_add(struct roster *r, const char *address, struct err *why);

/* Processes started here: child i is the last member with place i - 1. The roster notices when one ends; it does not own them. */
void roster_watch_local(struct roster *r, struct local_workers *local);

int roster_size(const struct roster *r);                         /* members, also those that were lost */
int roster_places(const struct roster *r);                       /* of those that were added */
struct member *roster_member(const struct roster *r, int node);  /* 1..roster_size; stays where it is */
struct port *roster_port(const struct roster *r);
const struct clock *roster_clock(const struct roster *r);

/* In what numbers its runs compute; unless said, as everything does unless asked otherwise. */
void roster_compute_in(struct roster *r, struct numeric_mode mode);

/* Greets all members that are not lost, for a new run or a later epoch of it. Each that answers comes as EVENT_JOINED. */
int roster_greet(struct roster *r, uint32_t epoch, struct err *why);
/* One that was added since, in the epoch that is on. */
int roster_greet_one(struct roster *r, struct member *m, struct err *why);

/* Whether a member that is not lost still owes its answer to the greeting and had answered an earlier one. */
bool roster_awaits(const struct roster *r);

/* It is lost; it may live, but it is not heard any more. */
void roster_shun(struct roster *r, const struct member *m);

/* Takes the frame in any case. A member that cannot be reached is no error here: it comes as EVENT_LOST. */
int roster_send(struct roster *r, struct member *to, struct frame **f, struct err *why);

/* Found out elsewhere: it does not do what is wanted of it. Comes as EVENT_LOST with that sentence, if it is not lost already. */
void roster_lose(struct roster *r, struct member *m, const struct err *why);

/* It was told to end, and is not needed any more: it hears so, and counts as lost from now on, of which no event tells. */
void roster_let_go(struct roster *r, struct member *m);

/* Of what `m` sent, and whoever read it found it wrong (`code`, `judged`): a broken protocol, or what it computed is no number, is its loss, as
 * roster_lose; 0 then. Whatever else failed is not its doing, and is given back. */
int roster_judge(struct roster *r, struct member *m, int code, const struct err *judged, struct err *why);

/* The next event within timeout_ms (0: only what is there). An error means that we are broken, not a member. */
int roster_next(struct roster *r, struct event *out, int timeout_ms, struct err *why);
void event_free(struct event *e);

/* Makes a waiting roster_next return EVENT_WOKEN. From any thread. */
void roster_wake(struct roster *r);

/* Gives every event to `event` until `done` or an error; EVENT_NONE comes every timeout_ms. */
struct consumer {
    int (*event)(void *user, struct event *e, struct err *why);
    bool (*done)(void *user);
    void *user;
};
int roster_until(struct roster *r, const struct consumer *c, int timeout_ms, struct err *why);

/* Says goodbye to all that were greeted, and to those that wait for a word in any case: STOP, or, with a failure that they
 * should know of, FAULT. Waits up to a second for the words to leave. */
void roster_dismiss(struct roster *r, const struct err *failure);
