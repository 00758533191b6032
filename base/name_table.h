/* base/name_table.h — finds the place of a name in a list that somebody else keeps.
 *
 * The table has no names of its own, only places; what stands at a place is asked of the list. As many names as it was
 * opened for can be added. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name at place i of the list. */
typedef const char *name_at(const void *list, size_t i);

struct name_table {
    uint32_t *slots; /* place + 1; 0: free. Twice as many as names, so that a search is short. */
    uint32_t mask;
};

/* For at most `names`, fewer than 2^30. E_MEMORY. */
int name_table_open(struct name_table *t, size_t names, struct err *why);
void name_table_close(struct name_table *t); /* a table of {0} is fine */

/* Adds the name that stands at `place`. False if another place has it already: *taken. */
bool name_table_add(struct name_table *t, const char *name, size_t place, name_at *at, const void *list, size_t *taken);

/* The place, or -1. */
long name_table_find(const struct name_table *t, const char *name, name_at *at, const void *list);
