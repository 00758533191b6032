/* partition/file/gguf_hashes.h — what the hash of each tensor of a GGUF file is, as far as it is known.
 *
 * A hash is known when somebody has read all of the tensor: the coordinator, to send it or to compare it. What is known is kept
 * from run to run in a small file under XDG_CACHE_HOME/gemmapipe (or ~/.cache/gemmapipe), named by the model's device and inode,
 * and good as long as size, time of writing and time of change of all its files are the same to the nanosecond. Where nothing
 * can be kept there it is only found out again.
 *
 * A part of the head is known by itself, as the tensor it is to its worker.
 * Threads: one. */
#pragma once

#include "partition/file/gguf.h"
#include "partition/model/part.h"

struct gguf_hashes;

/* The file must stay open as long. */
int gguf_hashes_open(struct gguf_hashes **out, const struct gguf *g, struct err *why);
void gguf_hashes_close(struct gguf_hashes **h); /* sets *h to NULL; NULL is fine */

uint64_t gguf_hash(struct gguf_hashes *h, const struct tensor *t); /* 0: not known */
int gguf_hash_learn(struct gguf_hashes *h, const struct tensor *t, uint64_t hash, struct err *why);

/* For later runs, if there is something new and the file has stayed what it was: else hashes may be of this and of that. */
void gguf_hashes_keep(struct gguf_hashes *h);
