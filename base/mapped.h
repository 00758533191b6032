/* base/mapped.h — a file from outside, mapped into memory so that it can be looked at in place or read piece by piece. */
#ifndef BASE_MAPPED_H
#define BASE_MAPPED_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapped {
    char *path; /* a copy, for sentences */
    int fd;
    const uint8_t *data; /* never NULL once open */
    uint64_t bytes;
};

/* E_FILE unless it is a regular file of at most `most` bytes. On failure nothing is left to close; closing twice is fine. */
int mapped_open(struct mapped *m, const char *path, uint64_t most, struct err *why);
void mapped_close(struct mapped *m);

/* n bytes from `from` by pread, so that a disk's failure is a sentence and not a signal. */
int mapped_read(const struct mapped *m, uint64_t from, void *out, size_t n, struct err *why);

/* Gives the memory of the pages that lie wholly inside back to the system; they are read again when they are next touched. */
void mapped_forget(const void *from, size_t bytes);

/* "DIR/NAME", for the caller to free; NULL without memory. */
char *path_in(const char *dir, const char *name);
bool is_folder(const char *path);
bool is_file(const char *path);

#endif
