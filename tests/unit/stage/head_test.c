/* tests/unit/stage/head_test.c — a head in parts says what a whole one says: tokens, probabilities, alternatives and hashes, bit for bit.
 *
 * The coordinator's merge is spelled out here in the plainest way: all candidates, sorted. */
#include "tests/support/check.h"
#include "tests/support/toy.h"
#include "worker/worker.h"

#include <math.h>

#define SLOTS 3
#define GUESSES_ROWS (1 + WIRE_DRAFT)
#define TURNS 25
#define TOY_WORDS 333
#define MASK_BYTES 44

static const struct relay_plan whole = {"7", {200, SLOTS, 64, 2, 0, {0}}, 1, NULL, NULL};

struct merge {
    struct scored row[GUESSES_ROWS]; /* in their order */
    uint32_t next, n[GUESSES_ROWS];
    struct candidate all[GUESSES_ROWS][16 * WIRE_CANDIDATES];
    struct candidate best[GUESSES_ROWS][16 * WIRE_ALTERNATIVES];
    uint32_t n_best[GUESSES_ROWS];
    uint32_t first, gave; /* the word that the sender's begin with; rows whose scores it gave */
    float scores[GUESSES_ROWS][TOY_WORDS];
};

static int take_home(void *user, uint32_t slot, uint32_t position, const float *scores, uint32_t n, uint64_t hash, struct err *why)
{
    struct merge *m = user;
    (void)slot, (void)position, (void)why;
    CHECK(hash == 0);
    memcpy(m->scores[m->gave++] + m->first, scores, n * sizeof *scores);
    return 0;
}

static int hear(void *user, const struct scored *s, struct err *why)
{
    struct merge *m = user;
    uint32_t i = m->next++;
    (void)why;
    m->row[i].slot = s->slot;
    m->row[i].position = s->position;
    memcpy(m->row[i].parts + s->part, s->parts, s->n_parts * sizeof *s->parts);
    m->row[i].n_parts += s->n_parts;
    memcpy(m->all[i] + m->n[i], s->candidates, s->n_candidates * sizeof *s->candidates);
    m->n[i] += s->n_candidates;
    memcpy(m->best[i] + m->n_best[i], s->best, s->n_best * sizeof *s->best);
    m->n_best[i] += s->n_best;
    return 0;
}

