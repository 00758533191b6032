/* coordinator/report/ask_table.h — the asks that are under way, by number, and which of their rows entered the pipe before. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ask_entry {
    uint64_t number;
    size_t ask;       /* the watcher's own: which it is among those it keeps */
    uint32_t rows;    /* of its prompt */
    uint32_t reached; /* that entered the pipe at least once */
};

struct ask_table {
    struct ask_entry *of; /* [n], numbers ascend */
    size_t n, room;
};

void ask_table_add(struct ask_table *u, const struct ask_entry *ask); /* its number is above all before; without memory it is not found later */
struct ask_entry *ask_table_find(const struct ask_table *u, uint64_t number); /* NULL: it is not there */
void ask_table_end(struct ask_table *u, struct ask_entry *ask);
