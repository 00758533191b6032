/* tests/unit/plan/plan_test.c — the planner against every split there is, against memory caps, and on real shapes. */
#include "partition/model/part_text.h"
#include "partition/plan/text_cost.h"
#include "partition/plan/plan_text.h"
#include "tests/support/plan_shapes.h"

#include <math.h>
#include <stdlib.h>

/* Every split by hand; the best by (slowest, sum of squares). False if none fits. */
static bool exhaust(const struct model_shape *m, const struct worker_offer *o, int workers, const struct capacity *cap,
                    int at, uint32_t left, uint32_t *layers, double *slowest, double *sum)
{
    if (at < workers - 1) {
        bool any = false;
        for (uint32_t n = 1; n <= left; n++) {
            layers[at] = n;
            any |= exhaust(m, o, workers, cap, at + 1, left - n, layers, slowest, sum);
        }
        return any;
    }
    layers[at] = left;
    PLAN p = {0};
    if (by_hand(&p, m, o, layers, workers, cap, NULL)) return false;
    double t = 0, q = 0;
    for (int i = 0; i < workers; i++) {
        double e = p.of[i].expected[CHAIN_TEXT];
        q += e * e;
        if (e > t) t = e;
    }
    if (t < *slowest * (1 - 1e-12) || (t <= *slowest * (1 + 1e-12) && q < *sum)) *slowest = t, *sum = q;
    return true;
}

TEST(no_split_is_better_than_the_planners)
{
    struct worker_offer o[5] = {0};
    name_offers(o, 5);
    int fitted = 0, refused = 0;
    for (int round = 0; round < 400; round++) {
        struct model_config c = small(1 + dice(9));
        struct model_shape m = invent_whole(c, dice(2) ? T_Q4_0 : T_Q8_0, dice(2) ? T_Q6_K : T_F16);
        int workers = 1 + (int)dice(c.layers + 1 < 5 ? c.layers + 1 : 5);
        struct capacity cap = {64 + dice(1000), 1 + dice(16), 1 + dice(64), 1 + (uint32_t)workers, ALL_BLOCKS, {0}};
        for (int i = 0; i < workers; i++) {
            o[i].speed = dice(3) ? 1 : 0.25 + dice(8) / 4.0;
            o[i].threads = 1 + (int)dice(3);
            o[i].memory = dice(3) ? 0 : PROGRAM_BYTES + (3u << 19) + dice(8u << 20);
        }
        PLAN p = {0};
        uint32_t layers[5];
        double slowest = INFINITY, sum = INFINITY;
        bool any = exhaust(&m, o, workers, &cap, 0, c.layers, layers, &slowest, &sum);
        int rc = solve(&p, &m, o, workers, &cap, NULL);
        CHECK(any ? rc == 0 : rc == E_MEMORY, "round %d: solver says %d, search says %d", round, rc, any);
        refused += rc != 0;
        if (rc) continue;
        fitted++;
        check_whole(&p, &c);
        double t = 0, q = 0;
        for (int i = 0; i < workers; i++) {
            double e = p.of[i].expected[CHAIN_TEXT];
            q += e * e;
            if (e > t) t = e;
            CHECK(!o[i].memory || p.of[i].bytes[CHAIN_TEXT].total <= o[i].memory);
        }
        CHECK(fabs(t - slowest) <= 1e-9 * t, "round %d: %g, best is %g", round, t, slowest);
        CHECK(q <= sum * (1 + 1e-9), "round %d: squares %g, best is %g", round, q, sum);
    }
    CHECK(fitted > 100 && refused > 30, "%d fitted, %d were refused: the test tests little", fitted, refused);
}

