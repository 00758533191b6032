/* base/whole_file.h — a file that has its name only when it is whole, so that a name never stands for half of it.
 *
 * Until whole_file_close gives it the name, the bytes are in a file without one, or in PATH.partial where the file
 * system knows no nameless files (then a process that is killed leaves that behind). What had the name before stays as
 * it was until then, and for good if anything fails. Before the name is given all bytes are on the disk.
 * A device or a pipe is written as it is; "-" is standard output. What this process has read (base/inputs.h) is never written over. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct whole_file;

int whole_file_open(struct whole_file **out, const char *path, struct err *why);

/* For what is printed. It belongs to the file; what fails is remembered and told by whole_file_close. */
FILE *whole_file_stream(struct whole_file *f);

/* Past the stream's buffer, after what is in it. */
int whole_file_write(struct whole_file *f, const void *bytes, size_t n, struct err *why);

/* Takes room for all `bytes` of the file before the first is written, where the file system can: a full disk is told
 * at once with both numbers, not after an hour. */
int whole_file_reserve(struct whole_file *f, uint64_t bytes, struct err *why);

/* For what can be made again: its name is given before its bytes are on the disk, so after a loss of power they may be others. */
void whole_file_may_be_lost(struct whole_file *f);

/* With code 0: gives the file its name. With another, or if that fails: removes what was written. Returns the code.
 * Sets *f to NULL; NULL is fine. */
int whole_file_close(struct whole_file **f, int code, struct err *why);
