/* coordinator/report/ask_table.c — see ask_table.h. */
#include "coordinator/report/ask_table.h"

#include "base/growing.h"

#include <string.h>

struct ask_entry *ask_table_find(const struct ask_table *u, uint64_t number)
{
    size_t low = 0, high = u->n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (u->of[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < u->n && u->of[low].number == number ? &u->of[low] : NULL;
}

void ask_table_add(struct ask_table *u, const struct ask_entry *ask)
{
    struct ask_entry *of = array_with_room(u->of, u->n, &u->room, sizeof *of);
    if (!of) return;
    u->of = of;
    u->of[u->n++] = *ask;
}

void ask_table_end(struct ask_table *u, struct ask_entry *ask)
{
    memmove(ask, ask + 1, (size_t)(u->of + u->n - (ask + 1)) * sizeof *ask);
    u->n--;
}
