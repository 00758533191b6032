/* tests/unit/simulate/invented_test.c — invented clusters under the real engine: what must hold of every one. */
#include "coordinator/simulate/invented_pipe.h"
#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"
#include "tests/support/plan_shapes.h"

#include <math.h>
#include <stdlib.h>

#define MOST 96

struct drawn { /* a cluster and what is asked of it */
    struct model_shape shape;
    struct worker_offer offers[MOST];
    struct cluster_link links[MOST];
    struct invented_load load;
    struct plan_wish wish;
    int workers;
};

static const struct model_config some_model = {.layers = 24, .hidden = 512, .ffn = 2048, .heads = 4, .kv_heads = 1, .head_dim = 128, .window = 256,
                                               .pattern = 6, .context = 8192, .vocab = 4096};

static void draw_cluster(struct drawn *d, int workers)
{
    *d = (struct drawn){.shape = invent(some_model, T_Q4_0, T_Q6_K), .workers = workers};
    for (int i = 0; i < workers; i++) {
        snprintf(d->offers[i].name, sizeof d->offers[i].name, "w%d", i);
        d->offers[i].threads = 1 + (int)dice(8);
        d->offers[i].speed = 0.5 + dice(100) / 100.0;
        d->links[i] = (struct cluster_link){.hop = {1e-6 * dice(2000), 1e5 * (1 + dice(5000))}, .loss = dice(4) ? 0 : 0.01, .jitter = dice(30) / 100.0};
    }
    d->load = (struct invented_load){.requests = 1 + dice(24), .prompt = {1 + dice(40), 0}, .answer = {1 + dice(20), 0}, .seed = dice(1000000),
                                     .arrivals = dice(2) ? 0 : 1 + dice(50)};
    d->load.prompt[1] = d->load.prompt[0] + dice(300);
    d->load.answer[1] = d->load.answer[0] + dice(30);
    d->wish.capacity = (struct capacity){.context = 400, .sequences = 1 + dice(12), .rows = 16 + dice(200)};
}

/* 0: it ran; E_USAGE: no such plan. Prints why else. */
static int live_through(struct invented_run *out, const struct drawn *d)
{
    struct err e = {0};
    PLAN p = {0};
    *out = (struct invented_run){0};
    int code = plan_make(&p, &d->shape, d->offers, d->workers, &d->wish, &e);
    const struct invented_pipe pipe = {&d->shape, &p, d->offers, d->links, 0, 1};
    if (!code) code = invented_run(out, &pipe, &d->load, NULL, NULL, &e);
    if (code && code != E_USAGE) CHECK(false, "%s", e.text);
    tally_free(&out->tally);
    return code;
}

TEST(rows_are_conserved_and_nobody_works_longer_than_the_run)
{
    for (int i = 0; i < 150; i++) {
        static struct drawn d;
        static struct invented_run r;
        draw_cluster(&d, 1 + (int)dice(8));
        if (live_through(&r, &d)) continue;
        CHECK(r.requests == d.load.requests && r.tally.ended == d.load.requests, "%llu of %u requests ended", (unsigned long long)r.requests, d.load.requests);
        const uint64_t again = r.tally.rows_again;
        CHECK(r.rows == r.prompt_rows + r.tokens - r.requests + again, "%llu rows were sent, %llu of prompts and %llu tokens", (unsigned long long)r.rows,
              (unsigned long long)r.prompt_rows, (unsigned long long)r.tokens);
        for (int k = 0; k < d.workers; k++) CHECK(r.busy[k] >= 0 && r.busy[k] <= 1 + 1e-9, "worker %d is busy %g of the time", k, r.busy[k]);
    }
}

/* What the plan counts stays below what may be used, and what is held below what the plan counts, also where sequences share a pool that is
 * too small for all of them at their longest. */
