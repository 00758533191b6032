/* coordinator/batch/record.h — one line of a journal: what it says, and whether it is right. The forms are in journal.h. */
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "coordinator/text/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum record_kind { RECORD_WRONG, RECORD_FACTS, RECORD_TOKENS, RECORD_DONE, RECORD_ENDED, RECORD_OPENED, RECORD_BEGUN, RECORD_STOPPED,
                   RECORD_RETRY, RECORD_PICTURE };

struct record {
    enum record_kind kind; /* RECORD_WRONG: no line of a journal, or not whole */
    uint64_t line;         /* of the job */
    uint32_t choice;
    uint64_t from; /* of RECORD_TOKENS */
    struct ids ids; /* of RECORD_TOKENS; owned */
    uint64_t name;     /* of RECORD_PICTURE: hash64 of it */
    struct hash128 is; /* of its pixels */
    bool ok;
    size_t result_at, result_bytes; /* of RECORD_DONE, in the text */
};

/* text[0..n) without its newline. Only E_MEMORY. record_free in any case. */
int record_read(struct record *r, const char *text, size_t n, struct err *why);
void record_free(struct record *r);

/* The value of a fact in the first record, into out; false if it has none of that name. */
bool record_fact(const char *text, size_t n, const char *name, char out[120]);

/* The end of a record, whose bytes without it are text[0..n): `,"crc32c":"…"}\n`. */
#define RECORD_END_BYTES 22
void record_end(char out[RECORD_END_BYTES + 1], const char *text, size_t n);
