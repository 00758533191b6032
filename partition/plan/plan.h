/* partition/plan/plan.h — who gets what of the text and of the picture encoder, and the way rows take. Numbers in, numbers out: no
 * file, socket, clock or weight.
 *
 * There is one door, plan_make: the same model, offers and wish give the same plan, whoever asks. Workers of a plan are numbered in the
 * order of the layers; which offer is which worker the plan says, as it may use fewer of them or in another order. A worker's holding is a part
 * of each chain (partition/model/part.h), of the text a run of layers and a run of parts of the head; over the workers in
 * order both are whole and without a gap:
 *
 *   layers  [0 ...... 16][17 ..... 33]        [0 .......... 23][24 .. 33]
 *   parts   [0 ....... 7][8 ...... 15]                         [0 ... 15]
 *             worker 1     worker 2             worker 1         worker 2
 *
 * A worker of the text has a layer at least, as all rows pass all of them in order; only the last may have parts of the head
 * alone. More workers than that is an error that says how many can be used.
 *
 * What is aimed at, in this order: all fits, text and pictures counted together; the slowest stage of the text is as fast
 * as can be, because every question has text; then the encoder, in the memory that is left. Where that is too little the
 * text moves, no further than it must. text_split.h and vision_split.h say how each is cut. */
#pragma once

#include "base/limits.h"
#include "partition/model/memory.h"
#include "partition/model/vision_memory.h"
#include "partition/plan/ration.h"
#include "partition/plan/speed.h"

#include <stdio.h>

/* Who can connect to a worker beside the coordinator. */
enum reach {
    REACH_ANY,
    REACH_NEAR, /* workers of its own machine */
    REACH_NONE, /* it sits behind something, and calls */
};

/* Two workers, by number, of which neither can connect to the other. */
struct apart {
    int number[2];
};

struct worker_offer {
    char name[128];  /* for tables and sentences */
    uint64_t memory; /* bytes it may use; 0: no limit said */
    double speed;    /* of one thread, relative to others; 1 (or 0) unless said */
    int threads;     /* 0: not known, planned as 1 */
    bool shares_machine; /* with another worker, and nobody said how its memory is divided */
    double uses, cores;  /* of the coordinator's machine, if it is there with others: cores that it uses at once, and those of all; else 0 */
    int number; /* by which it is among these: */
    const struct apart *apart; /* [n_apart]; NULL: none are known */
    int n_apart;
    enum reach reach;
    const struct speed *measured; /* how fast it is with this model, while it may compute; NULL: by `speed` and `threads` alone */
    struct ration ration; /* when it may; quota 0: always */
};

/* The models as the planner sees them: bytes and work, no data. */
struct model_shape {
    struct model_config config;         /* of the text; no layers: there is none */
    const struct tensor *layer_tensors; /* [layers * W_LAYER_ROLES], types matter, data does not */
    struct tensor output_norm, head;
    const struct vision_model *encoder; /* its sizes and types; NULL: no pictures */
};
struct model_shape model_shape(const struct model *text, const struct vision_model *encoder); /* either may be NULL */
uint64_t model_shape_hash(const struct model_shape *shape); /* of sizes and types: what is equally large is equally fast */

/* What a split of the text by hand gives one worker. */
struct cut {
    uint32_t layers;
    uint32_t parts; /* of the head's HEAD_PARTS */
};

enum vision_how { VISION_CHOOSE, VISION_LAYERS, VISION_COPIES, VISION_BY_HAND };
#define WHOLE_ENCODER UINT32_MAX
struct vision_wish {
    enum vision_how how;
    int workers;      /* by hand: so many are named */
    uint32_t *layers; /* by hand: [workers]; 0: none of the encoder ("it sees nothing"); WHOLE_ENCODER: a copy */
};

/* What a plan is for. The usual: answers, or with one sequence its prompt (plan_in_order.h says why). */
enum plan_aim { AIM_USUAL, AIM_THROUGHPUT, AIM_LATENCY, AIM_PROMPTS };
enum plan_order {
    ORDER_GIVEN, /* all workers, in the order they are given */
    ORDER_FREE,  /* all of them, in another order if nothing fits else, or if all are measured and it is faster */
    ORDER_FEWER, /* or some of them */
};

