/* coordinator/serve/file_calls.h — /v1/files and /v1/batches: what is kept for clients, each seen by its owner alone.
 *
 * On the library's thread: a file of 64 MiB is on the disk before others are heard, which is a moment. */
#pragma once

#include "coordinator/serve/reply.h"
#include "coordinator/serve/store.h"

bool is_file_path(const char *path); /* one of these */

/* Answers. True: there is a new batch, or one less, which the engine's thread should hear of. `store` NULL: nothing is kept here. */
bool file_call(struct exchange *x, struct store *store, struct hash128 owner);