static int by_score(const void *x, const void *y)
{
    const struct candidate *a = x, *b = y;
    if (a->score > b->score) return -1;
    if (a->score < b->score) return 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Of w's one segment that is not of few: its rows' scores are the first that came home. */
static int draw_from_all(struct token *t, struct merge *m, uint32_t i, const struct segment *asked, const struct work *w, struct err *why)
{
    static uint32_t ids[TOY_WORDS];
    const struct all_scores all = {m->scores[0], TOY_WORDS, ids, NULL, 0, w, mask_get(w, asked, 0)};
    uint64_t hash;
    m->row[i].n_best = 0;
    TRY(worker_scores_hash(&hash, &m->row[i], asked, why));
    worker_draw(t, &m->row[i], asked, &all);
    t->hash = asked->flags & SEG_WANT_HASH ? hash : 0;
    return 0;
}

/* r has just run all its stages; their parts of the head follow, and *result is what they say together. */
static int score(struct relay *r, struct result *result, struct err *why)
{
    struct work *w = calloc(1, sizeof *w);
    struct merge *m = calloc(1, sizeof *m);
    uint32_t at[WIRE_SEGMENTS];
    const uint32_t hidden = r->toy->config.hidden;
    float *x = stage_rows(r->stages[r->n - 1]);
    int code = 0;
    stage_wanted(r->stages[r->n - 1], r->work, w, at);
    for (uint32_t i = 0; i < w->n_rows; i++) memcpy(x + i * hidden, r->x + at[i] * hidden, hidden * sizeof *x);
    for (int i = 0; i < r->n && !code; i++) {
        m->next = m->gave = 0;
        m->first = part_first_word(&r->toy->config, r->parts[i]);
        if (part_has_head(r->parts[i])) code = stage_score(r->stages[i], w, x, take_home, hear, m, why);
    }
    result->n_tokens = 0;
    for (uint32_t i = 0, g = 0, of = 0; i < w->n_rows && !code; i++, of++) {
        if (of == w->segments[g].rows) g++, of = 0;
        const struct segment *asked = &w->segments[g];
        if (!sampling_of_few(&asked->sampling)) {
            struct token *t = &result->tokens[result->n_tokens++];
            code = draw_from_all(t, m, i, asked, w, why);
            continue;
        }
        uint32_t most = asked->sampling.temperature > 0 ? asked->sampling.top_k : 1;
        qsort(m->all[i], m->n[i], sizeof *m->all[i], by_score);
        m->row[i].n_candidates = m->n[i] < most ? m->n[i] : most;
        memcpy(m->row[i].candidates, m->all[i], m->row[i].n_candidates * sizeof *m->all[i]);
        qsort(m->best[i], m->n_best[i], sizeof *m->best[i], by_score);
        m->row[i].n_best = asked->top;
        memcpy(m->row[i].best, m->best[i], m->row[i].n_best * sizeof *m->best[i]);
        code = worker_answer(&result->tokens[result->n_tokens++], &m->row[i], asked, why);
    }
    free(w);
    free(m);
    return code;
}

/* Every third of the words may be said; in turn 8 none of those that there are. */
static void add_mask(struct relay *r, struct segment *g, uint32_t turn)
{
    static uint8_t mask[GUESSES_ROWS][MASK_BYTES];
    memset(mask, 0, sizeof mask);
    for (uint32_t k = 0; k < g->wanted; k++)
        for (uint32_t word = turn == 8 ? TOY_WORDS : (turn + k) % 3; word < MASK_BYTES * 8; word += 3) mask[k][word / 8] |= (uint8_t)(1 << word % 8);
    g->flags |= SEG_MASKED;
    g->first_mask = 0;
    r->work->masks = mask[0];
    r->work->mask_words = MASK_BYTES / 4;
    r->work->n_mask_words = g->wanted * MASK_BYTES / 4;
}

/* Biases and alternatives for the segment that was added last, every second turn with a mask; every second one of the words is
 * forbidden by a bias. */
static void add_wishes(struct relay *r, struct segment *g, uint32_t turn, uint8_t *biases)
{
    if (turn / 2 % 2 == 0) add_mask(r, g, turn);
    static const float amounts[] = {1.5f, -2, 0.25f, -100};
    r->work->biases = biases;
    r->work->n_biases = g->n_biases = 4;
    g->top = 1 + turn % WIRE_ALTERNATIVES;
    for (uint32_t i = 0; i < 4; i++)
        bias_put(biases, i, (struct bias){g->slot, 10 * turn + 23 * i, i == 3 && turn % 2 ? -INFINITY : amounts[i]});
}

/* TURNS tokens of SLOTS sequences into out; how: of the last one, the others are greedy or plain. */
static int answer(const struct toy *toy, const struct relay_plan *plan, struct sampling how, struct token *out, struct err *why)
{
    struct relay *r;
    struct feed f[SLOTS];
    uint8_t biases[4 * WIRE_BIAS_BYTES];
    int code = relay_open(&r, toy, plan, why);
    for (uint32_t i = 0; i < SLOTS; i++) f[i] = feed_new(i, 40 + i);
    for (uint32_t turn = 0; turn < TURNS && !code; turn++) {
        work_clear(r);
        work_add(r, &f[0], 3, 0); /* wants nothing */
        work_add(r, &f[1], 2, WANT_TOKEN);
        struct segment *last = work_add(r, &f[2], 1 + turn % 3, WANT_TOKEN | (turn % 2 ? SEG_WANT_HASH : 0));
        last->sampling = how;
        add_wishes(r, last, turn, biases);
        code = relay_run(r, why);
        if (!code && plan->parts) code = score(r, r->result, why);
        if (!code && r->result->n_tokens != 2) code = fail(why, E_INTERNAL, "%u tokens came", r->result->n_tokens);
        if (!code) memcpy(out + 2 * turn, r->result->tokens, 2 * sizeof *out);
    }
    relay_close(&r);
    return code;
}

static void expect_same(const struct toy *toy, const struct relay_plan *plan, struct sampling how, const struct token *want)
{
    static struct token got[2 * TURNS];
    NEED(answer(toy, plan, how, got, why));
    for (int i = 0; i < 2 * TURNS; i++)
        if (memcmp(&got[i], &want[i], sizeof got[i])) {
            CHECK(false, "layers %s, parts %s, temperature %g, top-k %u: token %d is %u (%a, %016llx), wanted %u (%a, %016llx)", plan->cuts,
                  plan->parts, (double)how.temperature, how.top_k, i, got[i].id, (double)got[i].logprob, (unsigned long long)got[i].hash,
                  want[i].id, (double)want[i].logprob, (unsigned long long)want[i].hash);
            return;
        }
}

TEST(a_divided_head_gives_the_very_tokens)
{
    struct toy *toy = toy_small(); /* 333 words: eleven parts of 32, the last of 13, and five without words */
    static const char *const cuts[][2] = {{"3,7", "8,8"}, {"2,5,7", "1,0,15"}, {"2,5,7,7", "3,3,3,7"}, {"3,7", "16,0"}, {"1,2,3,4,5,6,7", "1,2,3,2,1,1,6"}};
    static const struct sampling how[] = {
        {.temperature = 0, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 0, .top_p = 1, .repeat_penalty = 5, .repeat_last = 64},
        {.temperature = 1, .top_k = 64, .top_p = 0.95f, .repeat_penalty = 1},
        {.temperature = 3, .top_k = 5, .top_p = 1, .repeat_penalty = 1.3f, .repeat_last = 200},
        {.temperature = 2, .top_k = 1000, .top_p = 0.9f, .min_p = 0.01f, .repeat_penalty = 1.1f, .repeat_last = 9},
        {.temperature = 0.5f, .top_k = 1, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 9, .top_k = 333, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 2, .top_k = 0, .top_p = 0.99f, .repeat_penalty = 1},
        {.temperature = 2, .top_k = 1025, .top_p = 1, .min_p = 0.001f, .repeat_penalty = 1},
    };
    static struct token want[2 * TURNS];
    for (size_t h = 0; h < sizeof how / sizeof *how; h++) {
        NEED(answer(toy, &whole, how[h], want, why));
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            struct relay_plan plan = whole;
            plan.cuts = cuts[c][0], plan.parts = cuts[c][1], plan.threads = 1 + (int)(c + h) % 3;
            expect_same(toy, &plan, how[h], want);
        }
    }
    toy_free(toy);
}

