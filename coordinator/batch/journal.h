/* coordinator/batch/journal.h — what of a job is done, on disk, so that a killed coordinator's work is not lost.
 *
 * A text file, one record a line, only ever appended to:
 *
 *   {"journal":1,"weights":"…","tokenizer":"…",…,"crc32c":"…"}                       first: all that can change a word of a result
 *   {"tokens":17,"choice":0,"from":32,"ids":[…],"crc32c":"…"}                         more of line 17's answer; not synced
 *   {"done":17,"ok":true,"hash":"…","result":{…},"crc32c":"…"}                        line 17's result, as it is written to the output
 *   {"begun":17,"crc32c":"…"}                                                         line 17 is asked; not synced
 *   {"picture":"a.png","is":"…","crc32c":"…"}                                         a line is asked with this picture: the hash of its pixels
 *   {"ended":true,"crc32c":"…"}                                                       the output was written
 *   {"opened":true,…}, {"stopped":true,…}, {"retry":true,…}                           a run begins; ends in good order; failed lines again
 *
 * A record counts when its newline is there and its CRC-32C, taken over all bytes of the line before `,"crc32c"`, is right. A
 * record that was being written when the machine stopped is a tail without that: it is cut off when the journal is opened. A
 * wrong record with right ones behind it is damage, and refused: journal_repair keeps the right ones.
 *
 *   open ──► what was there is read ──► append, append, journal_sync ──► … ──► journal_end ──► close
 *
 * A line that was under way when three runs in a row ended without a word, a finished line or a token may be what ends them:
 * journal_crashes counts for each.
 *
 * Two coordinators are kept apart by NAME.lock, which is never renamed or removed while it is held.
 * Memory: for each line 8 bytes, for each picture 32, and the ids of the answers that were under way. */
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "coordinator/text/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One thing a result depends on: "weights" and its hash as text. */
struct journal_fact {
    const char *name;
    char value[120];
};

enum journal_mode {
    JOURNAL_NEW,       /* an existing journal is refused */
    JOURNAL_RESUME,    /* goes on with one that is there, and begins one where none is */
    JOURNAL_OVERWRITE, /* forgets what is there */
    JOURNAL_LOOK,      /* only reads; for journal_state */
};

struct journal_setup {
    const char *path;
    enum journal_mode mode;
    bool no_lock; /* the file system has no locks */
    bool retry;   /* lines that failed are asked again */
    size_t lines; /* of the job */
    const struct journal_fact *facts;
    size_t n_facts;
};

struct journal;

/* E_FILE: there is one already, it is of another job (says which fact differs), damaged, or held by another process. */
int journal_open(struct journal **out, const struct journal_setup *setup, struct err *why);
void journal_close(struct journal **j); /* sets *j to NULL; NULL is fine */

/* A journal that is NULL knows nothing and keeps nothing of what is put into it: for a job whose results nobody wants. */
bool journal_ended(const struct journal *j);
size_t journal_done(const struct journal *j);   /* lines that have a result */
size_t journal_failed(const struct journal *j); /* of these, lines whose result is an error */
bool journal_is_done(const struct journal *j, size_t line);
uint32_t journal_crashes(const struct journal *j, size_t line);
/* The ids that choice `choice` of a line, not done, had when the job stopped; NULL: none. */
const struct ids *journal_tokens(const struct journal *j, size_t line, uint32_t choice);

/* Nothing is safe before journal_sync. A second result of one line must be the first's: E_WORKER, and the first stays. */
struct journal_tokens {
    size_t line;
    uint32_t choice;
    size_t from; /* of the answer: so many came before these */
};
int journal_put_tokens(struct journal *j, const struct journal_tokens *where, const uint32_t *ids, size_t n, struct err *why);
int journal_put_begun(struct journal *j, size_t line, struct err *why);
/* *same: false if an earlier line, of this run or another, was asked with another picture of this name. */
int journal_put_picture(struct journal *j, const char *name, struct hash128 hash, bool *same, struct err *why);
int journal_put_done(struct journal *j, size_t line, bool ok, const char *result, size_t n, struct err *why);
int journal_sync(struct journal *j, struct err *why);
int journal_stop(struct journal *j, struct err *why); /* the run ends before the job, in good order */
int journal_end(struct journal *j, struct err *why);

/* The result of a line that is done, as it was put. *result is the caller's. */
int journal_result(struct journal *j, size_t line, bool *ok, char **result, size_t *n, struct err *why);

/* All results in the order in which they were put. */
typedef int journal_visit(void *user, bool ok, const char *result, size_t n, struct err *why);
int journal_walk(struct journal *j, journal_visit *visit, void *user, struct err *why);

/* How far a job is, from its journal alone. */
struct journal_state {
    size_t lines, done, failed; /* lines: blank ones too until the job has ended, as the journal cannot know them */
    bool ended, running; /* somebody holds it */
};
int journal_look(struct journal_state *out, const char *path, struct err *why);

/* Whether a process holds the journal of this path. */
bool journal_is_held(const char *path);

/* Writes the records that are right to `path` again, the wrong ones left out. *lost: how many those were. E_FILE of one that is held,
 * is no journal, or has lost its first record. */
int journal_repair(const char *path, size_t *lost, struct err *why);