TEST(no_worker_ever_holds_more_than_its_memory)
{
    int ran = 0, full = 0;
    for (int i = 0; i < 120; i++) {
        static struct drawn d;
        static struct invented_run r;
        struct err e;
        PLAN p = {0};
        draw_cluster(&d, 1 + (int)dice(6));
        d.wish.capacity.context = 512;
        d.load.requests = 8 + dice(24), d.load.prompt[1] = 400;
        for (int k = 0; k < d.workers; k++) d.offers[k].memory = RUNTIME_BYTES + (1u << 20) * (4 + dice(40));
        if (plan_make(&p, &d.shape, d.offers, d.workers, &d.wish, &e)) continue;
        CHECK(live_through(&r, &d) == 0 && r.requests == d.load.requests, "%llu of %u requests ended", (unsigned long long)r.requests, d.load.requests);
        ran++;
        for (int k = 0; k < p.workers; k++) {
            const uint64_t pool = kv_pool_pages(&d.shape.config, p.of[k].part[CHAIN_TEXT], &p.capacity);
            CHECK(p.of[k].total <= d.offers[p.offer[k]].memory, "worker %d: %llu bytes", k + 1, (unsigned long long)p.of[k].total);
            CHECK(r.pages[k] <= pool, "worker %d held %llu pages of %llu", k + 1, (unsigned long long)r.pages[k], (unsigned long long)pool);
            full += p.capacity.blocks && 10 * r.pages[k] > 8 * pool;
        }
    }
    printf("  %d clusters of 120 with memory caps have a plan; %d stages held more than 80 %% of a pool that all share\n", ran, full);
    CHECK(ran > 30 && full > 10, "%d ran, %d stages were nearly full", ran, full);
}

TEST(the_same_seed_gives_the_same_run)
{
    struct drawn d;
    struct invented_run a, b;
    draw_cluster(&d, 5);
    CHECK(live_through(&a, &d) == 0 && live_through(&b, &d) == 0, "it did not run");
    CHECK(a.seconds == b.seconds && a.rows == b.rows && a.bytes == b.bytes && !memcmp(a.busy, b.busy, sizeof a.busy), "%g and %g s", a.seconds, b.seconds);
    d.load.seed++;
    CHECK(live_through(&b, &d) == 0 && a.seconds != b.seconds, "another seed changed nothing");
}

TEST(faster_links_never_make_a_load_slower_by_more_than_3_percent)
{
    const char *is_long = getenv("LONG");
    const int clusters = is_long && *is_long == '1' ? 1000 : 60;
    double worst = 0;
    int compared = 0;
    for (int i = 0; i < clusters; i++) {
        static struct drawn d;
        static struct invented_run slow, fast;
        draw_cluster(&d, 2 + (int)dice(6));
        d.load.arrivals = 0;
        for (int k = 0; k < d.workers; k++) d.links[k].loss = d.links[k].jitter = 0;
        if (live_through(&slow, &d)) continue;
        const double by = 1.1 + dice(400) / 100.0;
        for (int k = 0; k < d.workers; k++) d.links[k].hop.bytes_per_second *= by;
        if (live_through(&fast, &d)) continue;
        CHECK(fast.seconds <= 1.03 * slow.seconds, "links %g times as fast: %g s, before %g s", by, fast.seconds, slow.seconds);
        worst = fmax(worst, fast.seconds / slow.seconds - 1), compared++;
    }
    printf("  %d clusters with links 1.1 to 5 times as fast: slower by %.2f %% at most\n", compared, 100 * worst);
}

TEST(one_stage_alone_takes_as_long_as_the_plan_says)
{
    struct drawn d;
    struct invented_run r;
    PLAN p = {0};
    draw_cluster(&d, 1);
    d.offers[0].threads = 1, d.offers[0].speed = 1;
    d.links[0] = (struct cluster_link){0};
    d.load = (struct invented_load){.requests = 1, .prompt = {1, 1}, .answer = {100, 100}};
    d.wish.capacity = (struct capacity){.context = 400, .sequences = 1, .rows = 16};
    CHECK(live_through(&r, &d) == 0, "it did not run");
    NEED(plan_make(&p, &d.shape, d.offers, 1, &d.wish, why));
    const struct part whole = p.of[0].part[CHAIN_TEXT];
    double want = 0;
    for (uint32_t i = 0; i < 100; i++) want += part_seconds(NULL, &d.shape, whole, i, 1, 1);
    CHECK(fabs(r.seconds - want) < 1e-3 * want, "%g s, planned %g", r.seconds, want);
}

