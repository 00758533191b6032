/* partition/plan/vision_cost.h — how long a stage of the picture encoder would take for one picture, before it exists.
 *
 * The encoder is bound by arithmetic, so multiply-adds are all that counts; speeds are the nominal ones of speed.h, and as
 * there only ratios mean something until a worker is measured. Numbers in, numbers out. */
#pragma once

#include "partition/plan/plan.h"

/* Seconds on one thread of speed 1. `tensors`: of the part, as vision_part_tensors lists them. */
double vision_seconds(const struct vision_config *c, struct part s, const struct tensor *tensors,
                      enum vision_type as);

/* How many nominal threads a worker is worth for the encoder, of which a layer takes one of these so many seconds. */
double picture_power(const struct worker_offer *offer, double layer);
