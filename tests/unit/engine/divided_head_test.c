/* tests/unit/engine/divided_head_test.c — the coordinator's side of a divided head: what it asks of whom, and what it believes.
 *
 * Three workers with the parts 0-4, 5-15 and none; the last has none, so both others are asked. */
#include "coordinator/engine/divided_head.h"
#include "tests/support/check.h"
#include "transport/links/transport.h"

#include <math.h>
#include <stdlib.h>

#define HIDDEN 4
#define WORDS 512 /* parts of 32 */

struct table {
    struct model_config config;
    struct plan *plan;
    struct port *ports[4];
    struct divided_head *head;
    struct result *result;
    int given; /* rows of scores */
};

/* The coordinator's port is node 0, worker i is node i + 1. */
static int send_from(void *user, int worker, struct frame **f, struct err *why)
{
    struct table *t = user;
    (*f)->head.route = 1;
    return port_send(t->ports[0], worker + 1, f, why);
}

static const char *name_of(void *user, int worker)
{
    static const char *const names[] = {"worker 1", "worker 2", "worker 3"};
    (void)user;
    return names[worker];
}

static uint32_t id_of(void *user, uint32_t slot, uint32_t position)
{
    (void)user;
    return slot == 0 && position == 3 ? 300 : 301;
}

static int scores_of(void *user, const struct logits *m, struct err *why)
{
    struct table *t = user;
    const float *scores = (const float *)(const void *)m->scores;
    CHECK(m->n == WORDS && m->first == 0 && scores[0] == 0 && scores[WORDS - 1] == WORDS - 1);
    (void)why;
    t->given++;
    return 0;
}

static int open_head(struct table *t, struct err *why)
{
    const struct divided_head_setup setup = {.plan = t->plan, .config = &t->config, .send = send_from, .name = name_of, .id = id_of, .scores = scores_of, .user = t};
    return divided_head_open(&t->head, &setup, why);
}

static int open_table(struct table *t, struct err *why)
{
    static const struct part parts[] = {{0, 3, 0, 5, false}, {3, 5, 5, 16, false}, {5, 7, 16, 16, false}};
    *t = (struct table){.plan = calloc(1, sizeof *t->plan), .result = calloc(1, sizeof *t->result)};
    t->config = (struct model_config){.layers = 7, .hidden = HIDDEN, .vocab = WORDS};
    t->plan->workers = 3, t->plan->n_routes = 1;
    t->plan->of = calloc(3, sizeof *t->plan->of);
    t->plan->route = calloc(1, sizeof *t->plan->route);
    *t->plan->route = (struct route){CHAIN_TEXT, 3, {0, 1, 2}};
    t->plan->capacity = (struct capacity){.context = 100, .sequences = 3, .rows = 8, .in_flight = 2};
    for (int i = 0; i < 3; i++) t->plan->of[i].part[CHAIN_TEXT] = parts[i];
    TRY(port_open_here(t->ports, 4, why));
    for (int i = 0; i < 4; i++) {
        port_run(t->ports[i], 7, 1);
        TRY(port_route(t->ports[i], 1, 0, 1, why));
    }
    return open_head(t, why);
}

static void close_table(struct table *t)
{
    divided_head_close(&t->head);
    for (int i = 0; i < 4; i++) port_close(&t->ports[i]);
    plan_free(t->plan);
    free(t->plan);
    free(t->result);
}

static struct segment row_of(uint32_t slot, uint32_t position)
{
    return (struct segment){.slot = slot, .position = position, .rows = 1, .wanted = 1, .sampling = {.top_p = 1, .repeat_penalty = 1}};
}

/* The last stage wants these rows scored. */
static int ask(struct table *t, uint64_t batch, const struct segment *rows, uint32_t n, uint32_t cols, struct err *why)
{
    struct work *w = calloc(1, sizeof *w);
    struct frame *f = 0;
    *w = (struct work){.batch = batch, .n_segments = n, .cols = cols};
    memcpy(w->segments, rows, n * sizeof *rows);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < rows[i].rows; k++) w->rows[w->n_rows++].sees = rows[i].position + k;
    int code = score_write(&f, w, why);
    for (uint32_t i = 0; i < w->n_rows * cols * 4 && !code; i++) w->activations[i] = (uint8_t)i;
    if (!code) f->head.from = 3, code = divided_head_ask(t->head, f, why);
    frame_free(f);
    free(w);
    return code;
}

