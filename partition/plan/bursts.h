/* partition/plan/bursts.h — a ring of stages some of which compute in bursts (ration.h), lived through for some rounds.
 *
 * No formula says it: a step that is shorter than its quota takes no longer than at full speed, one that is longer stands still in between,
 * for how long depends on what the stage did before, and that on all others. Moments repeat where the periods of stages and of rounds
 * divide each other; steps are a little longer and shorter in turn, as they are in a run, so that no such chance is taken for the rule. */
#pragma once

#include "base/limits.h"
#include "partition/plan/ration.h"

struct burst_stage {
    struct ration ration;
    int purse;           /* the stage of which it uses the quota: itself, or another whose quota is the same */
    double layers, head; /* seconds at full speed; `head` only where it is divided, or in a stream */
    double way;          /* of the rows to it */
};

struct burst_ring {
    int stages;
    struct burst_stage stage[STAGES_MOST];
    double home; /* way from the last stage, there and back where the head is divided */
};

/* Seconds from group to group in the mean, with so many under way. */
double burst_turn(const struct burst_ring *r, int groups);

/* Seconds from the first to the last of so many pieces of a prompt through all stages, each entering as soon as it can; the last is scored. */
double burst_stream(const struct burst_ring *r, int pieces);
