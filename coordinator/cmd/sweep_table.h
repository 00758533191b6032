/* coordinator/cmd/sweep_table.h — what a sweep has measured, a line of a CSV for each point; docs/curves/README.md names the columns.
 *
 * The file is only ever added to, a whole line at a time, and each is on the disk before the next point begins. So whatever ends a
 * sweep, what was measured stays; a line that was being written then is cut off when the table is opened again.
 * Two sweeps are kept off one table by a lock on the file. */
#pragma once

#include "base/hash.h"
#include "coordinator/cmd/options.h"

struct sweep_key { /* what a point is, and whether it was measured already */
    struct hash128 model;  /* fingerprint of the weights */
    struct hash128 load;   /* of the file of requests; 0: prompts drawn at random */
    uint64_t settings;     /* hash of what else can change the speed */
    uint32_t value[SWEPT]; /* 0: left to the program, or to the requests; of the prefix: none */
};

/* The columns behind the key's, in the order of the table. */
enum measured {
    OF_REQUESTS, OF_FAILED, OF_SECONDS, OF_INPUT_TOKENS, OF_REUSED_TOKENS, OF_OUTPUT_TOKENS, OF_OUTPUT_THROUGHPUT, OF_INPUT_THROUGHPUT,
    OF_REQUEST_THROUGHPUT, OF_TTFT_MEDIAN, OF_TTFT_P99, OF_TPOT_MEDIAN, OF_TPOT_P99, OF_BUBBLE, OF_WIRE, OF_PLANNED, OF_MEASURED, OF_READY,
    MEASURED
};

struct sweep_row {
    struct sweep_key key;
    double measured[MEASURED];
};

struct sweep_table;

/* `path` NULL: nothing is kept beyond this run, and points are printed. E_FILE: it is no such table, it is damaged, or another sweep
 * has it. */
int sweep_table_open(struct sweep_table **out, const char *path, struct err *why);
void sweep_table_close(struct sweep_table **t); /* sets *t to NULL; NULL is fine */

const struct sweep_row *sweep_table_find(const struct sweep_table *t, const struct sweep_key *key); /* NULL: not measured yet */
int sweep_table_add(struct sweep_table *t, const struct sweep_row *row, struct err *why); /* on the disk when it returns */
