/* base/mapped.h — a file from outside, mapped into memory so that it can be looked at in place or read piece by piece.
 *
 * What others may do to a file while it is open has an answer here. A pipe, a device or a folder is refused by name before
 * anything waits for it. A file that is cut short under the mapping ends the process with a sentence and E_FILE, not with a
 * signal; who copies bytes anyway reads them with file_read and gets the sentence as an error. file_unchanged tells whether
 * what was read is of one piece. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What tells a file from another one, and from itself before it was written to. */
struct file_state {
    uint64_t device, inode, bytes, written_ns; /* when its bytes last changed */
    uint64_t changed_ns; /* or its name, its owner, its time */
};

/* Opens a regular file to be read; what is none is refused by what it is. *fd is -1 if it fails. */
int file_open(int *fd, const char *path, struct file_state *state, struct err *why);

/* E_FILE if the file behind fd was written to or cut since `was`. */
int file_unchanged(int fd, const char *path, const struct file_state *was, struct err *why);

/* A file that was written to within its file system's tick looks the same before and after, so a young one is not settled: what was
 * found of it is not worth noting down. */
bool file_settled(const struct file_state *s);

/* n bytes from `from` by pread, so that a disk's failure, or a file that is shorter by now, is a sentence and not a signal. */
int file_read(int fd, const char *path, uint64_t from, void *out, size_t n, struct err *why);

/* Maps the first `bytes` of a file for reading, and unmaps it. NULL with errno. The path stays the caller's, until then. */
const uint8_t *map_open(int fd, const char *path, uint64_t bytes);
void map_close(const uint8_t *map, uint64_t bytes);

struct mapped {
    char *path; /* a copy, for sentences */
    int fd;
    const uint8_t *data; /* never NULL once open */
    uint64_t bytes;
};

/* E_FILE unless it is a regular file of at most `most` bytes. On failure nothing is left to close; closing twice is fine. */
int mapped_open(struct mapped *m, const char *path, uint64_t most, struct err *why);
void mapped_close(struct mapped *m);

int mapped_read(const struct mapped *m, uint64_t from, void *out, size_t n, struct err *why);

/* Gives the memory of the pages that lie wholly inside back to the system; they are read again when they are next touched. */
void mapped_forget(const void *from, size_t bytes);

/* "DIR/NAME", for the caller to free; NULL without memory. */
char *path_in(const char *dir, const char *name);
/* Where programs keep what can be made again: gemmapipe in $XDG_CACHE_HOME, else in ~/.cache. It is made if it is not there; NULL if
 * nobody says where. For the caller to free. */
char *cache_folder(void);
bool is_folder(const char *path);
bool is_file(const char *path);