/* GUESSES_ROWS tokens behind 300 rows, `each` rows of them at a time. */
static void answer_behind(const struct toy *toy, const struct relay_plan *plan, uint32_t each, struct token *out)
{
    struct relay *r;
    struct feed f = feed_new(1, 41);
    uint8_t biases[4 * WIRE_BIAS_BYTES];
    uint32_t n = 0;
    NEED(relay_open(&r, toy, plan, why));
    NEED(relay_feed_flags(r, &f, 300, 60, 0, why));
    while (n < GUESSES_ROWS) {
        work_clear(r);
        struct segment *g = work_add(r, &f, each, WANT_TOKEN | SEG_WANT_HASH);
        g->wanted = each;
        g->sampling = (struct sampling){.temperature = 1, .top_k = 64, .top_p = 0.95f, .repeat_penalty = 1.3f, .repeat_last = 256, .seed = 9};
        add_wishes(r, g, 3, biases);
        NEED(relay_run(r, why));
        if (plan->parts) NEED(score(r, r->result, why));
        CHECK(r->result->n_tokens == each);
        memcpy(out + n, r->result->tokens, each * sizeof *out);
        n += each;
    }
    relay_close(&r);
}

TEST(rows_of_one_sequence_get_the_tokens_they_get_one_by_one)
{
    struct toy *toy = toy_small();
    static struct token one[GUESSES_ROWS], all[GUESSES_ROWS];
    const struct relay_plan plans[] = {{"7", {400, SLOTS, 64, 2, 0, {0}}, 2, NULL, NULL}, {"3,7", {400, SLOTS, 64, 2, 0, {0}}, 1, NULL, "7,9"}};
    answer_behind(toy, &plans[0], 1, one);
    for (size_t p = 0; p < 2; p++) {
        answer_behind(toy, &plans[p], GUESSES_ROWS, all);
        for (uint32_t i = 0; i < GUESSES_ROWS; i++)
            CHECK(!memcmp(&one[i], &all[i], sizeof *one), "plan %zu, row %u: token %u, wanted %u", p, i, all[i].id, one[i].id);
    }
    toy_free(toy);
}

