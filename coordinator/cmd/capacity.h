/* coordinator/cmd/capacity.h — what a run must be prepared for, from what was asked and what the prompts need. */
#ifndef COORDINATOR_CMD_CAPACITY_H
#define COORDINATOR_CMD_CAPACITY_H

#include "coordinator/cmd/options.h"
#include "partition/model/memory.h"

/* `rows`: the longest prompt; `whole`: rows of it that cannot be parted (a picture's), 0 if any can; `most`: tokens it may be answered
 * with; `sequences`: how many prompts there are. E_USAGE if the context asked for, or the model's own, is too small. */
int capacity_for(struct capacity *out, const struct options *o, const struct model_config *c, uint64_t rows,
                 uint64_t most, uint32_t sequences, uint32_t whole, struct err *why);

#endif
