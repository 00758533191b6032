/* coordinator/engine/pictures.h — pictures on their way through the encoder, and the rows they became.
 *
 * A picture is known by its pixels: the same picture asked about twice, in one conversation or by several prompts, goes
 * through the encoder once. Rows that nobody needs are kept for a while (PICTURES_KEPT), then given up; of a picture that is still held they are made again from
 * its file's bytes when somebody needs them once more.
 * Threads: one, the engine's. */
#pragma once

#include "base/hash.h"
#include "coordinator/picture/image.h"
#include "coordinator/cluster/pipeline.h"
#include "coordinator/engine/watch.h"

#define PICTURES_KEPT 16
#define SUSPECTED_MOST 2 /* times that a worker is lost while something is computed, until that goes alone */

struct pictures;

/* `watchers` must stay. `beside`: those of another pipeline that computes the same, or NULL: both have the same pictures then, by the same
 * numbers, and each goes through one of the encoders. */
int pictures_open(struct pictures **out, struct pipeline *p, const struct watchers *watchers, const struct pictures *beside, struct err *why);
void pictures_close(struct pictures **ps);

/* A picture of the encoder's own size (image_resize). Its pixels and what they are of are taken over, also on failure. *number holds one
 * reference: give it back with pictures_release. */
int pictures_add(struct pictures *ps, struct image *square, struct image_origin *origin, uint32_t *number, struct err *why);
void pictures_hold(struct pictures *ps, uint32_t number); /* one reference more */
void pictures_release(struct pictures *ps, uint32_t number);

/* Somebody who holds it needs its rows, or does not need them for now: each as often. Of those that nobody needs the PICTURES_KEPT that were
 * used last keep theirs. */
void pictures_want(struct pictures *ps, uint32_t number);
void pictures_enough(struct pictures *ps, uint32_t number);

/* Sends what may enter the encoder now. */
int pictures_send(struct pictures *ps, struct err *why);
int pictures_take(struct pictures *ps, int worker, struct frame *frame, struct err *why); /* M_PICTURE_ROWS, from this worker of the plan */

/* The worker of the plan that is to send the rows of a picture under way; -1: none is. */
int pictures_owed_by(const struct pictures *ps);

/* The workers have forgotten what was under way, and the plan may be another: it goes out again. */
int pictures_restart(struct pictures *ps, struct err *why);

/* This pipeline is gone for good: what was under way here others may send. */
void pictures_part(struct pictures *ps);

/* A worker was lost: any of those under way may be why. One that was often enough goes alone. Returns how many are under way. */
uint32_t pictures_suspect(struct pictures *ps);
bool pictures_alone(const struct pictures *ps); /* such a one waits, or is under way */
bool pictures_blamed(const struct pictures *ps, uint32_t number); /* it was so once more then, and is not sent again */

const float *pictures_rows(const struct pictures *ps, uint32_t number); /* [tokens, hidden], NULL until they are there */
uint32_t pictures_row_id(const struct pictures *ps, uint32_t number, uint32_t row); /* what stands for it in struct row */
struct hash128 pictures_hash(const struct pictures *ps, uint32_t number); /* of its pixels */
uint32_t pictures_underway(const struct pictures *ps); /* not there yet, sent or not */
