/* tests/fuzz/tokenizer_fuzz_test.c — the fuzzer's claims on the same few thousand inputs each time, in seconds. */
#include "tests/fuzz/tokenizer_fuzz.c"

#include "tests/support/check.h"

TEST(random_text_and_vocabularies_keep_every_promise)
{
    uint8_t data[600];
    uint64_t state = 1;
    for (int i = 0; i < 3000; i++) {
        size_t n = 0;
        for (; n < sizeof data; n++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            data[n] = (uint8_t)(state >> 56);
        }
        n = 100 + (state >> 33) % (sizeof data - 100);
        const char *wrong = tokenizer_fuzz_one(data, n);
        CHECK(!wrong, "input %d: %s", i, wrong);
    }
}