static const struct candidate best[2][2] = {{{7, 3, 3}, {159, 2, 2}}, {{160, 5, 6}, {511, 3, 3}}};

static struct scored *say(int node, uint64_t batch, uint32_t slot, uint32_t position)
{
    struct scored *s = calloc(1, sizeof *s);
    *s = (struct scored){.batch = batch, .slot = slot, .position = position, .part = node == 1 ? 0 : 5, .n_parts = node == 1 ? 5 : 11, .n_candidates = 1};
    for (uint32_t i = 0; i < s->n_parts; i++) s->parts[i] = (struct part_sum){node == 1 ? 3 : 5, 1, 0};
    s->candidates[0] = best[node - 1][0];
    return s;
}

static int take(struct table *t, int node, struct scored *s, bool *done, struct err *why)
{
    struct frame *f = 0;
    int code = scored_write(&f, s, why);
    if (!code) f->head.from = (uint16_t)node, code = divided_head_take(t->head, node - 1, f, done, t->result, why);
    frame_free(f);
    free(s);
    return code;
}

/* What a worker hears: the rows just as the last stage sent them. */
static void hears(struct table *t, int node, uint64_t batch, uint32_t rows)
{
    struct frame *f = 0;
    struct work *w = calloc(1, sizeof *w);
    NEED(port_recv(t->ports[node], &f, 1000, why));
    CHECK(f && f->head.type == M_SCORE, "worker %d", node);
    NEED(score_read(w, f, why));
    CHECK(w->batch == batch && w->n_rows == rows && w->activations[5] == 5);
    frame_free(f);
    free(w);
}

TEST(a_token_needs_all_parts_of_the_head_in_any_order)
{
    struct table t;
    bool done;
    NEED(open_table(&t, why));
    struct segment rows[] = {row_of(2, 9), row_of(0, 4)};
    rows[1].rows = rows[1].wanted = 2;
    NEED(ask(&t, 11, rows, 2, HIDDEN, why));
    hears(&t, 1, 11, 3);
    hears(&t, 2, 11, 3);
    NEED(take(&t, 2, say(2, 11, 2, 9), &done, why));
    NEED(take(&t, 2, say(2, 11, 0, 4), &done, why));
    NEED(take(&t, 2, say(2, 11, 0, 5), &done, why));
    CHECK(!done);
    NEED(take(&t, 1, say(1, 11, 2, 9), &done, why));
    NEED(take(&t, 1, say(1, 11, 0, 4), &done, why));
    CHECK(!done);
    NEED(take(&t, 1, say(1, 11, 0, 5), &done, why));
    const double sum = log(5 * exp(3) + 11 * exp(5));
    CHECK(done && t.result->batch == 11 && t.result->n_tokens == 3);
    CHECK(t.result->tokens[0].slot == 2 && t.result->tokens[0].position == 9 && t.result->tokens[0].id == 160);
    CHECK(t.result->tokens[1].slot == 0 && t.result->tokens[1].id == 160 && t.result->tokens[2].position == 5);
    CHECK(fabs((double)t.result->tokens[0].logprob - (6 - sum)) < 1e-5, "by the score without the penalty: %g", (double)t.result->tokens[0].logprob);
    NEED(ask(&t, 12, rows, 2, HIDDEN, why)); /* the slots wait no more */
    close_table(&t);
}

