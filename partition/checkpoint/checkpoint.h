/* partition/checkpoint/checkpoint.h — a Hugging Face folder of Gemma 3, seen as the tensors of the GGUF files it becomes.
 *
 * Opening reads config.json and the safetensors headers, and holds the tensors against the
 * architecture: each one wanted is there, in its shape, under any of the name styles in use; none is there that is not
 * wanted. A stored lm_head that equals the embeddings is left out, another one becomes output.weight.
 *
 * Memory:  the weights are mapped. Who walks over them gives the pages back with mapped_forget, or reads with
 *          checkpoint_read, which keeps nothing mapped.
 * Threads: read-only after checkpoint_open, so any number may look and read. */
#pragma once

#include "partition/model/part.h"
#include "partition/file/gguf_write.h"
#include "partition/checkpoint/hf_config.h"


/* What a tensor is for decides which number formats it may have in the GGUF file. */
enum tensor_use {
    USE_EMBEDDING,  /* token_embd.weight: the format of --embd */
    USE_HEAD,       /* output.weight, likewise */
    USE_MATRIX,     /* any whose rows are whole blocks; F16 where they are not (the second matrix of picture MLPs) */
    USE_PROJECTION, /* always F16, as published files have it: it multiplies from the right */
    USE_F32,        /* always F32: norms, biases, patches and positions */
};

struct checkpoint_tensor {
    char name[64];          /* in the GGUF file, new style */
    const char *source;     /* in the checkpoint, for sentences */
    enum tensor_use use;
    enum chain part;
    uint32_t type;          /* of the source: T_F32, T_F16 or T_BF16 */
    uint32_t n_dims;        /* 1..4 */
    uint64_t dims[4];       /* GGUF order: dims[0] is the contiguous one; unused ones are 1 */
    uint64_t elements, bytes;
    bool add_one;           /* RMSNorms: the file stores w, GGUF 1 + w; added in float32 */
    const uint8_t *data;    /* mapped, little-endian, not necessarily aligned */
    uint32_t file;          /* which safetensors file, for checkpoint_path */
    uint64_t offset;        /* of the data in that file */
};

struct checkpoint;

int checkpoint_open(struct checkpoint **out, const char *dir, struct err *why);
void checkpoint_close(struct checkpoint **c); /* sets *c to NULL; NULL is fine */

const struct hf_config *checkpoint_config(const struct checkpoint *c);
bool checkpoint_has_vision(const struct checkpoint *c); /* the tensors, not only the config */

/* Tensors of one part in the order they have in the GGUF file: embedding, layers, norm, head. */
size_t checkpoint_count(const struct checkpoint *c, enum chain part);
const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *c, enum chain part, size_t i);

/* Safetensors files: names for sentences, bytes for progress. */
uint32_t checkpoint_files(const struct checkpoint *c);
const char *checkpoint_path(const struct checkpoint *c, uint32_t file);

/* n bytes of a tensor from `from`, by pread: E_FILE if the file cannot be read or has become shorter. */
int checkpoint_read(const struct checkpoint *c, const struct checkpoint_tensor *t, uint64_t from, void *out, size_t n,
                    struct err *why);

/* The tokens, fitted to the rows of the embeddings; which file gave what becomes remarks. E_FILE if there are none, or
 * they are damaged, or more than rows. Not thread-safe. */
int checkpoint_read_tokens(struct checkpoint *c, struct err *why);

/* All metadata of one part into `o`: general.* (general.file_type is `file_type`), sizes, and for the text the tokens,
 * which checkpoint_read_tokens has read, and the chat template. */
int checkpoint_put_metadata(const struct checkpoint *c, struct gguf_out *o, enum chain part, uint32_t file_type,
                            struct err *why);

/* What a person should know about this folder: one line at a time, i from 0, until false. For `inspect` and `quantize`. */
bool checkpoint_remark(const struct checkpoint *c, size_t i, char *out, size_t room);
