/* tests/fuzz/wire_fuzz_test.c — the wire fuzzer without libFuzzer: the same numbers every time, a second or two. */
#include "tests/support/check.h"
#include "tests/fuzz/wire_fuzz.c"

static uint64_t state;

static uint64_t random_number(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

/* Bits, bytes, borders, cuts, repeats: what breaks readers. */
static size_t spoil(uint8_t *b, size_t n, size_t room)
{
    static const uint32_t borders[] = {0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 4096, 4097, 512, 513};
    size_t at = n ? random_number() % n : 0;
    switch (random_number() % 6) {
    case 0: if (n) b[at] ^= (uint8_t)(1 << random_number() % 8); break;
    case 1: if (n) b[at] = (uint8_t)random_number(); break;
    case 2: if (at + 4 <= n) put32(b + (at & ~(size_t)3), borders[random_number() % (sizeof borders / sizeof *borders)]); break;
    case 3: return at;
    case 4: if (n + 8 <= room) memset(b + n, (int)random_number(), 8), n += 8; break;
    case 5: if (at > 64 && at + 16 < n) memmove(b + at, b + at + 8, n - at - 8), n -= 8; break;
    }
    return n;
}

TEST(no_bytes_break_the_reader_of_frames)
{
    static uint8_t bytes[4096];
    state = 20240917;
    for (int round = 0; round < 6000; round++) {
        for (int i = 0; i < SAMPLES; i++) {
            struct frame *f = sample_frame(i);
            frame_seal(f);
            size_t n = FRAME_HEAD_BYTES + f->head.body_bytes;
            memcpy(bytes, f->bytes, n);
            frame_free(f);
            uint64_t changes = random_number() % 4;
            for (uint64_t k = 0; k <= changes; k++) n = spoil(bytes, n, sizeof bytes);
            /* Half of the time the length is put right too: else most is refused by its size alone. */
            if (n >= FRAME_HEAD_BYTES && round % 2) {
                memset(bytes + 44, 0, 4);
                put32(bytes + 40, (uint32_t)(n - FRAME_HEAD_BYTES));
            }
            LLVMFuzzerTestOneInput(bytes, n);
        }
    }
}

TEST(noise_is_refused)
{
    uint8_t bytes[300];
    state = 7;
    for (int round = 0; round < 20000; round++) {
        size_t n = random_number() % sizeof bytes;
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)random_number();
        if (round % 2 && n > 8) memcpy(bytes, "GPIP\1\0", 6);
        LLVMFuzzerTestOneInput(bytes, n);
    }
}