TEST(a_4b_model_with_a_whole_q6_head_on_three_workers)
{
    struct model_shape m = invent_whole(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{.name = "a", .threads = 4}, {.name = "b", .threads = 4}, {.name = "c", .threads = 4}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 3, &usual, why));
    check_whole(&p, &gemma_4b);
    uint32_t first = p.of[0].part[CHAIN_TEXT].end, second = p.of[1].part[CHAIN_TEXT].end - first, third = 34 - first - second;
    CHECK(first >= 14 && first <= 17 && second >= 14 && second <= 17 && third >= 1 && third <= 6, "%u,%u,%u", first,
          second, third);
    struct item_work layer = layer_work(&m, 0, 0), head = head_work(&m, (struct part){0, 0, 0, HEAD_PARTS, false});
    CHECK(head.macs / layer.macs > 7 && head.macs / layer.macs < 7.2, "%g", head.macs / layer.macs);
    CHECK(head.bytes / layer.bytes > 10 && head.bytes / layer.bytes < 14, "%g", head.bytes / layer.bytes);
    double mean = (p.of[0].expected[CHAIN_TEXT] + p.of[1].expected[CHAIN_TEXT] + p.of[2].expected[CHAIN_TEXT]) / 3;
    for (int i = 0; i < 3; i++)
        CHECK(p.of[i].expected[CHAIN_TEXT] < 1.05 * mean, "stage %d takes %g of the mean", i, p.of[i].expected[CHAIN_TEXT] / mean);
}

TEST(one_sequence_alone_is_planned_by_its_prompt)
{
    struct model_shape m = invent_whole(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[2] = {{.name = "a", .threads = 4}, {.name = "b", .threads = 4}};
    struct capacity cap = usual;
    PLAN many = {0}, one = {0};
    NEED(solve(&many, &m, o, 2, &cap, why));
    cap.sequences = 1;
    NEED(solve(&one, &m, o, 2, &cap, why));
    CHECK(many.of[0].part[CHAIN_TEXT].end > 20, "the head is read for each token: %u", many.of[0].part[CHAIN_TEXT].end);
    CHECK(one.of[0].part[CHAIN_TEXT].end == 17, "the head has one row of a prompt: %u", one.of[0].part[CHAIN_TEXT].end);
}

TEST(equal_layers_are_dealt_evenly_and_the_first_get_the_rest)
{
    struct model_config c = small(34);
    c.window = 0;
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    m.config.vocab = m.head.rows = 1; /* weighs nothing */
    struct worker_offer o[3] = {{.name = "a", .threads = 1}, {.name = "b", .threads = 1}, {.name = "c", .threads = 1}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 3, &usual, why));
    CHECK(p.of[0].part[CHAIN_TEXT].end == 12 && p.of[1].part[CHAIN_TEXT].end == 23, "%u,%u", p.of[0].part[CHAIN_TEXT].end,
          p.of[1].part[CHAIN_TEXT].end);
}

TEST(a_worker_twice_as_fast_gets_twice_the_work)
{
    struct model_config c = small(30);
    c.window = 0; /* all layers alike */
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    m.config.vocab = m.head.rows = 1;
    struct worker_offer o[2] = {{.name = "slow", .threads = 1}, {.name = "fast", .threads = 2}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 2, &usual, why));
    CHECK(p.of[0].part[CHAIN_TEXT].end == 10, "%u layers", p.of[0].part[CHAIN_TEXT].end);
    o[1].threads = 1, o[1].speed = 2;
    NEED(solve(&p, &m, o, 2, &usual, why));
    CHECK(p.of[0].part[CHAIN_TEXT].end == 10, "%u layers", p.of[0].part[CHAIN_TEXT].end);
}

TEST(a_small_worker_gets_what_fits_and_the_others_the_rest)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{.name = "a", .memory = 700ull << 20, .threads = 4}, {.name = "b", .threads = 4},
                                {.name = "c", .threads = 4}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 3, &usual, why));
    CHECK(p.of[0].bytes[CHAIN_TEXT].total <= 700ull << 20 && p.of[0].part[CHAIN_TEXT].end >= 4 && p.of[0].part[CHAIN_TEXT].end < 14);
}

