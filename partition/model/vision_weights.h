/* partition/model/vision_weights.h — the picture encoder as named, checked tensors, and a worker's part of them.
 *
 * As partition/model/weights.h does for the text model: every tensor has a role, its shape follows from the config, and a file
 * holds exactly these tensors (439 in the real one) or is refused. Older files call the two matrices of the ffn the
 * wrong way round; their shapes tell, and here UP always is the first. */
#pragma once

#include "base/hash.h"
#include "partition/format/blocks.h"
#include "partition/model/part.h"
#include "partition/model/vision_config.h"

#include <stdbool.h>

enum vision_role {
    V_LN1, V_LN1_BIAS, V_Q, V_Q_BIAS, V_K, V_K_BIAS, V_V, V_V_BIAS, V_O, V_O_BIAS, V_LN2, V_LN2_BIAS, V_UP, V_UP_BIAS,
    V_DOWN, V_DOWN_BIAS,
    V_LAYER_ROLES, /* the roles above stand once per layer, in this order */
    V_PATCH = V_LAYER_ROLES, V_PATCH_BIAS, V_POSITIONS,
    V_POST, V_POST_BIAS, V_SOFT_NORM, V_PROJECTION,
    V_ROLES
};

struct gguf;

/* A whole encoder. Where there is no file its tensors have shapes and types, but no data. */
struct vision_model {
    struct gguf *file;
    struct vision_config config;
    struct tensor *layer_tensors; /* [layers * V_LAYER_ROLES] */
    struct tensor rest[V_ROLES - V_LAYER_ROLES];
    struct hash128 fingerprint;
};

/* Order of tensors: patch embedding, layers ascending, projector. */
struct tensor vision_tensor(const struct vision_config *c, enum vision_role role, uint32_t layer); /* F32, no data */
bool vision_type_is_possible(const struct tensor *t); /* may a tensor of this role have this number format? */
void vision_part_shape(const struct vision_config *c, struct part s, struct tensor *out); /* type 0 but for vectors, no data */
void vision_part_tensors(const struct vision_model *m, struct part s, struct tensor *out);

/* A description that came from the wire: first, end, roles, shapes and types must be possible. E_WIRE. */
int vision_part_check(const struct vision_config *c, struct part s, const struct tensor *tensors,
                       struct err *why);

const char *vision_role_name(enum vision_role role); /* "attn_q.weight" as in the file's tensor names */
bool vision_role_is_vector(enum vision_role role);   /* norms and biases: F32, one row */

/* How a worker keeps its matrices: as the file has them, or those of the layers as Q8_0 where the file has floats. */
enum vision_type { VISION_AS_FILE, VISION_Q8_0, VISION_FLOAT32 }; /* the last: as the file, for float32 math */

/* Type and columns of a tensor in a worker's memory. Columns of blocks are filled up with zeros; the projection's
 * rows and columns have changed places, so its columns are the file's rows. */
struct vision_kept {
    uint32_t type, rows, cols;
};
struct vision_kept vision_kept(const struct tensor *t, enum vision_type as);
