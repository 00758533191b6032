/* partition/plan/beside.h — text and pictures where memory is too small to plan one after the other.
 *
 * The text alone takes the workers' memory where it is fastest, and then there may be no room for the encoder though there
 * is enough of it in sum, or room only on slow workers. Here the text is cut so that its stages leave the room: as fast as
 * it can be under that, and then the encoder as fast as it can be beside such a text. */
#pragma once

#include "partition/plan/text_split.h"
#include "partition/plan/vision_split.h"

/* The most by which the text may be slowed for the sake of pictures that have room already. */
#define BESIDE_SLACK 1.02
/* Such pictures must become faster by so much. */
#define BESIDE_GAIN 1.05

/* Parts of the text, [job->workers], that leave room for all of the encoder, split by layers; pictures->text need not be filled. No
 * stage of the text takes longer than `limit` seconds; INFINITY: as long as must be. E_MEMORY if there is none. */
int text_beside(struct part *out, const struct text_job *text, const struct vision_job *pictures, double limit, struct err *why);
