/* coordinator/serve/store.h — files that clients send and fetch, and the batches made of them, on disk below one folder.
 *
 *   DIR/file-<random>.data       its bytes            DIR/batch_<random>.json     which file, whose, how far
 *   DIR/file-<random>.json       whose, and its name  DIR/batch_<random>.journal  docs/BATCH.md, "Journal"
 *
 * Each thing belongs to the API key it came with, noted as a hash; for others it does not exist. A name is 128 random bits, so it cannot be
 * guessed either. What has no .json is not there: it is written last and removed first, so whatever a crash leaves behind is swept away
 * when the store is opened. One process at a time has the folder.
 *
 * Threads: any; each call takes the store's lock. */
#pragma once

#include "base/error.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define STORE_ID 48
#define STORE_NAME 256
#define STORE_THINGS_MOST 10000 /* files, and as many batches */

struct stored_file {
    char id[STORE_ID], name[STORE_NAME], purpose[32];
    struct hash128 owner;
    uint64_t bytes, created; /* seconds since 1970 */
};

enum batch_status { BATCH_IN_PROGRESS, BATCH_CANCELLING, BATCH_COMPLETED, BATCH_FAILED, BATCH_CANCELLED, BATCH_STATUSES };

struct stored_batch {
    char id[STORE_ID], input[STORE_ID], output[STORE_ID], errors[STORE_ID]; /* of files; empty: there is none */
    char endpoint[64], why[600]; /* of one that failed */
    char metadata[1024]; /* JSON, as it came; empty: none */
    struct hash128 owner;
    enum batch_status status;
    uint64_t created, done; /* done 0: it is not over */
    uint64_t lines, completed, failed;
};

struct store;

/* Makes the folder if need be. `most`: bytes of all files together. E_FILE. */
int store_open(struct store **out, const char *folder, uint64_t most, struct err *why);
void store_close(struct store **s); /* NULL is fine */

/* f->id and the times are filled in. E_USAGE: there is no room for it. */
int store_add_file(struct store *s, struct stored_file *f, const char *bytes, struct err *why);
/* The same of a file that was written at store_path(…, f->id, "data") already, under a name of store_name; it is not refused for want of room. */
int store_adopt_file(struct store *s, struct stored_file *f, struct err *why);
void store_name(char id[STORE_ID], const char *kind); /* a new one; empty if the system has no random numbers */
char *store_path(const struct store *s, const char *id, const char *ending); /* the caller's; NULL without memory */
bool store_find_file(struct store *s, struct hash128 owner, const char *id, struct stored_file *out);
int store_remove_file(struct store *s, const char *id, struct err *why);

/* b->id and the time are filled in. */
int store_add_batch(struct store *s, struct stored_batch *b, struct err *why);
int store_note_batch(struct store *s, const struct stored_batch *b, struct err *why); /* as it is now, and on the disk */
void store_count_batch(struct store *s, const struct stored_batch *b); /* its counts alone, which its journal has too */
bool store_find_batch(struct store *s, struct hash128 owner, const char *id, struct stored_batch *out);
int store_remove_batch(struct store *s, const char *id, struct err *why); /* its record alone, not its files. E_USAGE: it is not over */
/* The first that is not over, of all owners. False: there is none. */
bool store_next_batch(struct store *s, struct stored_batch *out);
bool store_reads(struct store *s, const char *id); /* a batch that is not over needs this file */

/* The owner's things, the newest first, `most` of them behind the one called `after` ("": from the newest). Returns how many; *more: there are others. */
size_t store_files(struct store *s, struct hash128 owner, const char *after, struct stored_file *out, size_t most, bool *more);
size_t store_batches(struct store *s, struct hash128 owner, const char *after, struct stored_batch *out, size_t most, bool *more);
