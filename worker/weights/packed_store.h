/* worker/weights/packed_store.h — the folders in which a worker finds layers packed already: a shard that `split --packed` made, and
 * a cache of its own, where it keeps what it has packed itself.
 *
 * In a shard a file is named by what it holds, in the cache by the hash of that. Several workers may have one cache: a file has
 * its name only when it is whole, and what is removed stays with those that have it mapped. */
#pragma once

#include "partition/file/packed_file.h"

struct packed_store {
    const char *shard, *cache; /* folders; NULL: none */
    uint64_t most;     /* bytes of the cache, as far as it is known by its names; 0: as many as the disk has */
    uint64_t begun_ns; /* of this run, by the clock on the wall: what was used since is not given up for other layers */
    bool failed;       /* to keep something, in this run: it was said */
};

void store_begin(struct packed_store *s); /* a new run */

/* The file of this group, to be verified before it is used; out->map is NULL if there is none. E_FILE if the shard has one that is
 * damaged or of another version: it is refused. In the cache such a file is removed, and that is said. */
int store_find(const struct packed_store *s, const struct packed_group *g, struct packed_file *out, struct err *why);

/* What was found in the cache proved to be damaged: says so and removes it. E_FILE if it is the shard's. */
int store_reject(const struct packed_store *s, struct packed_file *f, struct err *why);

/* Nobody finds it any more, if it is the cache's; who has it mapped keeps it. */
void store_forget(const struct packed_store *s, const struct packed_file *f);

/* Writes a group of the cache, from `bytes`, and finds it. Without a cache, room or luck out->map is NULL; why not is said once. */
void store_keep(struct packed_store *s, const struct packed_group *g, const uint8_t *bytes, struct packed_file *out);
