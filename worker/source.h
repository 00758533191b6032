/* worker/source.h — where a stage's weights come from: a shard, the coordinator's own file, or the coordinator.
 *
 * A file is used only if it is of the same model (by fingerprint) and has every tensor of the part in the shape and
 * number format assigned. Otherwise there is no source, and the part is sent. */
#pragma once

#include "base/hash.h"
#include "partition/model/vision_weights.h"
#include "partition/model/weights.h"

#include <stdbool.h>

struct source {
    struct gguf *shard;
    struct model *model;
    struct vision_model *encoder;
};

/* What the assignment says. */
struct wanted {
    enum chain chain;
    struct part part;
    struct hash128 fingerprint;
    const char *path; /* of the chain's file on the coordinator's host; NULL or "": do not look */
    struct tensor *tensors; /* of the part, shapes and types set; data is set if a source is found */
    uint32_t count;
};

/* Looks at `shard` (may be NULL), then at the path. What does not fit is said in one line and passed over. True if the
 * tensors now point into a mapped file, which lives until source_close. */
bool source_open(struct source *s, const struct wanted *w, const char *shard);
const struct gguf *source_file(const struct source *s);
void source_close(struct source *s); /* twice is fine */
