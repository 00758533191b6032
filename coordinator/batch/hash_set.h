/* coordinator/batch/hash_set.h — what a job has had already, as hashes of 64 bits: custom_ids, pictures. 16 bytes for each; among a
 * million different ones two that are taken for one come once in forty million jobs. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct hash_set;

int hash_set_open(struct hash_set **out, struct err *why);
void hash_set_close(struct hash_set **s); /* sets *s to NULL; NULL is fine */
bool hash_set_has(const struct hash_set *s, uint64_t hash);
int hash_set_add(struct hash_set *s, uint64_t hash, struct err *why); /* again is fine */
