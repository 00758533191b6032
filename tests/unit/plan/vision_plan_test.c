/* tests/unit/plan/vision_plan_test.c — who sees: layers split, copies, and what decides between them. The demo's encoder, invented
 * workers. */
#include "partition/file/encoder_file.h"
#include "tests/support/check.h"

#include "base/json.h"
#include "partition/plan/plan_json.h"
#include "partition/plan/vision_plan.h"

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

static int make(struct vision_plan *p, const struct vision_model *m, const struct worker_offer *o, int n, const char *text, struct err *why)
{
    struct vision_wish wish;
    TRY(vision_wish_read(&wish, text, why));
    return vision_plan_make(p, m, VISION_AS_FILE, 0, o, n, &wish, why);
}

/* Every layer once and in order, or all of them at every worker that is used; the ends where they belong. */
static void check_whole(const struct vision_plan *p, uint32_t layers)
{
    uint32_t at = 0;
    int used = 0, entry = -1;
    for (int i = 0; i < p->workers; i++) {
        const struct vision_stage_plan *s = &p->stage[i];
        if (!s->used) continue;
        used++;
        CHECK(s->bytes.total > 0 && s->expected > 0);
        if (p->copies) {
            CHECK(s->share.first == 0 && s->share.end == layers && s->share.front && part_has_back(s->share) && s->next == -1, "worker %d", i);
            continue;
        }
        CHECK(s->share.first == at && s->share.end > at, "worker %d begins at %u, not %u", i, s->share.first, at);
        CHECK(s->share.front == (at == 0) && part_has_back(s->share) == (s->share.end == layers));
        if (entry >= 0) CHECK(p->stage[entry].next == i, "the way from worker %d", entry);
        if (part_has_back(s->share)) CHECK(s->next == -1);
        entry = i;
        at = s->share.end;
    }
    CHECK(used == p->used && (p->copies || at == layers));
    CHECK(p->in_flight == (p->copies ? COPY_IN_FLIGHT : (uint32_t)used + 1));
}

