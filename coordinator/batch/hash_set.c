/* coordinator/batch/hash_set.c — see hash_set.h. A table with open addressing, at most half full. */
#include "coordinator/batch/hash_set.h"

#include <stdlib.h>

struct hash_set {
    uint64_t *hash; /* [room], 0: free */
    size_t n, room; /* a power of two */
};

static uint64_t *place_of(uint64_t *table, size_t room, uint64_t hash)
{
    size_t i = (size_t)hash & (room - 1);
    while (table[i] && table[i] != hash) i = (i + 1) & (room - 1);
    return &table[i];
}

static int grow(struct hash_set *s, struct err *why)
{
    const size_t room = s->room ? 2 * s->room : 1024;
    uint64_t *table = calloc(room, sizeof *table);
    if (!table) return fail(why, E_MEMORY, "no memory for %zu names of a job", room / 2);
    for (size_t i = 0; i < s->room; i++)
        if (s->hash[i]) *place_of(table, room, s->hash[i]) = s->hash[i];
    free(s->hash);
    s->hash = table;
    s->room = room;
    return 0;
}

int hash_set_open(struct hash_set **out, struct err *why)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory for the names of a job");
}

void hash_set_close(struct hash_set **s)
{
    if (*s) free((*s)->hash);
    free(*s);
    *s = NULL;
}

bool hash_set_has(const struct hash_set *s, uint64_t hash)
{
    return s->room && *place_of(s->hash, s->room, hash ? hash : 1);
}

int hash_set_add(struct hash_set *s, uint64_t hash, struct err *why)
{
    if (2 * s->n >= s->room) TRY(grow(s, why));
    uint64_t *place = place_of(s->hash, s->room, hash ? hash : 1);
    s->n += !*place;
    *place = hash ? hash : 1;
    return 0;
}
