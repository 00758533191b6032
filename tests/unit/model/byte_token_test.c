/* tests/unit/model/byte_token_test.c — which tokens stand for a byte. */
#include "partition/model/byte_token.h"
#include "tests/support/check.h"

TEST(every_byte_has_one_spelling)
{
    char text[8];
    for (int b = 0; b < 256; b++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        CHECK(byte_token(text, 6) == b, "%s", text);
        snprintf(text, sizeof text, "<0x%02x>", (unsigned)b);
        CHECK(byte_token(text, 6) == (strpbrk(text + 3, "abcdef") ? -1 : b), "%s", text);
    }
}

TEST(what_only_looks_like_a_byte_is_none)
{
    static const char *const wrong[] = {"", "<0x4>", "<0x4G>", "<0x041>", "<0X41>", "<0x41", "<0x41)", "<0x 1>", "<0x-1>", "[0x41>"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(byte_token(wrong[i], strlen(wrong[i])) == -1, "%s", wrong[i]);
    CHECK(byte_token("<0x41>", 5) == -1);
}
