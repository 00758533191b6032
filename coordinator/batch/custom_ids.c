/* coordinator/batch/custom_ids.c — see custom_ids.h. A table of hashes with open addressing, at most half full. */
#include "coordinator/batch/custom_ids.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

struct custom_ids {
    uint64_t *hash; /* [room], 0: free */
    size_t n, room; /* a power of two */
};

static uint64_t *place_of(uint64_t *table, size_t room, uint64_t hash)
{
    size_t i = (size_t)hash & (room - 1);
    while (table[i] && table[i] != hash) i = (i + 1) & (room - 1);
    return &table[i];
}

static int grow(struct custom_ids *c, struct err *why)
{
    const size_t room = c->room ? 2 * c->room : 1024;
    uint64_t *table = calloc(room, sizeof *table);
    if (!table) return fail(why, E_MEMORY, "no memory for %zu custom_ids", room / 2);
    for (size_t i = 0; i < c->room; i++)
        if (c->hash[i]) *place_of(table, room, c->hash[i]) = c->hash[i];
    free(c->hash);
    c->hash = table;
    c->room = room;
    return 0;
}

int custom_ids_open(struct custom_ids **out, struct err *why)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory for custom_ids");
}

void custom_ids_close(struct custom_ids **c)
{
    if (*c) free((*c)->hash);
    free(*c);
    *c = NULL;
}

int custom_ids_add(struct custom_ids *c, const char *id, bool *twice, struct err *why)
{
    uint64_t hash = hash64(id, strlen(id));
    if (!hash) hash = 1;
    if (2 * c->n >= c->room) TRY(grow(c, why));
    uint64_t *place = place_of(c->hash, c->room, hash);
    *twice = *place != 0;
    c->n += !*twice;
    *place = hash;
    return 0;
}
