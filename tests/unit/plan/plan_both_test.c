/* tests/unit/plan/plan_both_test.c — text and pictures in one plan: one account of memory, routes, and what the plan follows from. The
 * demo's models, invented workers. */
#include "partition/file/encoder_file.h"
#include "partition/file/model_file.h"
#include "partition/plan/beside.h"
#include "partition/plan/plan_text.h"
#include "partition/plan/rates.h"
#include "tests/support/plan_shapes.h"

#include <math.h>
#include <stdlib.h>

static struct model *text;
static struct vision_model *encoder;

static struct model_shape demo(void)
{
    struct err why = {0};
    if (!text && model_open(&text, "models/demo/demo-q4_0.gguf", &why)) check_failed(__FILE__, __LINE__, "model_open", "%s", why.text);
    if (!encoder && vision_open(&encoder, "models/demo/demo-mmproj-f16.gguf", &why))
        check_failed(__FILE__, __LINE__, "vision_open", "%s", why.text);
    return model_shape(text, encoder);
}

static void offers_even(struct worker_offer *o, int n, uint64_t memory)
{
    memset(o, 0, (size_t)n * sizeof *o);
    for (int i = 0; i < n; i++) {
        snprintf(o[i].name, sizeof o[i].name, "worker %d", i + 1);
        o[i] = (struct worker_offer){.memory = memory, .speed = 1, .threads = 1};
    }
}

static const struct capacity few = {.context = 512, .sequences = 4, .rows = 64};

/* Every layer of both chains once or in whole copies, nobody over its memory, and the routes pass exactly those who have layers. */
static void check_plan(const struct plan *p, const struct model_shape *m, const struct worker_offer *o)
{
    uint32_t layers[CHAINS] = {0}, whole = 0;
    for (int i = 0; i < p->workers; i++) {
        const struct holding *h = &p->of[i];
        for (int c = 0; c < CHAINS; c++) layers[c] += h->part[c].end - h->part[c].first;
        whole += h->part[CHAIN_VISION].end == m->encoder->config.layers && h->part[CHAIN_VISION].first == 0;
        CHECK(h->total == h->bytes[CHAIN_TEXT].total + h->bytes[CHAIN_VISION].total, "worker %d", i + 1);
        CHECK(!h->total || h->bytes[CHAIN_TEXT].runtime + h->bytes[CHAIN_VISION].runtime == RUNTIME_BYTES, "the program is counted once");
        CHECK(!o[i].memory || h->total <= o[i].memory, "worker %d is over its memory", i + 1);
        CHECK((plan_picture_route(p, i) != NULL) == !part_is_empty(h->part[CHAIN_VISION]), "worker %d", i + 1);
    }
    CHECK(layers[CHAIN_TEXT] == m->config.layers, "%u layers of text", layers[CHAIN_TEXT]);
    CHECK(layers[CHAIN_VISION] == m->encoder->config.layers * (p->copies ? whole : 1), "%u layers of the encoder", layers[CHAIN_VISION]);
    for (int i = 0; i < p->n_routes; i++) {
        const struct route *r = &p->route[i];
        CHECK(r->n > 0 && route_after(r, route_last(r)) == -1);
        for (int k = 0; k + 1 < r->n; k++) CHECK(route_after(r, r->worker[k]) == r->worker[k + 1]);
        for (int k = 0; k < r->n; k++) CHECK(!part_is_empty(p->of[r->worker[k]].part[r->chain]), "route %d", i);
    }
    CHECK(plan_stages(p) == plan_text_route(p)->n);
}