/* What a stage with parts is asked for a token must be the last it has seen of a slot. */
TEST(what_a_divided_head_cannot_score_is_refused)
{
    struct toy *toy = toy_small();
    struct relay_plan plan = whole;
    plan.cuts = "3,7", plan.parts = "8,8";
    struct relay *r;
    NEED(relay_open(&r, toy, &plan, why));
    struct feed f = feed_new(1, 7);
    struct work *w = calloc(1, sizeof *w);
    struct merge *m = calloc(1, sizeof *m);
    struct err e = {0};
    uint32_t at[WIRE_SEGMENTS];
    work_clear(r);
    struct segment *g = work_add(r, &f, 4, WANT_TOKEN);
    NEED(relay_run(r, why));
    stage_wanted(r->stages[1], r->work, w, at);
    CHECK(w->n_rows == 1 && at[0] == 3 && w->segments[0].position == 3 && w->rows[0].sees == 3);
    const struct work good = *w;
    w->segments[0].position = 4;
    CHECK(stage_score(r->stages[0], w, r->x, take_home, hear, m, &e) == E_WIRE && strstr(e.text, "position 4 of slot 1"), "%s", e.text);
    *w = good, w->segments[0].history ^= 1;
    CHECK(stage_score(r->stages[0], w, r->x, take_home, hear, m, &e) == E_WIRE && strstr(e.text, "other tokens"), "%s", e.text);
    *w = good, w->segments[0].slot = SLOTS;
    CHECK(stage_score(r->stages[0], w, r->x, take_home, hear, m, &e) == E_WIRE && strstr(e.text, "slots 0 to 2"), "%s", e.text);
    *w = good, w->cols--;
    CHECK(stage_score(r->stages[0], w, r->x, take_home, hear, m, &e) == E_WIRE && strstr(e.text, "255 values"), "%s", e.text);
    g->flags |= SEG_WANT_LOGITS;
    stage_wanted(r->stages[1], r->work, w, at);
    CHECK(w->n_rows == 4 && at[0] == 0 && w->segments[0].position == 0 && w->segments[0].wanted == 1);
    *w = good;
    m->next = 0;
    CHECK(stage_score(r->stages[0], w, r->x, take_home, hear, m, &e) == 0, "%s", e.text);
    free(w);
    free(m);
    relay_close(&r);
    toy_free(toy);
}

TEST(parts_without_words_are_nobodys)
{
    const struct model_config c = toy_config();
    CHECK(head_part_words(c.vocab) == 32 && head_word(c.vocab, 10) == 320 && head_word(c.vocab, 11) == 333);
    CHECK(text_part_possible(&c, (struct part){0, 7, 10, 11, false}) && !text_part_possible(&c, (struct part){0, 7, 11, 16, false}));
    CHECK(part_words(&c, (struct part){7, 7, 10, 16, false}) == 13 && part_words(&c, (struct part){7, 7, 0, HEAD_PARTS, false}) == 333);
    CHECK(head_part_words(262144) == 16384 && head_part_words(262208) == 16400 && head_word(262208, 16) == 262208);
}
