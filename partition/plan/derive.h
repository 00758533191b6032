/* partition/plan/derive.h — what was not measured of a worker follows from what was, in the ratio of nominal seconds. Numbers in, numbers out. */
#pragma once

#include "partition/plan/plan.h"

enum derived { DERIVED_LAYERS = 1, DERIVED_LOOKING_BACK = 2, DERIVED_HEAD = 4, DERIVED_PICTURES = 8, DERIVED_ALL = 15 };

/* Fills what is 0 in *v and returns what that was. Where neither layers nor head were measured nothing follows: DERIVED_ALL, and *v is as it was. */
uint32_t speed_derive(struct speed *v, const struct model_shape *shape, enum vision_type as);
