/* partition/file/packed_file.h — tensors as a worker holds them, in a file that is mapped and computed from where it lies.
 *
 * A file is a group: one layer, or what stands before or behind the layers. Two write it, in one form: `split --packed`, and a worker
 * that keeps on its disk what it has packed. First come the tensors, in the order and to the byte as in memory; then a label: the
 * version of the form and of the panels, the model they were first found in, and of each tensor its name, shape, the hash of its
 * rows as a model's file has them (hash_rows) and the hash of its bytes here.
 *
 * Nothing in a file is believed. Who opens one says which tensors should be inside, and from these follow all sizes: the label is
 * compared, never followed. Before the bytes are used all are hashed, unless that was done since the machine started (verified.h).
 * A file that is cut short later ends the process with a sentence (base/mapped.h).
 *
 * Threads: none is started but by packed_verify. */
#pragma once

#include "base/mapped.h"
#include "partition/model/memory.h"
#include "partition/model/vision_memory.h"
#include "partition/model/weights.h"

#define PACKED_TENSORS 32 /* of a group, at most */
#define PACKED_ENDING ".panels"
#define PACKED_NAME_ROOM 48

struct packed_group {
    const struct tensor *tensors; /* [n] of one chain; data not looked at; to be written: with hashes; to be read: with those known */
    uint32_t n;
    enum vision_type as;
    struct hash128 model; /* fingerprint of its file */
};

/* Of a tensor in memory, and so in the file: a multiple of 64. */
uint64_t packed_tensor_bytes(const struct tensor *t, enum vision_type as);

/* In a folder of its part of a model: "layer-12.panels", "head-0-262144.panels" by its words. */
char *packed_name(char out[PACKED_NAME_ROOM], const struct packed_group *g);

/* By which a group is known whatever model it is found in; false if a tensor's hash is not known. */
bool packed_content(const struct packed_group *g, struct hash128 *out);

struct packed_file {
    char *path;
    int fd;
    const uint8_t *map; /* the tensors; NULL: not open */
    uint64_t bytes, all; /* of the tensors; with the label */
    struct file_state state;
    uint32_t n;
    struct packed_entry {
        uint64_t bytes, hash, packed; /* in the file; of the rows; of these bytes */
    } of[PACKED_TENSORS];
    uint64_t label;
    bool verified;
};

enum packed_found {
    PACKED_FITS,
    PACKED_NONE,  /* no such file */
    PACKED_OTHER, /* of other tensors, or of another model where a hash is not known that would tell */
    PACKED_BAD,   /* cut short, damaged, foreign, or of another version */
};

/* In all cases but the first and PACKED_NONE `why` says what is wrong, and nothing is left to close. */
enum packed_found packed_open(struct packed_file *out, const char *path, const struct packed_group *want, struct err *why);
int packed_check(const struct packed_file *f, int threads, struct err *why); /* all bytes, whenever they were hashed before */
int packed_verify(struct packed_file *f, int threads, struct err *why); /* E_FILE; must be 0 before the bytes are used */
void packed_close(struct packed_file *f); /* twice is fine */

/* Writes one: all bytes of its tensors in order, in pieces that within a tensor are multiples of PACKED_PIECE but for its last. */
#define PACKED_PIECE 1024
struct packed_out;
int packed_out_open(struct packed_out **out, const char *path, const struct packed_group *g, struct err *why);
int packed_out_add(struct packed_out *o, const void *bytes, uint64_t n, struct err *why);
/* It has its name only now. `hashes`: [n] of the rows. `for_good`: it is on the disk too, where nobody could make it again. */
int packed_out_close(struct packed_out **o, const uint64_t *hashes, bool for_good, int code, struct err *why);
