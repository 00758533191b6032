/* coordinator/batch/outputs.h — the files of results, made from the journal.
 *
 * In the order of the lines: written at the end, and they have their names only when they are whole. In the order in which they were
 * done: written as they come; what an earlier run had is written again first, so that nothing torn or double is in there. */
#pragma once

#include "coordinator/batch/journal.h"

struct outputs_names {
    const char *out;    /* "-": standard output */
    const char *errors; /* of lines that failed; NULL: beside the others */
};

/* E_FILE, E_USAGE: one of them cannot be written, or is a file that was read. Said before anything is answered. */
int outputs_check(const struct outputs_names *names, struct err *why);

/* All that is done of `lines` lines. The file of errors is made only if there are some. */
int outputs_write(const struct outputs_names *names, struct journal *j, size_t lines, struct err *why);

struct outputs;

int outputs_open(struct outputs **out, const struct outputs_names *names, struct journal *j, struct err *why);
int outputs_add(struct outputs *o, bool ok, const char *result, size_t n, struct err *why); /* kept until outputs_flush */
int outputs_flush(struct outputs *o, struct err *why);
int outputs_close(struct outputs **o, struct err *why); /* flushed and on the disk; sets *o to NULL; NULL is fine */
