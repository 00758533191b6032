/* coordinator/simulate/predicted.h — what the plan expected of a run that is over: the same asks at the same moments, by the speeds that
 * were measured before. */
#pragma once

#include "coordinator/simulate/invented_pipe.h"

/* *drawn false: nothing can be said, because speeds were not measured, pictures were asked about, or workers were lost. *out is freed with
 * chart_free in any case. */
int predicted_chart(struct chart *out, bool *drawn, struct pipeline *const *pipe, int replicas, const struct run_chart *measured, struct err *why);