TEST(a_plan_follows_from_model_offers_and_wish_alone)
{
    const struct model_shape m = demo();
    struct worker_offer o[3];
    struct plan_wish w = {.capacity = few};
    struct plan a, b;
    offers_even(o, 3, 1ull << 30);
    NEED(plan_make(&a, &m, o, 3, &w, why));
    check_plan(&a, &m, o);
    snprintf(o[1].name, sizeof o[1].name, "another name");
    NEED(plan_make(&b, &m, o, 3, &w, why));
    CHECK(a.hash == b.hash && a.made_from == b.made_from, "names are for people");
    plan_free(&b);
    w.whole_head = true;
    NEED(plan_make(&b, &m, o, 3, &w, why));
    CHECK(a.made_from != b.made_from);
    plan_free(&b);
    w.whole_head = false, w.vision_type = VISION_Q8_0;
    NEED(plan_make(&b, &m, o, 3, &w, why));
    CHECK(a.made_from != b.made_from && a.hash != b.hash);
    plan_free(&b);
    plan_free(&a);
}

TEST(as_many_micro_batches_as_keep_all_stages_at_work)
{
    const struct model_shape m = demo();
    struct worker_offer o[4];
    struct plan_wish w = {.capacity = few};
    offers_even(o, 4, 0);
    for (int n = 1; n <= 4; n++) {
        struct plan p;
        NEED(plan_make(&p, &m, o, n, &w, why));
        CHECK(p.capacity.in_flight == (n == 1 ? 1 : (uint32_t)n + 1), "%d workers: %u", n, p.capacity.in_flight);
        plan_free(&p);
    }
    w.capacity.in_flight = 2, w.vision_workers = 1;
    struct plan p;
    NEED(plan_make(&p, &m, o, 4, &w, why));
    CHECK(p.capacity.in_flight == 2 && plan_stages(&p) == 3);
    plan_free(&p);
}

TEST(workers_set_apart_have_no_text_and_the_others_do_not_see)
{
    const struct model_shape m = demo();
    struct worker_offer o[5];
    struct plan_wish w = {.capacity = few, .vision_workers = 2};
    struct plan p;
    struct err no = {0};
    offers_even(o, 5, 0);
    NEED(plan_make(&p, &m, o, 5, &w, why));
    check_plan(&p, &m, o);
    for (int i = 0; i < 5; i++)
        CHECK(part_is_empty(p.of[i].part[CHAIN_TEXT]) == (i > 2) && part_is_empty(p.of[i].part[CHAIN_VISION]) == (i < 3));
    plan_free(&p);
    for (int apart = 5; apart < 7; apart++) {
        w.vision_workers = apart;
        CHECK(plan_make(&p, &m, o, 5, &w, &no) == E_USAGE && !p.of, "%s", no.text);
    }
}

/* What is placed by hand, or must be whole, comes first; what is free goes round it. */
TEST(the_text_leaves_room_for_an_encoder_placed_by_hand)
{
    const struct model_shape m = demo();
    struct worker_offer o[2];
    struct plan_wish w = {.capacity = few};
    struct plan p, free_of_limits;
    struct err full = {0};
    offers_even(o, 2, 0);
    NEED(vision_wish_read(&w.vision, "4,0", why));
    NEED(plan_make(&free_of_limits, &m, o, 2, &w, why));
    const uint32_t before = free_of_limits.of[0].part[CHAIN_TEXT].end;
    o[0].memory = free_of_limits.of[0].total - 1;
    plan_free(&free_of_limits);
    NEED(plan_make(&p, &m, o, 2, &w, why));
    check_plan(&p, &m, o);
    CHECK(p.of[0].part[CHAIN_VISION].end == 4 && part_is_empty(p.of[1].part[CHAIN_VISION]));
    CHECK(p.of[0].part[CHAIN_TEXT].end < before, "%u of %u layers", p.of[0].part[CHAIN_TEXT].end, before);
    plan_free(&p);
    o[0].memory = PROGRAM_BYTES + (1u << 18);
    CHECK(plan_make(&p, &m, o, 2, &w, &full) == E_MEMORY && strstr(full.text, "worker 1"), "%s", full.text);
    free(w.vision.layers);
}

static double slowest(const struct plan *p, enum chain chain)
{
    double t = 0;
    for (int i = 0; i < p->workers; i++)
        if (p->of[i].expected[chain] > t) t = p->of[i].expected[chain];
    return t;
}