TEST(rows_nobody_awaits_are_refused)
{
    struct table t;
    struct err e = {0};
    NEED(open_table(&t, why));
    const struct segment good[] = {row_of(0, 4)}, beyond[] = {row_of(3, 4)}, again[] = {row_of(1, 4), row_of(1, 5)};
    CHECK(ask(&t, 1, good, 1, HIDDEN + 1, &e) == E_WIRE && strstr(e.text, "1 rows of 5 values"), "%s", e.text);
    CHECK(ask(&t, 1, beyond, 1, HIDDEN, &e) == E_WIRE && strstr(e.text, "slot 3 of 3"), "%s", e.text);
    CHECK(ask(&t, 1, again, 2, HIDDEN, &e) == E_WIRE && strstr(e.text, "slot 1"), "%s", e.text);
    NEED(ask(&t, 2, good, 1, HIDDEN, why));
    CHECK(ask(&t, 2, (struct segment[]){row_of(2, 0)}, 1, HIDDEN, &e) == E_WIRE && strstr(e.text, "micro-batch 2"), "%s", e.text);
    CHECK(ask(&t, 3, good, 1, HIDDEN, &e) == E_WIRE && strstr(e.text, "while it is being scored"), "%s", e.text);
    NEED(ask(&t, 3, (struct segment[]){row_of(2, 0)}, 1, HIDDEN, why));
    close_table(&t);
    NEED(open_table(&t, why));
    NEED(ask(&t, 1, (struct segment[]){row_of(0, 0)}, 1, HIDDEN, why));
    NEED(ask(&t, 2, (struct segment[]){row_of(1, 0)}, 1, HIDDEN, why));
    CHECK(ask(&t, 3, (struct segment[]){row_of(2, 0)}, 1, HIDDEN, &e) == E_WIRE, "more than are in flight");
    close_table(&t);
}

TEST(scores_that_were_not_asked_for_are_refused)
{
    struct table t;
    struct err e = {0};
    bool done;
    NEED(open_table(&t, why));
    CHECK(take(&t, 1, say(1, 1, 0, 4), &done, &e) == E_WIRE && strstr(e.text, "not its turn"), "%s", e.text);
    NEED(ask(&t, 1, (struct segment[]){row_of(0, 4), row_of(1, 6)}, 2, HIDDEN, why));
    CHECK(take(&t, 1, say(1, 1, 1, 6), &done, &e) == E_WIRE && strstr(e.text, "worker 1 scored the row at position 6 of slot 1"), "%s", e.text);
    CHECK(take(&t, 1, say(1, 1, 0, 5), &done, &e) == E_WIRE && strstr(e.text, "position 5"), "%s", e.text);
    CHECK(take(&t, 1, say(1, 2, 0, 4), &done, &e) == E_WIRE && strstr(e.text, "micro-batch 2"), "%s", e.text);
    CHECK(take(&t, 1, say(2, 1, 0, 4), &done, &e) == E_WIRE && strstr(e.text, "it has 5 from 0 on"), "%s", e.text);
    CHECK(take(&t, 3, say(2, 1, 0, 4), &done, &e) == E_WIRE && strstr(e.text, "it has 0"), "%s", e.text);
    struct scored *s = say(1, 1, 0, 4);
    s->candidates[0].id = 160;
    CHECK(take(&t, 1, s, &done, &e) == E_WIRE && strstr(e.text, "names the word 160"), "%s", e.text);
    s = say(1, 1, 0, 4);
    s->best[0] = s->candidates[0];
    s->n_best = 1;
    CHECK(take(&t, 1, s, &done, &e) == E_WIRE && strstr(e.text, "names 1 alternatives where up to 0 are wanted"), "%s", e.text);
    NEED(take(&t, 1, say(1, 1, 0, 4), &done, why));
    NEED(take(&t, 1, say(1, 1, 1, 6), &done, why));
    CHECK(take(&t, 1, say(1, 1, 0, 4), &done, &e) == E_WIRE, "there is nothing more to say");
    close_table(&t);
}

