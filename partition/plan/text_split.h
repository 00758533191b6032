/* partition/plan/text_split.h — the text over the workers: the head whole in the last stage, or its parts over all of them.
 *
 * The slowest stage as fast as can be, none over its memory; among equals the one with the smaller sum of squares, so that
 * ties are even. Exact (dynamic programmes, in the order of the workers: search.h). */
#pragma once

#include "partition/plan/search.h"

struct text_job {
    struct items items;
    const struct worker_offer *offers; /* [workers] */
    int workers;
    bool whole_head, all_scores;
    bool beside_pictures; /* what these have is taken off the offers' memory already */
};

/* The parts of each worker, [workers]. E_MEMORY names the missing bytes. */
int text_split(struct part *out, const struct text_job *job, struct err *why);

/* By hand. Memory is looked at too. */
int text_by_hand(struct part *out, const struct text_job *job, const struct cut *cuts, int n, struct err *why);

/* Seconds of the slowest of these stages. */
double text_slowest(const struct text_job *job, const struct part *parts);
