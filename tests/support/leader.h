/* tests/support/leader.h — a coordinator in a world of world.h, from life to life: it launches, answers the lines of its job with a real
 * engine, or a fleet of some; these are asks of its own, or a batch with its journal (world_job.h). Some have answers computed again and compared (engine/verify.h).
 *
 *   AWAY ── it is time ──► LAUNCHING ── all ready ──► AT_WORK ── every line is done ──► OVER
 *     ▲                        │                          │
 *     └──── killed, busy, or its disk is full ────────────┘ */
#pragma once

#include "coordinator/engine/fleet.h"
#include "coordinator/engine/give_pictures.h"
#include "tests/support/world_job.h"

#define LEADER_LINES JOB_LINES
#define LEADER_REPLICAS 3
#define LEADER_PICTURES 9 /* of a line */
#define LEADER_ROWS 320 /* of a line: prompt and answer, at most; the context too */

struct world;
struct leader;

struct line {
    struct leader *leader;
    uint32_t id[LEADER_ROWS], n, most; /* the prompt */
    struct picture_span span[LEADER_PICTURES]; /* [n_spans]; their pictures are those of the world */
    size_t n_spans;
    uint64_t key;
    bool grumpy, biased;
    uint32_t golden[LEADER_ROWS], n_golden; /* what a quiet run says */
    enum finish golden_end;
    /* In this life: */
    bool asked, done;
    int finished;
    uint32_t said;
    uint64_t number;
    struct prompt_pictures pictures; /* as it holds them */
};

struct leader {
    struct world *world;
    int index, replicas, process[LEADER_REPLICAS];
    struct clock clock;
    uint64_t stepped_ns, stands_until_ns;
    enum { LEADER_AWAY, LEADER_LAUNCHING, LEADER_AT_WORK, LEADER_OVER } state;
    uint64_t back_ns; /* AWAY: until then */
    bool kill_due, closing;
    uint64_t stop_due_ns;
    struct capacity wanted;
    int spare;
    bool sees, album, fewer, has_job, no_reuse, slowly; /* slowly: it asks one line after the other; album: one is long
                                                        * under way, while the many pictures of the others pass by */
    struct pipeline *pipe[LEADER_REPLICAS];
    struct fleet *fleet;
    struct world_job job;
    struct line line[LEADER_LINES];
    int lines;
    uint32_t epoch[LEADER_REPLICAS], verify;
    bool lost[LEADER_REPLICAS];
    int way[LEADER_REPLICAS]; /* in which their layers lie: cluster/planning.h */
    uint64_t losses, epochs, tokens, busy, lives, blamed, rows, alone, verified, moved, named, pictures, poisoned; /* alone: replicas lost for good; named: workers found wrong */
};

int leader_least_workers(const struct leader *l); /* of a pipeline, of which one may be to spare */
int leader_draw(struct leader *l, struct world *w, int index, struct err *why);
int leader_step(struct leader *l, int ms, struct err *why); /* an error: something did not hold */
int leader_killed(struct leader *l, struct err *why);
int leader_close(struct leader *l, struct err *why);
int leader_broken(struct leader *l, struct err *why); /* what is said there does not hold */
bool line_is_poisoned(const struct line *a);
void line_golden(struct line *a, const struct world *w);

/* Whether this worker was given up by the leader because it fell silent. Where the leader's clock stepped nobody can tell how long that was, and
 * epochs alone keep out who was given up. */
bool leader_gave_up(const struct leader *l, uint64_t run, int node);