TEST(a_refusal_names_the_worker_and_the_missing_bytes)
{
    struct model_shape m = invent_whole(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{.name = "ant", .memory = 600ull << 20, .threads = 4},
                                {.name = "bee", .memory = 600ull << 20, .threads = 4}, {.name = "cat", .memory = 1ull << 30, .threads = 4}};
    PLAN p = {0};
    struct err no = {0};
    CHECK(solve(&p, &m, o, 3, &usual, &no) == E_MEMORY);
    CHECK(strstr(no.text, "worker 3 (cat) may use 1.00 GiB") && strstr(no.text, "are missing"), "%s", no.text);
    CHECK(strstr(no.text, "together the workers offer 2.17 GiB and the plan wants"), "%s", no.text);
    CHECK(strstr(no.text, "and the head"), "%s", no.text);
    uint32_t layers[3] = {20, 10, 4};
    CHECK(by_hand(&p, &m, o, layers, 3, &usual, &no) == E_MEMORY);
    CHECK(strstr(no.text, "worker 1 (ant) may use 600.00 MiB, but layers 0-19"), "%s", no.text);
}

/* Bytes of the worst off, as a share of what it may use. */
static double fullest(const struct plan *p, const struct worker_offer *o)
{
    double most = 0;
    for (int i = 0; i < p->workers; i++) most = fmax(most, (double)p->of[i].total / (double)o[i].memory);
    return most;
}

TEST(sequences_that_do_not_fit_at_their_longest_share_what_there_is)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[4] = {{.memory = 1ull << 30}, {.memory = 1ull << 30}, {.memory = 1ull << 30}, {.memory = 1ull << 30}};
    struct capacity cap = {4096, 16, 128, 5, 0, {0}}, all = {4096, 16, 128, 5, ALL_BLOCKS, {0}};
    struct err no = {0};
    PLAN p = {0}, more = {0};
    name_offers(o, 4);
    NEED(solve(&p, &m, o, 4, &cap, why));
    check_all_there(&p, &gemma_4b);
    check_bytes(&p, &m, o);
    CHECK(p.capacity.blocks >= 16 * (400 / KV_PAGE + 1), "%u blocks are not 16 sequences of 400", p.capacity.blocks);
    CHECK(fullest(&p, o) <= 0.95 && fullest(&p, o) > 0.92, "%g of the memory", fullest(&p, o));
    CHECK(solve(&p, &m, o, 4, &all, &no) == E_MEMORY && strstr(no.text, "16 sequences of 4096 positions"), "%s", no.text);
    cap.sequences = all.sequences = 4;
    NEED(solve(&p, &m, o, 4, &cap, why));
    NEED(solve(&more, &m, o, 4, &all, why));
    CHECK(p.capacity.blocks == 0 && p.hash == more.hash, "what fits is planned as ever");
    for (int i = 0; i < 4; i++) o[i].memory = 600ull << 20;
    CHECK(solve(&p, &m, o, 4, &cap, &no) == E_MEMORY && strstr(no.text, "up to 4096 positions, no more than one so long together"), "%s", no.text);
}

/* Against every number of blocks, one after the other: fits with a twentieth of each limit left, and is not slower than the smallest by
 * more than a tenth. */
TEST(the_pool_is_the_largest_that_fits_and_does_not_slow_the_text)
{
    int small_pools = 0, slowed = 0;
    for (int round = 0; round < 60; round++) {
        struct model_shape m = invent_whole(small(4 + dice(8)), T_Q4_0, T_Q4_0);
        struct worker_offer o[3] = {0};
        struct capacity cap = {512 + dice(512), 4 + dice(8), 32, 4, 0, {0}};
        for (int i = 0; i < 3; i++) o[i].threads = 1 + (int)dice(4), o[i].memory = PROGRAM_BYTES + (5u << 19) + dice(6u << 20);
        PLAN p = {0}, other = {0};
        if (solve(&p, &m, o, 3, &cap, NULL) || !p.capacity.blocks) continue;
        const uint32_t chosen = p.capacity.blocks, least = capacity_blocks_least(&cap);
        cap.blocks = least;
        NEED(solve(&other, &m, o, 3, &cap, why));
        const double limit = plan_slowest(&other, CHAIN_TEXT) * 1.1;
        CHECK(plan_slowest(&p, CHAIN_TEXT) <= limit || chosen == least, "round %d", round);
        for (int i = 0; i < 3; i++) o[i].memory -= o[i].memory / 20;
        for (cap.blocks = least + 1; cap.blocks <= chosen + 1 && cap.blocks < capacity_blocks_most(&cap); cap.blocks++) {
            const bool fits = !solve(&other, &m, o, 3, &cap, NULL), good = fits && plan_slowest(&other, CHAIN_TEXT) <= limit;
            CHECK(good == (cap.blocks <= chosen), "round %d: %u blocks were chosen, %u %s", round, chosen, cap.blocks, good ? "can be" : "cannot");
            slowed += fits && !good;
        }
        small_pools++;
    }
    CHECK(small_pools > 10 && slowed > 2, "%d pools, %d were slow: the test tests little", small_pools, slowed);
}

