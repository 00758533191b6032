/* base/hash.c — see hash.h. The only file that includes xxhash.h. */
#include "base/hash.h"

#include <stdlib.h>
#include <xxhash.h>
#include <inttypes.h>
#include <stdio.h>

uint64_t hash64(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

struct hash128 hash128(const void *bytes, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(bytes, n);
    return (struct hash128){h.low64, h.high64};
}

struct hash_stream {
    XXH3_state_t *state;
};

struct hash_stream *hash_stream_open(void)
{
    struct hash_stream *s = malloc(sizeof *s);
    if (!s) return NULL;
    s->state = XXH3_createState();
    if (s->state && XXH3_128bits_reset(s->state) == XXH_OK) return s;
    XXH3_freeState(s->state);
    free(s);
    return NULL;
}

void hash_stream_add(struct hash_stream *s, const void *bytes, size_t n)
{
    XXH3_128bits_update(s->state, bytes, n);
}

struct hash128 hash_stream_close(struct hash_stream **stream)
{
    struct hash_stream *s = *stream;
    *stream = NULL;
    XXH128_hash_t h = XXH3_128bits_digest(s->state);
    XXH3_freeState(s->state);
    free(s);
    return (struct hash128){h.low64, h.high64};
}

uint64_t hash_fold(uint64_t running, uint64_t value)
{
    /* The finaliser of splitmix64: every input bit reaches every output bit. */
    uint64_t z = running * 0x9e3779b97f4a7c15ull + value + 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t hash_rows(uint32_t first_row, uint32_t rows, const void *bytes, uint64_t row_bytes)
{
    const uint32_t run = 16;
    uint64_t sum = 0;
    for (uint32_t r = 0; r < rows; r += run)
        sum += hash_fold((first_row + r) / run, hash64((const uint8_t *)bytes + r * row_bytes, (rows - r < run ? rows - r : run) * row_bytes));
    return sum;
}

uint64_t history_after(uint64_t history, uint32_t id)
{
    return hash_fold(history, id);
}

char *show_hash128(char out[33], struct hash128 h)
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, h.high, h.low);
    return out;
}

bool read_hash128(struct hash128 *out, const char *text, size_t n)
{
    uint64_t half[2] = {0, 0};
    if (n != 32) return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        half[i / 16] = half[i / 16] << 4 | (uint64_t)digit;
    }
    *out = (struct hash128){.high = half[0], .low = half[1]};
    return true;
}
