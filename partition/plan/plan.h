/* partition/plan/plan.h — who gets which layers: numbers in, numbers out. No file, socket, clock or weight.
 *
 * A stage is a run of layers and a run of parts of the head; over the workers in order both are whole and without a gap.
 *
 *   layers  [0 ...... 16][17 ..... 33]        [0 .......... 23][24 .. 33]
 *   parts   [0 ....... 7][8 ...... 15]                         [0 ... 15]
 *             worker 1     worker 2             worker 1         worker 2
 *
 * A worker has a layer at least, as all rows pass all stages in order; only the last may have parts of the head alone.
 * More workers than that is an error that says how many can be used. */
#ifndef PARTITION_PLAN_PLAN_H
#define PARTITION_PLAN_PLAN_H

#include "base/limits.h"
#include "partition/model/memory.h"

#include <stdio.h>

#define MAX_STAGES STAGES_MOST

struct worker_offer {
    char name[128];  /* for tables and sentences */
    uint64_t memory; /* bytes it may use; 0: no limit said */
    double speed;    /* of one thread, relative; 1 (or 0) unless measured */
    int threads;     /* 0: not known, planned as 1 */
    bool shares_machine; /* with another worker, and nobody said how its memory is divided */
};

/* The model as the planner sees it: bytes and work, no data. */
struct model_shape {
    struct model_config config;
    const struct tensor *layer_tensors; /* [layers * W_LAYER_ROLES], types matter, data does not */
    struct tensor output_norm, head;
    bool whole_head; /* it must stay in one piece: somebody wants all scores of a row in one place */
};
struct model_shape model_shape(const struct model *m); /* the head may be divided */

struct stage_plan {
    struct part share;
    struct part_bytes bytes;
    double cost;     /* modelled seconds of the micro-batch that is balanced, on one thread of speed 1: see cost.h */
    double expected; /* cost / (speed * threads) */
};

struct plan {
    int stages;
    struct stage_plan stage[MAX_STAGES];
    struct capacity capacity;
    uint64_t hash; /* of everything all stages must agree on */
};

/* The slowest stage as fast as can be, none over its memory; among equals the one with the smaller sum of squares, so
 * that ties are even. Exact (dynamic programmes, in the order of the workers: search.h). The head is divided if it does not
 * fit whole, or where that gains more than the messages cost: solve.c. E_MEMORY names the missing bytes: how much the
 * workers have together, how much is wanted, which worker is short. */
int plan_solve(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
               const struct capacity *capacity, struct err *why);

/* What a split by hand gives one worker. */
struct cut {
    uint32_t layers;
    uint32_t parts; /* of the head's HEAD_PARTS */
};

/* By hand: cuts[i] for worker i; the sums must be all. Memory is checked too. */
int plan_by_hand(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers,
                 const struct cut *cuts, int workers, const struct capacity *capacity, struct err *why);

/* The shares of cuts, for who has no use for a plan. E_USAGE says what is placed twice, or not at all. */
int plan_read_cuts(struct part *out, const struct model_config *c, const struct cut *cuts, int workers, struct err *why);

/* "layers 0-11", "layers 23-33 and the head", "layers 0-16 and 8/16 of the head", "the head" into `out`; returns out. */
char *show_part(char out[64], struct part s);
/* The same for a narrow column: "0-16 + 8/16", "23-33 + head", "head". */
char *show_part_briefly(char out[32], struct part s);
/* "first", "end", "head" and "parts" as plan_json.h has them, without braces. */
void part_write_json(FILE *to, struct part s);

/* The table `gemmapipe plan` prints: bytes and time of each worker, the coordinator's own needs, the sums. */
void plan_print(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers);

/* "12,11,11" is layers, and the last worker gets the head; "12+5,11+5,11+6" is layers and sixteenths of the head, where
 * none may be left out: "17+16,17". E_USAGE unless the sixteenths are 16 together. Sizes are "1G,512M,2GiB" (0 or empty: no
 * limit). Arrays hold MAX_STAGES. A size is bytes, or a number with K, M, G or T, which count in 1024 however they are
 * written on ("G", "GB", "GiB"); a fraction is fine: "1.5G". E_USAGE otherwise. */
int plan_read_split(const char *text, struct cut *cuts, int *workers, struct err *why);
int plan_read_sizes(const char *text, uint64_t *sizes, int *count, struct err *why);
int read_size(const char *text, uint64_t *bytes, struct err *why);

#endif
