/* tests/unit/plan/vision_split_test.c — who sees: layers split, copies, and what decides between them. The demo's encoder, invented
 * workers. */
#include "partition/file/encoder_file.h"
#include "tests/support/check.h"

#include "base/json.h"
#include "partition/plan/plan_text.h"
#include "partition/plan/vision_split.h"

#include <math.h>
#include <stdlib.h>

#define ENCODER "models/demo/demo-mmproj-f16.gguf"
#define MANY 9

static struct vision_model *encoder(void)
{
    struct vision_model *m = 0;
    struct err why = {0};
    if (vision_open(&m, ENCODER, &why)) check_failed(__FILE__, __LINE__, ENCODER, "%s", why.text);
    return m;
}

static void offers_even(struct worker_offer *o, int n, uint64_t memory)
{
    memset(o, 0, (size_t)n * sizeof *o);
    for (int i = 0; i < n; i++) {
        snprintf(o[i].name, sizeof o[i].name, "worker %d", i + 1);
        o[i].memory = memory;
        o[i].threads = 1;
    }
}

/* A split that closes itself where it ends. */
#define SPLIT __attribute__((cleanup(vision_split_close))) struct vision_split

static const struct holding no_text[MANY];

static int split(struct vision_split *v, const struct vision_model *m, const struct worker_offer *o, int n, const struct holding *text,
                 int first, const struct vision_wish *wish, struct err *why)
{
    const struct vision_job job = {.model = m, .as = VISION_AS_FILE, .offers = o, .text = text, .workers = n, .first = first};
    vision_split_close(v);
    return vision_split_open(v, &job, wish, why);
}

static int make(struct vision_split *v, const struct vision_model *m, const struct worker_offer *o, int n, const char *text,
                struct err *why)
{
    struct vision_wish wish;
    TRY(vision_wish_read(&wish, text, why));
    const int code = split(v, m, o, n, no_text, 0, &wish, why);
    free(wish.layers);
    return code;
}

/* Every layer once and in order, or all of them at every worker that is used; the ends where they belong. */
static void check_whole(const struct vision_split *p, int workers, uint32_t layers)
{
    uint32_t at = 0;
    int used = 0;
    for (int i = 0; i < workers; i++) {
        const struct vision_holding *s = &p->of[i];
        if (part_is_empty(s->part)) continue;
        used++;
        CHECK(s->bytes.total > 0 && s->expected > 0);
        if (p->copies) {
            CHECK(s->part.first == 0 && s->part.end == layers && s->part.front && part_has_back(s->part), "worker %d", i);
            continue;
        }
        CHECK(s->part.first == at && s->part.end > at, "worker %d begins at %u, not %u", i, s->part.first, at);
        CHECK(s->part.front == (at == 0) && part_has_back(s->part) == (s->part.end == layers));
        at = s->part.end;
    }
    CHECK(used == p->used && (p->copies || at == layers));
    CHECK(p->pictures == (p->copies ? COPY_IN_FLIGHT : (uint32_t)used + 1));
}

TEST(an_encoder_is_split_unless_copies_are_faster_and_fit)
{
    struct vision_model *m = encoder();
    struct worker_offer o[MANY];
    SPLIT p = {0};
    for (int n = 1; n <= MANY; n++) {
        offers_even(o, n, 0);
        NEED(make(&p, m, o, n, 0, why));
        check_whole(&p, n, m->config.layers);
        CHECK(!p.copies && p.used == (n < 4 ? n : 4), "%d workers without a limit: %d used", n, p.used);
        offers_even(o, n, 1u << 30);
        NEED(make(&p, m, o, n, 0, why));
        check_whole(&p, n, m->config.layers);
        /* one cannot have copies; three and more divide four layers unevenly, or use four workers at most; two and four
         * are uneven only by the ends */
        if (n == 1) CHECK(!p.copies);
        if (n == 3 || n > 4) CHECK(p.copies && p.used == n, "%d workers with room: %s", n, p.why);
    }
    vision_close(&m);
}

TEST(copies_go_only_where_there_is_room)
{
    struct vision_model *m = encoder();
    struct worker_offer o[5];
    SPLIT p = {0};
    offers_even(o, 5, 1u << 30);
    NEED(make(&p, m, o, 1, "copies", why));
    const uint64_t whole = p.of[0].bytes.total;
    o[1].memory = whole - 1;
    o[3].memory = whole;
    NEED(make(&p, m, o, 5, 0, why));
    check_whole(&p, 5, m->config.layers);
    CHECK(p.copies && p.used == 4 && part_is_empty(p.of[1].part) && !part_is_empty(p.of[3].part), "%s", p.why);
    o[4].memory = 0;
    o[0].shares_machine = o[2].shares_machine = true;
    NEED(make(&p, m, o, 5, 0, why));
    CHECK(!p.copies && strstr(p.why, "1 of 5 workers have room"), "%s", p.why);
    o[3].shares_machine = true;
    NEED(make(&p, m, o, 5, 0, why));
    CHECK(!p.copies && strstr(p.why, "1 of 5 are"), "%s", p.why);
    struct holding text[5] = {0};
    const uint64_t more = whole - RUNTIME_BYTES; /* where the text counts the program itself */
    offers_even(o, 5, 4 * more);
    for (int i = 0; i < 5; i++) text[i].bytes[CHAIN_TEXT].total = i ? 3 * more + 1 : 1;
    struct vision_wish any = {.how = VISION_CHOOSE};
    NEED(split(&p, m, o, 5, text, 0, &any, why));
    CHECK(!p.copies && strstr(p.why, "1 of 5 workers have room"), "%s", p.why);
    vision_close(&m);
}

