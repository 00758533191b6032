/* partition/plan/plan_in_order.h — what plan_make asks for each order of the workers that it considers: all of them, in this one. */
#pragma once

#include "partition/plan/plan.h"

int plan_in_order(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
                  const struct plan_wish *wish, struct err *why);

/* The wish's capacity with what it leaves open, for so many stages of the text. */
struct capacity plan_capacity(const struct plan_wish *wish, int stages);

/* Which of the two the planner balances, if nobody says. Several sequences keep all stages busy with their tokens, and those come as often
 * as the slowest stage lets them. The tokens of a sequence alone pass one stage after the other and take the sum, however
 * the layers are cut: then its prompt, which streams through all stages, decides. */
static inline bool plan_for_prompts(const struct plan_wish *wish, const struct capacity *cap)
{
    return wish->aim == AIM_PROMPTS || (wish->aim == AIM_USUAL && cap->sequences == 1);
}