TEST(an_encoder_is_split_unless_copies_are_faster_and_fit)
{
    struct vision_model *m = encoder();
    struct worker_offer o[MANY];
    struct vision_plan p;
    for (int n = 1; n <= MANY; n++) {
        offers_even(o, n, 0);
        NEED(make(&p, m, o, n, 0, why));
        check_whole(&p, m->config.layers);
        CHECK(!p.copies && p.used == (n < 4 ? n : 4), "%d workers without a limit: %d used", n, p.used);
        offers_even(o, n, 1u << 30);
        NEED(make(&p, m, o, n, 0, why));
        check_whole(&p, m->config.layers);
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
    struct vision_plan p;
    offers_even(o, 5, 1u << 30);
    NEED(make(&p, m, o, 1, "copies", why));
    const uint64_t whole = p.stage[0].bytes.total;
    o[1].memory = whole - 1;
    o[3].memory = whole;
    NEED(make(&p, m, o, 5, 0, why));
    check_whole(&p, m->config.layers);
    CHECK(p.copies && p.used == 4 && !p.stage[1].used && p.stage[3].used, "%s", p.why);
    o[4].memory = 0;
    o[0].shares_machine = o[2].shares_machine = true;
    NEED(make(&p, m, o, 5, 0, why));
    CHECK(!p.copies && strstr(p.why, "1 of 5 workers have room"), "%s", p.why);
    o[3].shares_machine = true;
    NEED(make(&p, m, o, 5, 0, why));
    CHECK(!p.copies && strstr(p.why, "1 of 5 are"), "%s", p.why);
    struct plan text = {.stages = 5};
    const uint64_t more = whole - RUNTIME_BYTES; /* where the text counts the program itself */
    offers_even(o, 5, 4 * more);
    for (int i = 0; i < 5; i++) text.stage[i].bytes.total = i ? 3 * more + 1 : 0;
    struct vision_wish any = {.how = VISION_CHOOSE};
    NEED(vision_plan_make(&p, m, VISION_AS_FILE, &text, o, 5, &any, why));
    CHECK(!p.copies && strstr(p.why, "1 of 5 workers have room"), "%s", p.why);
    vision_close(&m);
}

TEST(a_plan_of_the_encoder_never_goes_over_a_memory)
{
    struct vision_model *m = encoder();
    struct worker_offer o[4];
    struct vision_plan p;
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
        check_whole(&p, m->config.layers);
        for (int i = 0; i < 4; i++) CHECK(p.stage[i].bytes.total <= memory, "worker %d of %llu", i, (unsigned long long)memory);
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
    struct vision_plan p;
    offers_even(o, 2, 0);
    o[1].threads = 3;
    NEED(make(&p, m, o, 2, "layers", why));
    CHECK(p.stage[0].share.end == 1 && p.stage[1].share.end == 4);
    NEED(make(&p, m, o, 2, "copies", why));
    CHECK(fabs(p.stage[0].expected / p.stage[1].expected - 3) < 1e-9);
    CHECK(fabs(vision_plan_rate(&p) * p.stage[1].expected - 4.0 / 3) < 1e-9, "both together");
    CHECK(vision_plan_alone(&p) == p.stage[1].expected);
    vision_close(&m);
}

TEST(a_split_of_the_encoder_can_be_said)
{
    struct vision_model *m = encoder();
    struct worker_offer o[3];
    struct vision_plan p;
    offers_even(o, 3, 0);
    NEED(make(&p, m, o, 3, "all,0,all", why));
    check_whole(&p, 4);
    CHECK(p.copies && p.used == 2 && !p.stage[1].used);
    NEED(make(&p, m, o, 3, "0,1,3", why));
    check_whole(&p, 4);
    CHECK(!p.copies && p.used == 2 && p.stage[1].next == 2);
    const char *bad[] = {"", ",", "4", "4,0", "4,0,0,0", "1,1,1", "all", "all,0,1", "all,all", "all,0,", "copy", "al,l,0", "4,0,-0", "4, 0,0",
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
    struct vision_plan p;
    struct plan text = {.stages = 3};
    const enum vision_how ways[] = {VISION_LAYERS, VISION_COPIES, VISION_CHOOSE};
    struct err no = {0};
    for (int i = 0; i < 3; i++) {
        offers_even(o, 5, i == 2 ? 1u << 30 : 0);
        struct vision_wish wish = {.how = ways[i], .apart = 2};
        NEED(vision_plan_make(&p, m, VISION_AS_FILE, &text, o, 5, &wish, why));
        check_whole(&p, m->config.layers);
        CHECK(p.used == 2 && p.stage[3].used && p.stage[4].used, "way %d: %d used", i, p.used);
        CHECK(p.stage[4].bytes.runtime == RUNTIME_BYTES, "what has no text counts the program itself");
    }
    const uint64_t alone = p.stage[4].bytes.total;
    text.stages = 5;
    NEED(make(&p, m, o, 5, "copies", why));
    struct vision_wish all = {.how = VISION_COPIES};
    NEED(vision_plan_make(&p, m, VISION_AS_FILE, &text, o, 5, &all, why));
    CHECK(p.used == 5 && p.stage[4].bytes.total + RUNTIME_BYTES == alone);
    struct vision_wish wrong = {.how = VISION_LAYERS, .apart = 6};
    CHECK(vision_plan_make(&p, m, VISION_AS_FILE, &text, o, 5, &wrong, &no) == E_USAGE);
    vision_close(&m);
}

/* What `plan --json` writes can be read, by a JSON reader and by who only wants the text's stages. */
TEST(a_plan_with_pictures_is_json)
{
    struct vision_model *m = encoder();
    struct worker_offer o[3];
    struct vision_plan v;
    offers_even(o, 3, 1u << 30);
    snprintf(o[1].name, sizeof o[1].name, "the \"second\"\n");
    struct plan text = {.stages = 1, .capacity = {16, 1, 16, 2}};
    text.stage[0].share = (struct part){0, 8, 0, HEAD_PARTS, false};
    const char *ways[] = {"layers", "copies"};
    for (int i = 0; i < 2; i++) {
        NEED(make(&v, m, o, 3, ways[i], why));
        char *at = 0;
        size_t n = 0;
        FILE *to = open_memstream(&at, &n);
        struct plan_pictures said = {&v, "an \"encoder\".gguf", m->fingerprint};
        plan_write_json(to, &text, o, "model.gguf", (struct hash128){1, 2}, 8, &said);
        fclose(to);
        struct plan_file read;
        NEED(plan_parse_json(&read, at, n, "itself", why));
        CHECK(read.stages == 1 && read.layers == 8);
        CHECK(strstr(at, i ? "\"how\": \"copies\"" : "\"how\": \"split\""), "%s", at);
        free(at);
    }
    vision_close(&m);
}
