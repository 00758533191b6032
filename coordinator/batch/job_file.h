/* coordinator/batch/job_file.h — the lines of a job, read first to count and hash them, and then, one by one, to answer them.
 *
 * The first reading makes the job's name: the hash of all its bytes. What the second reading finds is held against the first, line
 * by line, so that a file that was edited in between is noticed before a wrong line is answered.
 *
 * A line ends with \n or \r\n; the last may end with the file. A byte order mark before the first is passed over. Blank lines count
 * and ask for nothing.
 *
 * Memory: 4 bytes for each line, and the line that was read last. */
#pragma once

#include "base/error.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_LINE_MOST ((size_t)64 << 20) /* bytes */

struct job_file;

/* Reads all of it once. E_FILE. */
int job_file_open(struct job_file **out, const char *path, struct err *why);
void job_file_close(struct job_file **f); /* sets *f to NULL; NULL is fine */

size_t job_file_lines(const struct job_file *f);
struct hash128 job_file_hash(const struct job_file *f); /* hash128 of all its bytes */

/* Line number `line`, from 1, without its line end; good until the next call. text->n over JOB_LINE_MOST: it was not read, and
 * text->text is NULL. E_FILE if it is not what it was. */
struct job_line {
    const char *text;
    size_t n;
    bool blank;
};
int job_file_line(struct job_file *f, size_t line, struct job_line *out, struct err *why);

/* Bytes behind the line that was read last. */
uint64_t job_file_unread(const struct job_file *f);

/* The file still is what it was when it was opened. */
int job_file_check(const struct job_file *f, struct err *why);
