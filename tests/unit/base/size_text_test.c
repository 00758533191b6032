/* tests/unit/base/size_text_test.c — sizes as people write and read them. */
#include "base/size_text.h"
#include "tests/support/check.h"

TEST(sizes_are_read_as_people_write_them)
{
    const struct { const char *text; uint64_t bytes; } good[] = {
        {"1G", 1ull << 30}, {"512M", 512ull << 20}, {"1.5GiB", 3ull << 29}, {"800000000", 800000000},
        {"2gb", 2ull << 30}, {"64k", 65536}, {"1T", 1ull << 40}, {"0.25G", 1ull << 28}, {"10B", 10},
    };
    uint64_t n;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        NEED(read_size(good[i].text, &n, why));
        CHECK(n == good[i].bytes, "%s is %llu", good[i].text, (unsigned long long)n);
    }
    const char *bad[] = {"", "G", "1X", "-1G", " 1G", "1 G", "1.5", "1..5G", "1.G", "1GiBs", "99999999999999999999",
                         "9999999999T", "0x10", "1e9", "nan", "1.5.5G", ".5G", "1G,", "0", "0M", "0.0G"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err no = {0};
        CHECK(read_size(bad[i], &n, &no) == E_USAGE && no.text[0], "\"%s\" was taken for %llu", bad[i],
              (unsigned long long)n);
    }
}

TEST(sizes_are_shown_with_a_unit_that_fits)
{
    char text[24];
    CHECK(!strcmp(show_bytes(text, 1023), "1023 B"));
    CHECK(!strcmp(show_bytes(text, 1536), "1.50 KiB"));
    CHECK(!strcmp(show_bytes(text, 5ull << 40), "5.00 TiB"));
}
