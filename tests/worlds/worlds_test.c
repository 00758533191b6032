/* tests/worlds/worlds_test.c — whatever fails in whatever order, nothing is lost and nothing changes: tests/support/world.h has what is
 * drawn and what must hold.
 *
 * Other worlds each day; the first seed is printed. WORLDS=N (or SEEDS=N, as other drawn tests have it) lives through N of them, FIRST=S begins with that seed. SEED=S lives through
 * that one alone and tells all that happens. */
#include "base/log.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"
#include "tests/support/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define WORLDS 2000
#define WRONG 60 /* worlds with somebody who computes wrongly */
#define POISONED 40 /* with a picture that ends workers */

/* Worlds that found a mistake, and what it was. Others may lie behind these numbers once more faults are drawn. */
static const uint64_t found[] = {
    46, 88, 145,   /* a worker that ended between its greeting and its answer was waited for, and nobody called for another */
    434, 571, 762, /* that a worker is busy was not heard by who had greeted it anew since: it is said once */
    1211,          /* what was mended there took the last words of a worker for its first ones */
    6322,          /* room for the first record of a journal that was never filled was taken for somebody's file */
    20785000087,   /* a worker silent for exactly as long as it may be was looked at again and again, at the same moment */
};

static struct folder folder;
static struct world_things things;
static struct world_sums sums;

static int begin(bool tells, struct err *why)
{
    log_open("worlds", tells ? LOG_DEBUG : LOG_QUIET);
    folder = folder_new();
    sums = (struct world_sums){0};
    return world_things_open(&things, folder.path, why);
}

static void end(void)
{
    world_things_close(&things);
    folder_end(&folder);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *said = getenv(name);
    return said ? strtoull(said, NULL, 10) : otherwise;
}

static void say_sums(const struct world_sums *s)
{
    printf("  %" PRIu64 " worlds, %" PRIu64 " s in them: %" PRIu64 " losses, %" PRIu64 " epochs, %" PRIu64 " lives of coordinators, %" PRIu64
           " found workers busy, %" PRIu64 " tokens, %" PRIu64 " rows, %" PRIu64 " pictures, journals torn %" PRIu64 " times, with holes %" PRIu64 " and full %" PRIu64 ", %" PRIu64
           " asks blamed, %" PRIu64 " replicas lost, %" PRIu64 " answers verified in %" PRIu64 " other cuts; calm for %" PRIu64 " s at most\n",
           s->worlds, s->simulated_s, s->losses, s->epochs, s->lives, s->busy, s->tokens, s->replayed, s->pictures, s->torn, s->holes, s->refused, s->blamed, s->alone, s->verified, s->moved, s->calm_s);
}

TEST(whatever_fails_each_ask_ends_once_and_says_what_a_quiet_run_says)
{
    const bool one = getenv("SEED");
    const uint64_t today = (uint64_t)time(NULL) / 86400 * 1000000;
    const uint64_t first = one ? number("SEED", 0) : number("FIRST", today), n = one ? 1 : number("WORLDS", number("SEEDS", WORLDS));
    NEED(begin(one, why));
    printf("  seeds from %" PRIu64 "\n", first);
    for (uint64_t seed = first; seed < first + n; seed++) {
        struct err e = {0};
        uint64_t story;
        const int code = world_run(seed, &things, folder.path, one, &sums, &story, &e);
        CHECK(!code, "seed %" PRIu64 ": %s", seed, e.text);
        if (code && !getenv("ALL")) break;
    }
    say_sums(&sums);
    end();
}

TEST(who_always_computes_one_layer_wrongly_is_named_and_nobody_else_is)
{
    const uint64_t first = number("FIRST", (uint64_t)time(NULL) / 86400 * 1000000);
    NEED(begin(getenv("SEED"), why));
    for (uint64_t seed = number("SEED", first); seed < (getenv("SEED") ? number("SEED", 0) + 1 : first + WRONG); seed++) {
        struct err e = {0};
        const int code = world_with_one_wrong(seed, &things, folder.path, getenv("SEED"), &sums, &e);
        CHECK(!code, "seed %" PRIu64 ": %s", seed, e.text);
        if (code && !getenv("ALL")) break;
    }
    end();
}

TEST(a_picture_that_ends_workers_fails_whoever_asks_with_it_and_nobody_else)
{
    const uint64_t first = number("SEED", number("FIRST", (uint64_t)time(NULL) / 86400 * 1000000));
    uint64_t failed = 0;
    NEED(begin(getenv("SEED"), why));
    for (uint64_t seed = first; seed < first + (getenv("SEED") ? 1 : POISONED); seed++) {
        struct err e = {0};
        uint64_t n = 0;
        const int code = world_with_poison(seed, &things, folder.path, getenv("SEED"), &sums, &n, &e);
        CHECK(!code, "seed %" PRIu64 ": %s", seed, e.text);
        failed += n;
        if (code && !getenv("ALL")) break;
    }
    CHECK(failed || getenv("SEED"));
    end();
}

TEST(worlds_that_found_a_mistake_find_it_no_more)
{
    uint64_t story;
    NEED(begin(false, why));
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) NEED(world_run(found[i], &things, folder.path, false, &sums, &story, why));
    end();
}

TEST(a_seed_tells_the_same_story_again_and_another_seed_another)
{
    NEED(begin(false, why));
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t story[3];
        for (uint64_t i = 0; i < 3; i++) NEED(world_run(i == 1 ? seed + 1 : seed, &things, folder.path, false, &sums, &story[i], why));
        CHECK(story[0] == story[2] && story[0] != story[1], "seed %" PRIu64, seed);
    }
    end();
}
