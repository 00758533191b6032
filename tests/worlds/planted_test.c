/* tests/worlds/planted_test.c — the simulated worlds find mistakes: each that is planted (base/planted.h) within two thousand seeds, and
 * none where none is. The Makefile builds what has them into this program alone. */
#include "base/planted.h"

#include "base/log.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"
#include "tests/support/world.h"

#define WITHIN 2000 /* worlds */

int planted;

TEST(each_planted_mistake_is_found_within_two_thousand_worlds)
{
    struct folder folder = folder_new();
    struct world_things things;
    struct world_sums sums = {0};
    log_open("worlds", LOG_QUIET);
    NEED(world_things_open(&things, folder.path, why));
    for (planted = PLANTED_MISTAKES; planted >= 0; planted--) {
        struct err e = {0};
        uint64_t seed = 0, story;
        while (seed < (planted ? WITHIN : 100) && !world_run(seed, &things, folder.path, false, &sums, &story, &e)) seed++;
        CHECK(planted ? seed < WITHIN : seed == 100, "mistake %d, after %llu worlds: %s", planted, (unsigned long long)seed, e.text);
        if (planted) printf("  mistake %d is found in world %llu: %s\n", planted, (unsigned long long)seed, e.text);
    }
    world_things_close(&things);
    folder_end(&folder);
}