TEST(more_workers_than_work_are_refused_with_the_number_that_can_be_used)
{
    struct model_shape m = invent(small(3), T_Q4_0, T_Q4_0);
    struct worker_offer o[STAGES_MOST + 1] = {0};
    PLAN p = {0};
    struct err no = {0};
    CHECK(solve(&p, &m, o, 5, &usual, &no) == E_USAGE && strstr(no.text, "at most 4"), "%s", no.text);
    NEED(solve(&p, &m, o, 4, &usual, why));
    CHECK(part_has_head(p.of[3].part[CHAIN_TEXT]) && p.of[3].part[CHAIN_TEXT].first == 3 && p.of[3].part[CHAIN_TEXT].end == 3);
    CHECK(solve(&p, &m, o, 0, &usual, &no) == E_USAGE);
    struct capacity none = usual;
    none.sequences = 0;
    CHECK(solve(&p, &m, o, 1, &none, &no) == E_USAGE);
    m = invent(small(LAYERS_MOST), T_Q4_0, T_Q4_0);
    CHECK(solve(&p, &m, o, STAGES_MOST + 1, &usual, &no) == E_USAGE && strstr(no.text, "at most 80"), "%s",
          no.text);
}

TEST(a_split_by_hand_must_place_every_layer_once)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {0};
    PLAN p = {0};
    struct err no = {0};
    NEED(by_hand(&p, &m, o, (uint32_t[]){3, 3, 0}, 3, &usual, why));
    check_whole(&p, &m.config);
    CHECK(by_hand(&p, &m, o, (uint32_t[]){3, 2, 0}, 3, &usual, &no) == E_USAGE && strstr(no.text, "5"), "%s",
          no.text);
    CHECK(by_hand(&p, &m, o, (uint32_t[]){3, 0, 3}, 3, &usual, &no) == E_USAGE && strstr(no.text, "worker 2"));
    CHECK(by_hand(&p, &m, o, (uint32_t[]){7, 1, 1}, 3, &usual, &no) == E_USAGE && strstr(no.text, "6"), "%s",
          no.text);
    CHECK(by_hand(&p, &m, o, (uint32_t[]){UINT32_MAX, UINT32_MAX, 8}, 3, &usual, &no) == E_USAGE);
}

TEST(shares_are_named)
{
    char out[64];
    CHECK(!strcmp(show_part(out, (struct part){0, 17, 0, 8, false}), "layers 0-16 and 8/16 of the head"), "%s", out);
    CHECK(!strcmp(show_part(out, (struct part){23, 34, 0, HEAD_PARTS, false}), "layers 23-33 and the head"), "%s", out);
    CHECK(!strcmp(show_part(out, (struct part){34, 34, 0, HEAD_PARTS, false}), "the head"), "%s", out);
    CHECK(!strcmp(show_part(out, (struct part){34, 34, 11, HEAD_PARTS, false}), "5/16 of the head"), "%s", out);
    CHECK(!strcmp(show_part(out, (struct part){3, 4, 0, 0, false}), "layer 3"), "%s", out);
    CHECK(!strcmp(show_part(out, (struct part){UINT32_MAX - 2, UINT32_MAX, 0, UINT32_MAX, false}),
                  "layers 4294967293-4294967294 and 4294967295/16 of the head"), "%s", out);
}

