/* partition/plan/search.h — the best split of layers and parts of the head over workers in their order, exactly. */
#pragma once

#include "partition/plan/items.h"

/* How far a divided plan may stay behind the fastest slowest stage for the sake of what comes second. */
#define SEARCH_SLACK 1.02

struct search;

int search_open(struct search **out, const struct items *it, const struct worker_offer *offers, int workers, struct err *why);
void search_close(struct search **search);

/* Whole: the last worker has the head, the slowest stage is as fast as can be, and of such splits this is the evenest.
 * Divided: any worker may have parts; the slowest stage is within SEARCH_SLACK of the fastest possible, of such splits
 * the largest second time (items.h) is the smallest, and of those this is the evenest. False if no split fits. */
bool search_whole(struct search *s, struct part *parts);
bool search_divided(struct search *s, struct part *parts);

/* The smallest that the largest second time can be with a whole head, as far behind the fastest as a divided plan may be:
 * what dividing is measured by, or it would be praised for a cut of the layers that a whole head could have as well. */
double search_whole_second(struct search *s);

/* What the encoder wants beside the text. Its layers are all alike, so only how many a worker has room for counts. */
struct encoder_room {
    uint32_t layers;             /* wanted, of all workers together */
    uint64_t layer_bytes;        /* of each */
    const uint64_t *other_bytes; /* [workers]: what a worker that has any takes besides */
    const uint32_t *most;        /* [workers]: layers it may have, at most */
};

/* The text so that its stages leave that room: the slowest stage as fast as can be under this condition, to a hundredth, and of
 * such splits an even one. No stage takes longer than `limit` seconds (INFINITY: any time). False if there is none; *room then
 * says for how many layers of the encoder there can be room at most. */
bool search_beside(struct search *s, bool divided, const struct encoder_room *wanted, double limit, struct part *parts, uint32_t *room);

/* Layers k..i-1 and parts q..p-1: what it takes a worker, in picoseconds (of the first of the two times), and whether it has room. For
 * whoever looks for other orders (order.h). */
struct stretch {
    uint32_t k, i, q, p;
};
double search_time(const struct search *s, uint32_t worker, struct stretch r);
bool search_fits(const struct search *s, uint32_t worker, struct stretch r);
uint32_t search_layers(const struct search *s);
uint32_t search_parts(const struct search *s); /* that have words */

/* For the sentence when none fits, the most obliging one: each worker takes all it can, the last one the rest. */
void search_fill_up(const struct search *s, bool divided, struct part *parts);
