/* base/name_table.c — see name_table.h: open addressing, one hash of the name, the next free slot. */
#include "base/name_table.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

int name_table_open(struct name_table *t, size_t names, struct err *why)
{
    uint32_t slots = 16;
    while (slots < 2 * names) slots *= 2;
    t->slots = calloc(slots, sizeof *t->slots);
    if (!t->slots) return fail(why, E_MEMORY, "no memory for a table of %zu names", names);
    t->mask = slots - 1;
    return 0;
}

void name_table_close(struct name_table *t)
{
    free(t->slots);
    *t = (struct name_table){0};
}

/* The slot where `name` is or would be. */
static uint32_t slot_of(const struct name_table *t, const char *name, name_at *at, const void *list)
{
    uint32_t i = (uint32_t)hash64(name, strlen(name)) & t->mask;
    while (t->slots[i] && strcmp(at(list, t->slots[i] - 1), name)) i = (i + 1) & t->mask;
    return i;
}

bool name_table_add(struct name_table *t, const char *name, size_t place, name_at *at, const void *list, size_t *taken)
{
    uint32_t *slot = &t->slots[slot_of(t, name, at, list)];
    if (*slot) {
        *taken = *slot - 1;
        return false;
    }
    *slot = (uint32_t)place + 1;
    return true;
}

long name_table_find(const struct name_table *t, const char *name, name_at *at, const void *list)
{
    return (long)t->slots[slot_of(t, name, at, list)] - 1;
}