/* The least time of the text's slowest stage over all cuts that leave room for the encoder; INFINITY if none does. */
static double best_by_hand(const struct model_shape *m, const struct worker_offer *o, int workers, const struct plan_wish *wish)
{
    double best = INFINITY;
    const uint32_t layers = m->config.layers;
    for (uint32_t a = 1; a <= layers; a++)
        for (uint32_t b = workers == 3 ? 1 : 0; a + b <= layers && (workers == 3 || b == 0); b++) {
            struct cut cuts[3] = {{a, 0}, {b, 0}, {layers - a - b, 0}};
            if (workers == 2) cuts[1] = cuts[2];
            cuts[workers - 1].parts = HEAD_PARTS;
            struct plan_wish w = *wish;
            struct plan p;
            w.cuts = cuts, w.n_cuts = workers;
            if (plan_make(&p, m, o, workers, &w, NULL)) continue;
            if (slowest(&p, CHAIN_TEXT) < best) best = slowest(&p, CHAIN_TEXT);
            plan_free(&p);
        }
    return best;
}

/* If there is a cut that leaves room for the encoder it is found, and no other such cut has a faster text. */
TEST(text_and_pictures_share_a_memory_that_is_just_enough)
{
    const struct model_shape m = demo();
    int moved = 0, refused = 0, free_choice = 0;
    for (int round = 0; round < 400; round++) {
        struct worker_offer o[3];
        struct plan_wish w = {.capacity = {256 + dice(512), 1 + dice(4), 16 + dice(64), 0, ALL_BLOCKS}, .whole_head = true,
                              .vision = {.how = VISION_LAYERS}};
        struct model_shape text_only = m;
        struct plan p, alone;
        struct err no = {0};
        const int workers = 2 + (int)dice(2);
        offers_even(o, workers, 0);
        for (int i = 0; i < workers; i++) {
            o[i].threads = 1 + (int)dice(2);
            o[i].memory = dice(8) ? PROGRAM_BYTES + (1u << 19) + dice(5u << 20) : 0;
        }
        const double best = best_by_hand(&m, o, workers, &w);
        const int code = plan_make(&p, &m, o, workers, &w, &no);
        CHECK(isinf(best) ? code == E_MEMORY : code == 0, "round %d: %d, by hand %g: %s", round, code, best, no.text);
        refused += code != 0;
        if (code) continue;
        check_plan(&p, &m, o);
        CHECK(slowest(&p, CHAIN_TEXT) <= best * 1.03, "round %d: %g, best is %g", round, slowest(&p, CHAIN_TEXT), best);
        text_only.encoder = NULL;
        NEED(plan_make(&alone, &text_only, o, workers, &w, why));
        for (int i = 0; i < workers; i++)
            if (!part_same(alone.of[i].part[CHAIN_TEXT], p.of[i].part[CHAIN_TEXT])) {
                moved++;
                break;
            }
        free_choice += slowest(&alone, CHAIN_TEXT) == slowest(&p, CHAIN_TEXT);
        plan_free(&alone);
        plan_free(&p);
    }
    CHECK(moved > 20 && refused > 20 && free_choice > 100, "%d moved, %d were refused, %d had room: the test tests little", moved,
          refused, free_choice);
}

/* The published encoder, without a file. */
static struct tensor encoder_layers[27 * V_LAYER_ROLES];
static struct vision_model real_encoder(void)
{
    struct vision_model v = {.config = {.image = 896, .patch = 14, .layers = 27, .width = 1152, .ffn = 4304, .heads = 16, .pool = 4,
                                        .hidden = 2560,
                                        .norm_epsilon = 1e-6f}, .layer_tensors = encoder_layers};
    for (uint32_t i = 0; i < 27 * V_LAYER_ROLES; i++) {
        encoder_layers[i] = vision_tensor(&v.config, i % V_LAYER_ROLES, i / V_LAYER_ROLES);
        encoder_layers[i].type = vision_role_is_vector(i % V_LAYER_ROLES) ? T_F32 : T_F16;
    }
    for (int r = V_LAYER_ROLES; r < V_ROLES; r++) {
        v.rest[r - V_LAYER_ROLES] = vision_tensor(&v.config, r, 0);
        v.rest[r - V_LAYER_ROLES].type = vision_role_is_vector(r) || r == V_POSITIONS ? T_F32 : T_F16;
    }
    return v;
}

