/* tests/fuzz/http_fuzz_test.c — requests: every seed judged, damaged ones sent. */
#include "tests/fuzz/http_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_http_fuzz_are_judged_right)
{
    patience_us = 900000; /* a disk may be slow */
    int n = judge_seeds("http_fuzz", look);
    patience_us = 20000;
    CHECK(n >= 5, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_http_fuzz_does_harm)
{
    static const char *const words[] = {"\r\n", "\r\n\r\n", "--xx", "--xx--", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "%00", "name=\"file\"", "filename=\"", "boundary=", "HTTP/9.9", "/v1/batches"};
    static const char *const seeds[] = {"sound_get", "sound_upload"};
    for (int i = 0; i < 2; i++) {
        int accepted = damage_seed("http_fuzz", seeds[i], 60, words, sizeof words / sizeof *words, look);
        CHECK(accepted < 60, "%d of 60 damaged ones are still accepted", accepted);
    }
}