/* Words first..first+n-1 of a row, each with its id as its score. */
static int give(struct table *t, int node, uint32_t slot, uint32_t position, uint32_t first, uint32_t n, struct err *why)
{
    struct frame *f = 0;
    struct logits m = {.batch = 1, .slot = slot, .position = position, .first = first, .n = n};
    int code = logits_write(&f, &m, why);
    for (uint32_t i = 0; i < n && !code; i++) ((float *)(void *)m.scores)[i] = (float)(first + i);
    if (!code) f->head.from = (uint16_t)node, code = divided_head_scores(t->head, node - 1, f, why);
    frame_free(f);
    return code;
}

static struct scored *say_nothing(int node, uint32_t slot, uint32_t position)
{
    struct scored *s = say(node, 1, slot, position);
    s->n_candidates = 0;
    return s;
}

/* 511 is the likeliest of all words, until a penalty makes it the last: then it is 510, if that is not among the last ids too. */
TEST(a_token_of_all_words_needs_the_scores_of_every_part)
{
    struct table t;
    struct err e = {0};
    bool done;
    NEED(open_table(&t, why));
    struct segment rows[] = {row_of(0, 4), row_of(1, 6)};
    rows[0].sampling = (struct sampling){.temperature = 1e-6f, .top_p = 1, .repeat_penalty = 1000, .repeat_last = 2};
    rows[1].flags = SEG_WANT_LOGITS | SEG_WANT_HASH;
    NEED(ask(&t, 1, rows, 2, HIDDEN, why));
    CHECK(take(&t, 1, say_nothing(1, 0, 4), &done, &e) == E_WIRE && strstr(e.text, "whose scores it did not send"), "%s", e.text);
    CHECK(give(&t, 1, 1, 6, 0, 160, &e) == E_WIRE && strstr(e.text, "not its turn"), "%s", e.text);
    CHECK(give(&t, 1, 0, 4, 0, 161, &e) == E_WIRE && strstr(e.text, "161 words from 0 on"), "%s", e.text);
    CHECK(give(&t, 3, 0, 4, 0, 0, &e) == E_WIRE && strstr(e.text, "not its part"), "%s", e.text);
    NEED(give(&t, 1, 0, 4, 0, 160, why));
    NEED(give(&t, 2, 0, 4, 160, 352, why));
    NEED(give(&t, 2, 1, 6, 160, 352, why));
    CHECK(give(&t, 2, 1, 6, 160, 352, &e) == E_WIRE, "they came already");
    NEED(take(&t, 2, say_nothing(2, 0, 4), &done, why));
    NEED(take(&t, 2, say(2, 1, 1, 6), &done, why));
    NEED(give(&t, 1, 1, 6, 0, 160, why));
    NEED(take(&t, 1, say_nothing(1, 0, 4), &done, why));
    CHECK(!done && !t.given);
    NEED(take(&t, 1, say(1, 1, 1, 6), &done, why));
    CHECK(done && t.given == 1 && t.result->n_tokens == 2 && t.result->tokens[0].id == 511 && t.result->tokens[1].id == 160);
    close_table(&t);
}

TEST(a_score_that_is_no_number_ends_the_run_with_its_name)
{
    struct table t;
    struct err e = {0};
    bool done;
    NEED(open_table(&t, why));
    struct segment row = row_of(0, 4);
    row.request = 77;
    NEED(ask(&t, 1, &row, 1, HIDDEN, why));
    NEED(take(&t, 1, say(1, 1, 0, 4), &done, why));
    struct scored *s = say(2, 1, 0, 4);
    s->parts[3].sum = NAN;
    CHECK(take(&t, 2, s, &done, &e) == E_WORKER && strstr(e.text, "request 77 at position 4"), "%s", e.text);
    close_table(&t);
}

TEST(a_whole_head_needs_no_gathering)
{
    struct table t;
    NEED(open_table(&t, why));
    divided_head_close(&t.head);
    t.plan->of[0].part[CHAIN_TEXT].back_end = t.plan->of[1].part[CHAIN_TEXT].back_end = t.plan->of[1].part[CHAIN_TEXT].back = 0;
    t.plan->of[2].part[CHAIN_TEXT].back = 0;
    NEED(open_head(&t, why));
    CHECK(!t.head);
    close_table(&t);
}