/* The plan of such workers with the text where it would be without pictures. */
static int plan_unmoved(struct plan *out, const struct model_shape *m, const struct worker_offer *o, int n, const struct plan_wish *wish)
{
    struct model_shape text_only = *m;
    struct plan_wish w = *wish;
    struct cut cuts[12];
    struct plan alone;
    struct err no = {0};
    text_only.encoder = NULL;
    CHECK(!plan_make(&alone, &text_only, o, n, wish, &no), "%s", no.text);
    for (int i = 0; i < n && alone.of; i++) {
        const struct part s = alone.of[i].part[CHAIN_TEXT];
        cuts[i] = (struct cut){s.end - s.first, s.back_end - s.back};
    }
    plan_free(&alone);
    w.cuts = cuts, w.n_cuts = n;
    return plan_make(out, m, o, n, &w, &no);
}

/* Where the encoder has room already, text moves for it only if pictures gain much, and then by no more than BESIDE_SLACK. */
TEST(text_moves_a_little_where_pictures_gain_much)
{
    const struct vision_model v = real_encoder();
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    const struct plan_wish w = {.capacity = {4096, 4, 256, 0, ALL_BLOCKS}, .vision = {.how = VISION_LAYERS}};
    int had_room = 0, gained = 0;
    m.encoder = &v;
    for (int round = 0; round < 60; round++) {
        struct worker_offer o[12];
        struct plan p, unmoved;
        struct err no = {0};
        const int n = 2 + (int)dice(5);
        offers_even(o, n, 0);
        for (int i = 0; i < n; i++) {
            o[i].threads = 1 + (int)dice(4);
            o[i].memory = (1189ull << 20) + dice(2u << 30);
        }
        if (plan_make(&p, &m, o, n, &w, &no)) continue;
        check_plan(&p, &m, o);
        if (!plan_unmoved(&unmoved, &m, o, n, &w)) {
            const double slower = slowest(&p, CHAIN_TEXT) / slowest(&unmoved, CHAIN_TEXT);
            const double pictures = slowest(&p, CHAIN_VISION) / slowest(&unmoved, CHAIN_VISION);
            CHECK(slower <= BESIDE_SLACK * 1.001, "round %d: the text takes %.3f times as long", round, slower);
            CHECK(pictures <= 1, "round %d: pictures take %.3f times as long", round, pictures);
            had_room++;
            gained += pictures * BESIDE_GAIN < 1;
            plan_free(&unmoved);
        }
        plan_free(&p);
    }
    CHECK(had_room > 10 && gained > 2, "%d had room, %d gained: the test tests little", had_room, gained);
}

TEST(real_models_find_room_for_each_other)
{
    const struct vision_model v = real_encoder();
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[12];
    const struct plan_wish w = {.capacity = {4096, 4, 256, 0, ALL_BLOCKS}};
    uint64_t least = 0;
    m.encoder = &v;
    for (int n = 2; n <= 10; n += 4) {
        struct err no = {0};
        struct plan p;
        int tight = 0;
        offers_even(o, n, 0);
        NEED(plan_make(&p, &m, o, n, &w, why));
        uint64_t most = 0;
        for (int i = 0; i < n; i++) most = p.of[i].total > most ? p.of[i].total : most;
        plan_free(&p);
        for (uint64_t memory = most; memory > most / 2; memory -= most / 40, tight++) {
            for (int i = 0; i < n; i++) o[i].memory = memory;
            const int code = plan_make(&p, &m, o, n, &w, &no);
            if (code) {
                CHECK(code == E_MEMORY, "%s", no.text);
                break;
            }
            check_plan(&p, &m, o);
            plan_free(&p);
            least = memory;
        }
        CHECK(tight > 1 && least < most, "%d workers", n);
    }
}