TEST(a_plan_of_the_encoder_never_goes_over_a_memory)
{
    struct vision_model *m = encoder();
    struct worker_offer o[4];
    SPLIT p = {0};
    struct err why = {0};
    uint64_t least = UINT64_MAX;
    for (uint64_t memory = RUNTIME_BYTES; memory < RUNTIME_BYTES + (16 << 20); memory += 64 << 10) {
        offers_even(o, 4, memory);
        int code = make(&p, m, o, 4, 0, &why);
        if (code) {
            CHECK(code == E_MEMORY && why.text[0] && least == UINT64_MAX, "%s", why.text);
            continue;
        }
        if (least == UINT64_MAX) least = memory;
        check_whole(&p, 4, m->config.layers);
        for (int i = 0; i < 4; i++) CHECK(p.of[i].bytes.total <= memory, "worker %d of %llu", i, (unsigned long long)memory);
    }
    CHECK(least < UINT64_MAX);
    CHECK(make(&p, m, o, 4, "4,0,0,0", &why) == 0);
    o[0].memory = 1 << 20;
    CHECK(make(&p, m, o, 4, "4,0,0,0", &why) == E_MEMORY && strstr(why.text, "worker 1"), "%s", why.text);
    CHECK(make(&p, m, o, 4, "copies", &why) == E_MEMORY && strstr(why.text, "worker 1"), "%s", why.text);
    vision_close(&m);
}

TEST(the_faster_worker_gets_more_of_the_encoder)
{
    struct vision_model *m = encoder();
    struct worker_offer o[2];
    SPLIT p = {0};
    offers_even(o, 2, 0);
    o[1].threads = 3;
    NEED(make(&p, m, o, 2, "layers", why));
    CHECK(p.of[0].part.end == 1 && p.of[1].part.end == 4);
    NEED(make(&p, m, o, 2, "copies", why));
    CHECK(fabs(p.of[0].expected / p.of[1].expected - 3) < 1e-9);
    const struct model_shape shape = model_shape(NULL, m);
    const struct plan_wish wish = {.capacity = {1, 1, 1, 1}, .vision = {.how = VISION_COPIES}};
    struct plan plan;
    NEED(plan_make(&plan, &shape, o, 2, &wish, why));
    CHECK(fabs(plan_picture_rate(&plan) * p.of[1].expected - 4.0 / 3) < 1e-9, "both together");
    CHECK(plan_picture_alone(&plan) == p.of[1].expected);
    plan_free(&plan);
    vision_close(&m);
}

TEST(a_split_of_the_encoder_can_be_said)
{
    struct vision_model *m = encoder();
    struct worker_offer o[3];
    SPLIT p = {0};
    offers_even(o, 3, 0);
    NEED(make(&p, m, o, 3, "all,0,all", why));
    check_whole(&p, 3, 4);
    CHECK(p.copies && p.used == 2 && part_is_empty(p.of[1].part));
    NEED(make(&p, m, o, 3, "0,1,3", why));
    check_whole(&p, 3, 4);
    CHECK(!p.copies && p.used == 2 && part_is_empty(p.of[0].part));
    const char *bad[] = {"", ",", "4", "4,0", "4,0,0,0", "1,1,1", "all", "all,0,1", "all,all", "all,0,", "copy", "al,l,0", "4,0,-0",
                         "4, 0,0",
                         "4,0,0 ", "99999999999,0,0", "4294967300,0,0", "ALL,0,0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err why = {0};
        CHECK(make(&p, m, o, 3, bad[i], &why) == E_USAGE && strstr(why.text, "split"), "\"%s\": %s", bad[i], why.text);
    }
    vision_close(&m);
}

TEST(workers_set_apart_see_and_the_others_do_not)
{
    struct vision_model *m = encoder();
    struct worker_offer o[5];
    struct holding text[5] = {0};
    SPLIT p = {0};
    const enum vision_how ways[] = {VISION_LAYERS, VISION_COPIES, VISION_CHOOSE};
    for (int i = 0; i < 3; i++) text[i].bytes[CHAIN_TEXT].total = 1;
    for (int i = 0; i < 3; i++) {
        offers_even(o, 5, i == 2 ? 1u << 30 : 0);
        struct vision_wish wish = {.how = ways[i]};
        NEED(split(&p, m, o, 5, text, 3, &wish, why));
        check_whole(&p, 5, m->config.layers);
        CHECK(p.used == 2 && !part_is_empty(p.of[3].part) && !part_is_empty(p.of[4].part), "way %d: %d used", i, p.used);
        CHECK(p.of[4].bytes.runtime == RUNTIME_BYTES, "what has no text counts the program itself");
    }
    const uint64_t alone = p.of[4].bytes.total;
    text[3].bytes[CHAIN_TEXT].total = text[4].bytes[CHAIN_TEXT].total = 1;
    struct vision_wish all = {.how = VISION_COPIES};
    NEED(split(&p, m, o, 5, text, 0, &all, why));
    CHECK(p.used == 5 && p.of[4].bytes.total + RUNTIME_BYTES == alone);
    vision_close(&m);
}