struct plan_wish {
    enum plan_aim aim;
    enum plan_order order;
    double picture_share; /* pictures that come with a token of an answer, in the mean: what they cost the stages counts too */
    struct capacity capacity; /* in_flight 0: as many as keep all stages at work */
    const struct cut *cuts;   /* [n_cuts], by hand; NULL: as is best */
    int n_cuts;
    bool whole_head; /* it must stay in one piece */
    bool all_scores; /* a token may be any word, or all scores of a row are wanted: what a divided head costs more than candidates */
    int vision_workers; /* the last so many have no text, and where the encoder is not placed by hand they alone see; 0: all have text */
    struct vision_wish vision;
    enum vision_type vision_type;
    uint64_t together; /* bytes that all may use in sum, because they are one machine; 0: they are not */
};

/* What one worker has, what it takes, and how long it is at work. */
struct holding {
    struct part part[CHAINS];
    struct part_bytes bytes[CHAINS];
    uint64_t total;          /* bytes of both */
    double expected[CHAINS]; /* seconds: of the micro-batch that is balanced (text_cost.h), and of a picture */
};

/* The way of rows through the workers. A worker's number says nothing about its place: the text may pass workers 0, 1, 2 and
 * pictures 2, 0. A chain may have several routes, each with all of its layers: whole copies of the encoder are routes of one
 * worker. */
struct route {
    enum chain chain;
    uint16_t n;
    uint16_t worker[STAGES_MOST]; /* [n], from 0 */
};

struct plan {
    int workers;
    struct holding *of;  /* [workers] */
    int n_routes;
    struct route *route; /* [n_routes]: that of the text first, if there is one */
    struct capacity capacity;
    bool copies;            /* of the encoder, pictures in turn; else its layers are split */
    uint32_t pictures;      /* in flight at one worker of the encoder, at most */
    enum vision_type vision_type;
    uint16_t *offer;        /* [workers]: which of the offers plays this worker */
    char chosen[160];       /* why not all of them in the order given; empty if they are */
    double picture_share;   /* of the wish */
    bool for_prompts;       /* that is balanced for: else for answers */
    char why[160];          /* what decided between split and copies */
    uint64_t hash;          /* of everything all workers must agree on */
    uint64_t made_from;     /* hash of model, offers and wish: equal ones give equal plans */
};

/* Free with plan_free; after a failure there is nothing to free. E_MEMORY names the missing bytes: how much is wanted, which
 * worker is short, how much there is together. E_USAGE for a wish that cannot be. */
int plan_make(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
              const struct plan_wish *wish, struct err *why);
void plan_free(struct plan *p);

int plan_stages(const struct plan *p);                    /* workers of the text: the first so many */
const struct route *plan_text_route(const struct plan *p); /* NULL: no text */
/* The worker of this layer of the text, or of what stands behind all `layers` of it; -1: several have that, or none. */
int plan_holder(const struct plan *p, uint32_t layer, uint32_t layers);
const struct route *plan_picture_route(const struct plan *p, int worker); /* the one through this worker; NULL: it does not see */

/* The worker that rows go to after this one; -1: none, they go to the coordinator. So it is for `r` NULL too. */
int route_after(const struct route *r, int worker);
int route_before(const struct route *r, int worker); /* that they come from; -1: from the coordinator */
static inline int route_first(const struct route *r)
{
    return r->worker[0];
}
static inline int route_last(const struct route *r)
{
    return r->worker[r->n - 1];
}

/* Seconds of the slowest stage of this chain, by the nominal speeds or those measured. */
double plan_slowest(const struct plan *p, enum chain chain);

/* Of pictures, in seconds by the nominal speeds: one that is alone, and so many a second when there are many. */
double plan_picture_alone(const struct plan *p);
double plan_picture_rate(const struct plan *p);

/* The table `gemmapipe plan` prints: bytes and time of each worker, the coordinator's own needs, the sums. */
void plan_print(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers);
/* Of it, which hops are two, because they go by the coordinator: a line each, or nothing. */
void plan_print_relayed(FILE *to, const struct plan *plan, const struct worker_offer *offers);
