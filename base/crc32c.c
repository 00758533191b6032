/* base/crc32c.c — CRC-32C of frames: the CPU's own instruction where it has one, else eight table look-ups per word. */
#include "base/hash.h"

#include <pthread.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif
#include <string.h>

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    const uint32_t reversed_polynomial = 0x82f63b78u;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = (c >> 1) ^ (c & 1 ? reversed_polynomial : 0);
        table[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
}

static uint32_t with_tables(uint32_t c, const uint8_t *p, size_t n)
{
    pthread_once(&once, make_table);
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w ^= c;
        c = 0;
        for (int k = 0; k < 8; k++) c ^= table[7 - k][(w >> (8 * k)) & 255];
    }
    for (; n > 0; n--) c = (c >> 8) ^ table[0][(c ^ *p++) & 255];
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t with_instruction(uint32_t c, const uint8_t *p, size_t n)
{
    uint64_t wide = c;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        wide = _mm_crc32_u64(wide, w);
    }
    c = (uint32_t)wide;
    for (; n > 0; n--) c = _mm_crc32_u8(c, *p++);
    return c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~with_instruction(~crc, bytes, n);
#endif
    return ~with_tables(~crc, bytes, n);
}
