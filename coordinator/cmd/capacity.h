/* coordinator/cmd/capacity.h — what a run must be prepared for, from what was asked and what the prompts need. */
#pragma once

#include "coordinator/cmd/options.h"
#include "partition/model/memory.h"

/* What will be asked for at most. */
struct load {
    uint64_t prompt;  /* tokens of the longest prompt */
    uint64_t answer;  /* tokens it may be answered with */
    uint32_t prompts; /* how many there are */
    uint32_t whole;   /* rows of a prompt that cannot be parted, a picture's; 0: any can */
};

/* Can a prompt of so many tokens be asked at all? E_USAGE says why not: the context asked for, or the model's own, is too small. */
int capacity_holds(const struct options *o, const struct model_config *c, uint64_t prompt, struct err *why);

/* All scores of its rows come home: a micro-batch has fewer, but `whole` of them. */
void capacity_of_scores(struct capacity *c, const struct model_config *config, uint32_t whole);

/* E_USAGE if the context asked for, or the model's own, is too small, or more is asked for than the model was trained for. */
int capacity_for(struct capacity *out, const struct options *o, const struct model_config *c, const struct load *load, struct err *why);
