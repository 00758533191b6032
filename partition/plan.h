/* partition/plan.h — who gets which layers: numbers in, numbers out. No file, socket, clock or weight.
 *
 * Items, in order: text layers 0..n-1, then the head. A stage is a run of items; the head may stand alone. Every worker
 * gets at least one item; more workers than items is an error that says how many can be used. */
#ifndef PARTITION_PLAN_H
#define PARTITION_PLAN_H

#include "partition/memory.h"

#include <stdio.h>

#define MAX_STAGES 63

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
};
struct model_shape model_shape(const struct model *m);

struct stage_plan {
    struct share share;
    struct stage_bytes bytes;
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
 * that ties are even. Exact (dynamic programme over items x workers, in the order of the workers). E_MEMORY names the
 * missing bytes: how much the workers have together, how much is wanted, which worker is short. */
int plan_solve(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
               const struct capacity *capacity, struct err *why);

/* By hand: layers[i] layers for worker i; the sum must be all; the last worker gets the head. Memory is checked too. */
int plan_by_hand(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers,
                 const uint32_t *layers, int workers, const struct capacity *capacity, struct err *why);

/* "layers 0-11", "layers 23-33 and the head", "the head" into `out`; returns out. */
char *show_share(char out[64], struct share s);

/* The table `gemmapipe plan` prints: bytes and time of each worker, the coordinator's own needs, the sums. */
void plan_print(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers);

/* "12,11,11" and "1G,512M,2GiB" (0 or empty: no limit). Arrays hold MAX_STAGES. A size is bytes, or a number with K, M,
 * G or T, which count in 1024 however they are written on ("G", "GB", "GiB"); a fraction is fine: "1.5G". E_USAGE
 * otherwise. */
int plan_read_split(const char *text, uint32_t *layers, int *workers, struct err *why);
int plan_read_sizes(const char *text, uint64_t *sizes, int *count, struct err *why);
int read_size(const char *text, uint64_t *bytes, struct err *why);

#endif
