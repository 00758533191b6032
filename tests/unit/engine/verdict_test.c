/* tests/unit/engine/verdict_test.c — who computed wrongly, from what several computed. */
#include "coordinator/engine/verdict.h"

#include "tests/support/check.h"

#include <string.h>

enum { ROWS = 5, LAYERS = 6, MOST = 4 };

/* Machines by letter, of each layer and the head. What machine `wrong` makes of layer `layer` is wrong in pass `when`, or always (-1), and with it all that follows. */
static struct verdict judged(const char *const *by, int n, char wrong, int layer, int when)
{
    static const char machine[128];
    static const void *who[MOST][LAYERS + 1];
    static uint64_t hash[MOST][ROWS * LAYERS];
    static uint32_t chance[MOST][ROWS];
    struct computing of[MOST];
    for (int p = 0; p < n; p++) {
        const uint32_t differently = when < 0 ? 50 : 50 + (uint32_t)p; /* a fault that repeats itself is the same each time */
        bool is_wrong = false;
        for (int k = 0; k <= LAYERS; k++) {
            who[p][k] = by[p][k] == '-' ? NULL : &machine[(int)by[p][k]];
            is_wrong |= by[p][k] == wrong && (layer < 0 || layer == k) && (when < 0 || when == p);
            for (int r = 0; r < ROWS && k < LAYERS; r++) hash[p][r * LAYERS + k] = (uint64_t)(1 + r * LAYERS + k) + (is_wrong && r > 1 ? 1000 * differently : 0);
        }
        for (int r = 0; r < ROWS; r++) chance[p][r] = r < 3 ? 0 : (uint32_t)r + (is_wrong ? differently : 0);
        of[p] = (struct computing){who[p], hash[p], chance[p]};
    }
    return verdict_of(of, n, ROWS, LAYERS);
}

static const char *const cuts[] = {"aabbccc", "bbccaaa", "ccaabbb"};

TEST(two_cuts_tell_where_somebody_is_wrong_and_a_third_tells_who)
{
    for (char wrong = 'a'; wrong <= 'c'; wrong++)
        for (int layer = -1; layer <= LAYERS; layer++) {
            const struct verdict two = judged(cuts, 2, wrong, layer, -1), three = judged(cuts, 3, wrong, layer, -1);
            const bool hit = layer < 0 || cuts[0][layer] == wrong || cuts[1][layer] == wrong;
            CHECK(two.is == (hit ? OPEN : ALL_EQUAL), "%c in layer %d: %d of two", wrong, layer, two.is);
            if (hit && layer >= 0) CHECK((int)two.layer == layer && two.row == (layer < LAYERS ? 2u : 3u), "%c in layer %d: %u, %u", wrong, layer, two.layer, two.row);
            CHECK(three.is == WRONG && cuts[three.wrong][three.layer] == wrong, "%c in layer %d: %d, pass %d", wrong, layer, three.is, three.wrong);
        }
}

TEST(who_differs_from_itself_is_wrong_whoever_it_is)
{
    const char *const again[] = {"aabbccc", "aabbccc"}, *const replicas[] = {"aabbccc", "ddeefff", "aabbccc"};
    for (int when = 0; when < 2; when++) CHECK(judged(again, 2, 'b', 3, when).is == WRONG, "pass %d", when);
    const struct verdict v = judged(replicas, 3, 'b', 3, 0);
    CHECK(v.is == WRONG && replicas[v.wrong][v.layer] == 'b', "%d, pass %d", v.is, v.wrong);
}

TEST(of_two_machines_that_each_repeat_themselves_nobody_is_named)
{
    const char *const two[] = {"aabb--b", "bbaa--a", "aabb--b", "bbaa--a"};
    const struct verdict v = judged(two, 4, 'a', -1, -1);
    CHECK(v.is == OPEN && v.layer == 0 && two[v.wrong][0] != two[v.other][0], "%d, layer %u", v.is, v.layer);
    CHECK(judged(two, 4, 'z', -1, -1).is == ALL_EQUAL, "nobody is wrong");
}