TEST(the_pool_takes_what_pictures_leave)
{
    const struct vision_model v = real_encoder();
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct plan_wish w = {.capacity = {4096, 16, 128, 0, 0}};
    struct worker_offer o[5];
    struct plan p;
    m.encoder = &v;
    offers_even(o, 5, 1300ull << 20);
    NEED(plan_make(&p, &m, o, 5, &w, why));
    check_plan(&p, &m, o);
    CHECK(p.capacity.blocks > 64 && p.capacity.blocks < 16 * 64, "%u blocks", p.capacity.blocks);
    plan_free(&p);
    w.together = 7300ull << 20;
    NEED(plan_make(&p, &m, o, 5, &w, why));
    uint64_t sum = 0;
    for (int i = 0; i < 5; i++) sum += p.of[i].total;
    CHECK(p.capacity.blocks >= 64 && sum <= w.together / 4 * 3 && sum > w.together / 100 * 73, "%u blocks", p.capacity.blocks);
    plan_free(&p);
}

TEST(workers_of_one_machine_share_its_memory)
{
    const struct model_shape m = demo();
    struct worker_offer o[3];
    struct plan_wish w = {.capacity = few};
    struct plan p;
    struct err no = {0};
    offers_even(o, 3, 1ull << 30);
    NEED(plan_make(&p, &m, o, 3, &w, why));
    CHECK(p.copies, "%s", p.why);
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) sum += p.of[i].total;
    plan_free(&p);
    w.together = sum - 1;
    NEED(plan_make(&p, &m, o, 3, &w, why));
    CHECK(!p.copies, "copies do not fit all together: their layers are split");
    check_plan(&p, &m, o);
    plan_free(&p);
    w.together = 30u << 20;
    CHECK(plan_make(&p, &m, o, 3, &w, &no) == E_MEMORY && strstr(no.text, "together"), "%s", no.text);
}

/* What `plan --json` writes can be read, by a JSON reader and by who only wants the text's stages. */
TEST(a_plan_with_pictures_is_json)
{
    const struct model_shape m = demo();
    struct worker_offer o[3];
    offers_even(o, 3, 1u << 30);
    snprintf(o[1].name, sizeof o[1].name, "the \"second\"\n");
    const enum vision_how ways[] = {VISION_LAYERS, VISION_COPIES};
    for (int i = 0; i < 2; i++) {
        const struct plan_wish w = {.capacity = few, .vision = {.how = ways[i]}};
        const struct plan_files files = {.model = "model.gguf", .mmproj = "an \"encoder\".gguf", .encoder = encoder->fingerprint,
                                         .layers = 8};
        struct plan p;
        struct plan_file read;
        char *at = NULL;
        size_t n = 0;
        NEED(plan_make(&p, &m, o, 3, &w, why));
        FILE *to = open_memstream(&at, &n);
        plan_write_json(to, &p, o, &files);
        fclose(to);
        NEED(plan_parse_json(&read, at, n, "itself", why));
        CHECK(read.stages == 3 && read.layers == 8);
        CHECK(strstr(at, i ? "\"how\": \"copies\"" : "\"how\": \"split\""), "%s", at);
        free(at);
        plan_free(&p);
    }
}

TEST(pictures_that_come_with_answers_take_their_time_from_them)
{
    const struct model_shape m = demo();
    struct worker_offer o[3];
    struct plan_wish w = {.capacity = few};
    struct rates without, with;
    PLAN p = {0};
    offers_even(o, 3, 1ull << 30);
    NEED(plan_make(&p, &m, o, 3, &w, why));
    plan_rates(&without, NULL, &p, &m, o);
    const uint64_t made_from = p.made_from;
    plan_free(&p);
    w.picture_share = 0.1;
    struct stage_rates stages[3];
    NEED(plan_make(&p, &m, o, 3, &w, why));
    plan_rates(&with, stages, &p, &m, o);
    CHECK(with.answers < without.answers && stages[0].pictures > 0, "%g and %g tokens/s", without.answers, with.answers);
    CHECK(p.made_from != made_from, "how many pictures there will be is part of the question");
}