/* All stages together are busy no more than the cores there are; with enough of them nothing changes. */
TEST(workers_of_one_machine_share_its_cores)
{
    for (int i = 0; i < 12; i++) {
        static struct drawn d;
        static struct invented_run own, few, many;
        draw_cluster(&d, 2 + (int)dice(6));
        const int cores = 1 + (int)dice((uint32_t)d.workers);
        double busy = 0;
        for (int k = 0; k < d.workers; k++) d.offers[k].threads = 1, d.links[k].jitter = 0;
        if (live_through(&own, &d)) continue;
        for (int k = 0; k < d.workers; k++) d.offers[k].uses = 1, d.offers[k].cores = cores;
        CHECK(live_through(&few, &d) == 0 && few.requests == own.requests, "%d workers on %d cores", d.workers, cores);
        for (int k = 0; k < d.workers; k++) busy += few.busy[k], d.offers[k].cores = d.workers;
        CHECK(busy <= cores + 1e-6, "%d workers: %g of %d cores were busy", d.workers, busy, cores);
        CHECK(live_through(&many, &d) == 0 && many.seconds == own.seconds, "%g s with a core each, %g s", own.seconds, many.seconds);
    }
}

/* With what it stands still, as it may compute for a part of each period. */
TEST(a_stage_with_a_part_of_a_core_takes_as_long_as_the_plan_says)
{
    for (uint32_t sequences = 1; sequences <= 8; sequences += 7) {
        static struct drawn d;
        static struct invented_run r;
        PLAN p = {0};
        struct rates want;
        draw_cluster(&d, 2);
        for (int i = 0; i < 2; i++) {
            d.offers[i].threads = 1, d.offers[i].speed = 0.2;
            d.offers[i].ration = (struct ration){.quota = i ? 0.001 : 0.002, .period = 0.005, .tick = 0.004};
            d.links[i] = (struct cluster_link){0};
        }
        d.load = (struct invented_load){.requests = sequences, .prompt = {1, 1}, .answer = {200, 200}};
        d.wish.capacity = (struct capacity){.context = 202, .sequences = sequences, .rows = 16};
        CHECK(live_through(&r, &d) == 0, "it did not run");
        NEED(plan_make(&p, &d.shape, d.offers, 2, &d.wish, why));
        plan_rates(&want, NULL, &p, &d.shape, d.offers);
        CHECK(fabs((double)r.tokens / r.seconds / want.answers - 1) < 0.06, "%u sequences: %g tokens/s, planned %g", sequences, (double)r.tokens / r.seconds, want.answers);
    }
}

TEST(a_pipe_of_eighty_stages_is_lived_through)
{
    static struct drawn d;
    static struct invented_run r;
    struct model_config deep = some_model;
    deep.layers = 80;
    draw_cluster(&d, 80);
    d.shape = invent(deep, T_Q4_0, T_Q6_K);
    d.load = (struct invented_load){.requests = 200, .prompt = {16, 64}, .answer = {8, 16}};
    d.wish.capacity = (struct capacity){.context = 128, .sequences = 128, .rows = 64};
    CHECK(live_through(&r, &d) == 0 && r.tally.ended == 200, "%llu of 200 requests ended", (unsigned long long)r.tally.ended);
}

TEST(a_stage_that_computes_for_a_minute_is_not_taken_for_lost)
{
    struct drawn d;
    struct invented_run r;
    draw_cluster(&d, 2);
    for (int i = 0; i < 2; i++) d.offers[i].speed = 1e-4, d.offers[i].threads = 1;
    d.load = (struct invented_load){.requests = 2, .prompt = {64, 64}, .answer = {2, 2}};
    d.wish.capacity = (struct capacity){.context = 128, .sequences = 2, .rows = 64};
    CHECK(live_through(&r, &d) == 0 && r.seconds > 60, "%g s", r.seconds);
}
