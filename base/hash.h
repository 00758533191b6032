/* base/hash.h — fingerprints. XXH3 (libxxhash) wherever two parties compare bytes; CRC-32C on every frame.
 *
 * Both are public, seedless and the same on every machine, so another program can compute them: docs/WIRE.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t low, high;
};

uint64_t hash64(const void *bytes, size_t n);
struct hash128 hash128(const void *bytes, size_t n);

static inline bool hash128_same(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* The same as hash128 of bytes that come in pieces. NULL without memory; close frees it and sets it to NULL. */
struct hash_stream;
struct hash_stream *hash_stream_open(void);
void hash_stream_add(struct hash_stream *s, const void *bytes, size_t n);
struct hash128 hash_stream_close(struct hash_stream **s);

/* What rows of a tensor add to its hash, first_row a multiple of 16: the sum, modulo 2^64, over each run of 16 rows, numbered from
 * the tensor's first, of hash_fold(number, hash64 of their bytes). A sum, so that whoever has rows adds them, in any order. */
uint64_t hash_rows(uint32_t first_row, uint32_t rows, const void *bytes, uint64_t row_bytes);

/* "0123456789abcdef0123456789abcdef" into `out`; returns out. And back: false if it is not that. */
char *show_hash128(char out[33], struct hash128 h);
bool read_hash128(struct hash128 *out, const char *text, size_t n);

/* Folds `value` into a running hash; order matters. Used for fingerprints of logits. */
uint64_t hash_fold(uint64_t running, uint64_t value);

/* The history of a sequence: the hash of all tokens so far. Every stage keeps one per sequence and refuses rows that
 * do not continue it. `id` is the token id of the row (of a picture's row: a hash of the picture, see wire.h). */
#define HISTORY_EMPTY 0x67656d6d61706970ull
uint64_t history_after(uint64_t history, uint32_t id);

/* CRC-32C (Castagnoli), as in iSCSI: crc32c("123456789") = 0xe3069283. `crc` is 0 to start, or the last result. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);