TEST(the_hash_changes_with_everything_stages_must_agree_on)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[2] = {0};
    PLAN a = {0}, b = {0};
    struct capacity cap = usual;
    NEED(by_hand(&a, &m, o, (uint32_t[]){3, 3}, 2, &cap, why));
    o[0].threads = 7, o[1].memory = 1ull << 40;
    NEED(by_hand(&b, &m, o, (uint32_t[]){3, 3}, 2, &cap, why));
    CHECK(a.hash == b.hash, "threads and memory are each worker's own");
    NEED(by_hand(&b, &m, o, (uint32_t[]){2, 4}, 2, &cap, why));
    CHECK(a.hash != b.hash);
    cap.context++;
    NEED(by_hand(&b, &m, o, (uint32_t[]){3, 3}, 2, &cap, why));
    CHECK(a.hash != b.hash);
    tensors[5 * W_LAYER_ROLES + W_DOWN].type = T_Q4_1;
    NEED(by_hand(&b, &m, o, (uint32_t[]){3, 3}, 2, &usual, why));
    CHECK(a.hash != b.hash);
}

TEST(lists_of_sizes_and_splits)
{
    uint64_t *sizes;
    struct cut *cuts;
    int n;
    NEED(plan_read_sizes("1G,,512M,", &sizes, &n, why));
    CHECK(n == 4 && sizes[0] == 1ull << 30 && sizes[1] == 0 && sizes[2] == 512ull << 20 && sizes[3] == 0);
    free(sizes);
    NEED(plan_read_sizes("", &sizes, &n, why));
    CHECK(n == 0 && !sizes);
    NEED(plan_read_sizes("2G", &sizes, &n, why));
    CHECK(n == 1);
    free(sizes);
    NEED(plan_read_split("12,11,11", &cuts, &n, why));
    CHECK(n == 3 && cuts[0].layers == 12 && cuts[2].layers == 11 && cuts[0].parts == 0 && cuts[2].parts == HEAD_PARTS);
    free(cuts);
    NEED(plan_read_split("34", &cuts, &n, why));
    CHECK(n == 1);
    free(cuts);
    NEED(plan_read_split("12+5,11+5,11+6", &cuts, &n, why));
    CHECK(n == 3 && cuts[0].layers == 12 && cuts[0].parts == 5 && cuts[2].layers == 11 && cuts[2].parts == 6);
    free(cuts);
    NEED(plan_read_split("17+16,17", &cuts, &n, why));
    CHECK(n == 2 && cuts[0].parts == 16 && cuts[1].parts == 0);
    free(cuts);
    struct err sum = {0};
    CHECK(plan_read_split("17+8,17+7", &cuts, &n, &sum) == E_USAGE && strstr(sum.text, "15 sixteenths") && strstr(sum.text, "all 16"),
          "%s", sum.text);
    const char *bad[] = {"", ",", "1,", "a", "1,b", "-1", "1, 2", "4294967296", "1;2", "1+", "+16", "1+16+0", "1 + 16", "1+-16",
                         "1+4294967295,1+17", "1+a",
                         "1111111111111111111111111111111111111111111111111111111111111"};
    struct err no = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(plan_read_split(bad[i], &cuts, &n, &no) == E_USAGE, "\"%s\" was taken", bad[i]);
    char many[2 * WORKERS_MOST + 2] = "1";
    for (int i = 0; i < WORKERS_MOST; i++) memcpy(many + 1 + 2 * i, ",1", 3);
    CHECK(plan_read_split(many, &cuts, &n, &no) == E_USAGE);
    CHECK(plan_read_sizes(many, &sizes, &n, &no) == E_USAGE);
    CHECK(plan_read_sizes("1G,x", &sizes, &n, &no) == E_USAGE && strstr(no.text, "x"));
}

TEST(the_table_shows_every_worker_and_the_sum)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{.name = "ant", .memory = 6ull << 30, .threads = 4}, {.name = "bee", .memory = 2ull << 30, .threads = 4},
                                {.name = "cat", .memory = 2ull << 30, .speed = 0.5, .threads = 8}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 3, &usual, why));
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    plan_print(f, &p, &m, o);
    fclose(f);
    CHECK(strstr(text, "ant") && strstr(text, "bee") && strstr(text, "cat") && strstr(text, "coordinator"));
    CHECK(strstr(text, "10.00 GiB") && strstr(text, "100%") && strstr(text, "hint: worker 1"));
    if (getenv("SHOW")) puts(text);
    free(text);
}
