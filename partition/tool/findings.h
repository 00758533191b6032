/* partition/tool/findings.h — what `inspect` found out, before it is printed: filled by findings.c, shown by inspect.c.
 *
 * Everything that came from a file as text is made printable on the way in. */
#pragma once

#include "base/hash.h"
#include "partition/checkpoint/checkpoint.h"
#include "partition/model/memory.h"
#include "partition/file/shard_file.h"

#define QUIRKS_MOST 24
#define TYPES_MOST 16

enum find { FIND_TEXT, FIND_VISION, FIND_SHARD, FIND_CHECKPOINT, FIND_OTHER };

struct findings {
    enum find find;
    char path[1024], architecture[128], name[128];
    uint64_t bytes;
    int files;
    size_t tensors;
    struct type_sum {
        const char *name;
        uint64_t count, bytes;
    } types[TYPES_MOST];
    int n_types;

    bool has_config;           /* the text model's sizes are known */
    struct model_config config;
    const char *head_type;     /* NULL: not known */
    bool tied;                 /* the head is the embedding table */
    bool has_vision;
    struct hf_vision_config vision;
    uint32_t projection;       /* of a picture encoder: the hidden size of its text model */
    struct shard_label shard;  /* of a worker's shard */

    bool has_fingerprint;
    struct hash128 fingerprint;
    bool has_memory;           /* one worker, one sequence of `context` */
    uint32_t context;
    struct part_bytes memory;

    bool runs;
    char verdict[640];         /* why not, or what it takes */
    char quirks[QUIRKS_MOST][300];
    int n_quirks;
};

/* One of `g` and `c` is left open for listings; the caller closes both. */
int findings_of(struct findings *f, const char *path, uint32_t context, struct gguf **g, struct checkpoint **c,
                struct err *why);

/* Adds a sentence to the quirks. */
void quirk(struct findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* quirks.c: what is unusual about these, though it may run. `m` is NULL for a picture encoder. */
int quirks_of_text(struct findings *f, const struct model *m, struct err *why);
int quirks_of_vision(struct findings *f, const struct gguf *g, struct err *why);
