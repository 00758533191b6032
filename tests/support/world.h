/* tests/support/world.h — a seeded world in which everything may fail: one or two coordinators, each with a job, and workers, on simulated
 * links, clocks and disks.
 *
 *   seed ──► which faults there are, and when ──► they happen, until it is calm ──► the jobs must end
 *
 * Real are engine, fleet, verify, scheduler, roster, remedy, recovery, launch, planner, batch and journal; workers speak the wire and compute hashes (obedient.h),
 * because a real one is three threads whose order nobody can replay. Faults: workers killed, told to end and started again, stopped, put to sleep; links cut
 * both ways or one way, slow, broken; frames that come twice; coordinators killed or stopped, whose clock steps; a disk that is full, or loses
 * what was not synced.
 *
 * What must hold at every moment, whatever happens: leader.c and obedient.c say it where they check it. world_run gives 0, or the first
 * sentence about what did not. */
#pragma once

#include "tests/support/leader.h"
#include "tests/support/obedient.h"
#include "tests/support/world_things.h"

#define WORLD_WORKERS 6
#define WORLD_LEADERS 2
#define WORLD_MACHINES (WORLD_LEADERS + WORLD_WORKERS)
#define WORLD_FAULTS 30
#define WORLD_PROCESSES 600

enum fault_kind { /* the bits of `only` */
    FAULT_KILL, FAULT_STOP, FAULT_SLEEP, FAULT_PARTITION, FAULT_SLOW, FAULT_BREAK, FAULT_TWICE, FAULT_LEADER_KILL, FAULT_LEADER_STOP,
    FAULT_CLOCK, FAULT_TOLD_TO_END, FAULT_DISK, FAULT_KINDS
};

struct world_fault {
    struct world *world;
    enum fault_kind kind;
    uint64_t at_ns, lasts_ns;
    int who, other;       /* worker or leader; of a break, other: a worker, or a leader where there is no such worker */
    uint32_t group;       /* of machines, for a partition */
    bool one_way;
};

struct world {
    uint64_t seed, dice, begun_ns, calm_ns, ends_ns;
    uint32_t kinds;       /* faults that there are */
    struct sim *sim;
    const struct world_things *things;
    const struct model *model;
    struct tokenizer *tokens;
    const char *folder;   /* for journals */
    struct obedience obedience;
    struct obedient worker[WORLD_WORKERS];
    int workers, leaders;
    struct leader leader[WORLD_LEADERS];
    struct world_fault fault[WORLD_FAULTS];
    int faults, of[FAULT_KINDS];
    int machine[WORLD_PROCESSES]; /* of a process: leaders, then workers */
    uint64_t cut_until_ns[WORLD_MACHINES][WORLD_MACHINES], slow_until_ns[WORLD_MACHINES][WORLD_MACHINES], slow_ns;
    bool wrong;           /* nothing fails, and one worker of three at least computes a layer wrongly */
    bool poisoned;        /* nothing fails, but who gets the first picture ends */
    bool tells;           /* all that happens, on stdout */
    uint64_t story;       /* its hash */
};

struct world_sums { /* over many */
    uint64_t worlds, losses, epochs, tokens, replayed, busy, lives, torn, holes, refused, blamed, alone, verified, moved, named, fault[FAULT_KINDS], simulated_s,
        pictures, poisoned, calm_s; /* pictures: sent to encoders; calm_s: the longest until all was done */
};

/* All of a seed, in a folder of the caller's; `sums` is added to, *story is a hash of all that happened. */
int world_run(uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums, uint64_t *story,
              struct err *why);

/* A world in which nothing fails but that one worker of several always computes one layer wrongly: it is named, and nobody else is. */
int world_with_one_wrong(uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums, struct err *why);

/* A world in which one picture ends whoever gets it: who asks with it fails, and nobody else does. *failed: how many did. */
int world_with_poison(uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums,
                      uint64_t *failed, struct err *why);

void world_note(struct world *w, const char *who, int number, const char *what, uint64_t a, uint64_t b);
