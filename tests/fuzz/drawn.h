/* tests/fuzz/drawn.h — programs of changes (replay.h) that are drawn, the same every time, for LLVMFuzzerTestOneInput of the file that
 * includes this. */
#pragma once

#include "base/clock.h"

#define PROGRAMS_MOST 400
#define PROGRAMS_NS 800000000ull /* under a sanitizer, or on a busy machine, there are fewer; make fuzz has the time */

/* Of so many bytes, then one to three changes of so many. */
static int feed_drawn_programs(uint64_t seed, size_t head, size_t each)
{
    uint8_t bytes[64];
    const uint64_t begun = clock_ns();
    int rounds = 0;
    for (; rounds < PROGRAMS_MOST && clock_ns() - begun < PROGRAMS_NS; rounds++) {
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(seed = hash_fold(seed, i));
        LLVMFuzzerTestOneInput(bytes, head + (1 + rounds % 3u) * each);
    }
    return rounds;
}
