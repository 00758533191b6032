/* partition/file/shard_file.h — a worker's part of a model as a GGUF file of its own, made by `split`, read by `--shard`.
 *
 * It has the model's architecture keys, the part's tensors, and a label: the fingerprint of the whole model, which layers
 * are inside and which parts of the head, and the size of the vocabulary, from which it follows which words those are. Tokens are left out:
 * workers never see text. The head is called output.weight even where the model uses its embedding table; the coordinator
 * keeps that table in the model file. Of a head in parts output.weight has the rows of its words. */
#pragma once

#include "base/hash.h"
#include "partition/model/weights.h"

#define SHARD_FINGERPRINT "gemmapipe.model_fingerprint" /* string, 32 hex digits */
#define SHARD_FIRST "gemmapipe.first_layer"
#define SHARD_END "gemmapipe.end_layer" /* one past the last */
#define SHARD_FIRST_PART "gemmapipe.first_part" /* of the head; equal to the end: none */
#define SHARD_END_PART "gemmapipe.end_part"
#define SHARD_VOCABULARY "gemmapipe.vocabulary"

struct shard_label {
    struct hash128 fingerprint; /* of the whole model */
    struct part part;
    uint32_t vocab;
};

/* Writes the part `s` of `m` to `path`. */
int shard_write(const struct model *m, struct part s, const char *path, struct err *why);

bool is_shard(const struct gguf *g);
int shard_label_read(struct shard_label *out, const struct gguf *g, struct err *why);

/* True if every layer of `wanted`, and every part of the head, is inside `have`. */
bool part_within(struct part wanted, struct part have);

/* Points t[i].data of the tensors of the part `wanted`, whose shapes and types are set, into the shard of this label;
 * E_FILE if one is not there or of another shape or type. */
int shard_tensors(const struct gguf *g, const struct shard_label *label, struct part wanted, struct tensor *t, uint32_t count,
                  struct err *why);
