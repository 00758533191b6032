/* tests/unit/base/base_test.c — the small things everything stands on. */
#include "base/checked.h"
#include "base/half.h"
#include "base/hash.h"
#include "tests/support/check.h"

#include <math.h>

TEST(crc32c_matches_the_published_check_value)
{
    CHECK(crc32c(0, "123456789", 9) == 0xe3069283u);
    CHECK(crc32c(crc32c(0, "1234", 4), "56789", 5) == 0xe3069283u);
    CHECK(crc32c(0, "", 0) == 0);
}

TEST(sizes_that_would_wrap_are_refused)
{
    uint64_t r;
    CHECK(!add_ok(UINT64_MAX, 1, &r));
    CHECK(!mul_ok(1ull << 33, 1ull << 31, &r));
    CHECK(!round_up_ok(UINT64_MAX - 3, 64, &r));
    CHECK(round_up_ok(65, 64, &r) && r == 128);
}

TEST(every_f16_survives_the_way_to_f32_and_back)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h);
        if (isnan(f)) continue;
        CHECK(f32_to_f16(f) == h, "%04x -> %g -> %04x", h, (double)f, f32_to_f16(f));
    }
}

TEST(f32_to_f16_rounds_to_nearest_even)
{
    CHECK(f32_to_f16(65519.0f) == 0x7bff);
    CHECK(f32_to_f16(65520.0f) == 0x7c00);
    CHECK(f32_to_f16(1.0f + 0x1p-11f) == 0x3c00);
    CHECK(f32_to_f16(1.0f + 3 * 0x1p-11f) == 0x3c02);
    CHECK(f32_to_f16(0x1p-25f) == 0);
    CHECK(f32_to_f16(-0x1.8p-25f) == 0x8001);
#if defined(__FLT16_MANT_DIG__)
    uint32_t u = 1;
    for (int i = 0; i < 2000000; i++) {
        u = u * 1664525u + 1013904223u;
        float f = f32_from_bits(u);
        if (isnan(f)) continue;
        _Float16 want = (_Float16)f;
        uint16_t bits;
        memcpy(&bits, &want, 2);
        CHECK(f32_to_f16(f) == bits, "%08x", u);
    }
#endif
}

TEST(a_history_depends_on_order)
{
    uint64_t ab = history_after(history_after(HISTORY_EMPTY, 1), 2);
    uint64_t ba = history_after(history_after(HISTORY_EMPTY, 2), 1);
    CHECK(ab != ba);
}
