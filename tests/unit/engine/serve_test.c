/* tests/unit/engine/serve_test.c — the serve loop with its workers as threads of this process: what the thread sanitizer watches. */
#include "coordinator/text/prompt.h"
#include "coordinator/engine/serve.h"
#include "partition/plan/plan_text.h"
#include "tests/support/check.h"
#include "transport/links/faulty.h"

#include <stdlib.h>

#define DEMO "models/demo/demo-q4_0.gguf"

struct case_of {
    int stages;
    uint32_t rows, in_flight, sequences;
    const char *split; /* of the 8 layers and the head; NULL: as planned */
};

static const char *const questions[] = {"What is 12 + 9?", "What is the capital of Peru?", "Count from 7 to 15.",
                                        "What is 30 - 4?", "Spell garden."};
#define QUESTIONS (sizeof questions / sizeof *questions)

static struct cluster_wish threads_here(int stages)
{
    return (struct cluster_wish){.model = DEMO, .threads_here = stages, .threads = 1};
}

static int ask(struct pipeline *p, struct server *s, struct request *r, uint64_t *fingerprints, struct err *why)
{
    for (size_t i = 0; i < QUESTIONS; i++) {
        struct turn turn = {SPEAKER_USER, questions[i], strlen(questions[i])};
        r[i] = (struct request){.key = i, .most = 48, .want_hash = true, .sampling = {.repeat_penalty = 1}};
        TRY(prompt_chat(p->tokens, &turn, 1, &r[i].ids, why));
        TRY(serve_add(s, &r[i], why));
    }
    TRY(serve_run(s, 0, why));
    for (size_t i = 0; i < QUESTIONS; i++) fingerprints[i] = r[i].fingerprint;
    return pipeline_reports(p, why);
}

static int relay(const struct case_of *c, uint64_t *fingerprints, char *first, size_t room, struct err *why)
{
    struct cluster_wish w = threads_here(c->stages);
    struct cut *cuts = NULL;
    if (c->split) TRY(plan_read_split(c->split, &cuts, &w.plan.n_cuts, why));
    w.plan.cuts = cuts;
    struct pipeline *p = 0;
    struct server *s = 0;
    struct request r[QUESTIONS] = {0};
    struct capacity capacity = {.context = 128, .sequences = c->sequences, .rows = c->rows, .in_flight = c->in_flight};
    int code = pipeline_open(&p, &w, 0, why);
    if (!code) code = pipeline_launch(p, &capacity, why);
    if (!code) code = serve_open(&s, p, why);
    if (!code) code = ask(p, s, r, fingerprints, why);
    size_t n = 0;
    for (size_t i = r[0].prompt_rows; !code && i + 1 < r[0].ids.n && n + PIECE_MOST < room; i++)
        n += tokenizer_piece(p->tokens, r[0].ids.id[i], false, first + n, PIECE_MOST);
    first[n] = 0;
    for (size_t i = 0; i < QUESTIONS; i++) serve_forget(s, &r[i]);
    serve_close(&s);
    pipeline_close(&p, code ? why : 0);
    free(cuts);
    return code;
}

TEST(a_relay_of_threads_answers_and_its_shape_changes_no_score)
{
    static const struct case_of cases[] = {{1, 64, 2, 1, 0}, {1, 16, 1, 5, 0}, {3, 16, 4, 5, 0}, {3, 5, 7, 2, 0}, {5, 1, 6, 3, 0}, {2, 64, 3, 5, 0},
                                           {2, 64, 3, 5, "4+8,4+8"}, {3, 16, 4, 3, "2+3,5+0,1+13"}, {2, 7, 5, 1, "3+16,5"}};
    uint64_t want[QUESTIONS], got[QUESTIONS];
    char text[1024];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0}, *why = &e;
        int code = relay(&cases[i], i ? got : want, text, sizeof text, why);
        CHECK(code == 0, "case %zu: %s", i, e.text);
        CHECK(!strcmp(text, "12 + 9 = 21."), "case %zu said \"%s\"", i, text);
        for (size_t q = 0; i && q < QUESTIONS; q++) CHECK(got[q] == want[q], "case %zu, question %zu", i, q);
    }
}

TEST(a_context_that_ends_cuts_the_answer_and_nothing_else)
{
    struct cluster_wish w = threads_here(2);
    struct pipeline *p = 0;
    struct server *s = 0;
    struct request r = {.most = 64, .sampling = {.repeat_penalty = 1}};
    struct turn turn = {SPEAKER_USER, questions[2], strlen(questions[2])};
    struct capacity capacity = {.context = 24, .sequences = 1, .rows = 8, .in_flight = 3};
    NEED(pipeline_open(&p, &w, 0, why));
    NEED(pipeline_launch(p, &capacity, why));
    NEED(serve_open(&s, p, why));
    NEED(prompt_chat(p->tokens, &turn, 1, &r.ids, why));
    NEED(serve_add(s, &r, why));
    NEED(serve_run(s, 0, why));
    CHECK(r.finish == FINISH_CONTEXT, "finish %d", r.finish);
    CHECK(r.ids.n == 25, "%zu ids", r.ids.n);
    serve_forget(s, &r);
    serve_close(&s);
    pipeline_close(&p, 0);
}

TEST(a_prompt_that_does_not_fit_is_refused_and_the_relay_lives)
{
    struct cluster_wish w = threads_here(2);
    struct pipeline *p = 0;
    struct server *s = 0;
    struct request big = {.most = 4, .sampling = {.repeat_penalty = 1}};
    struct capacity capacity = {.context = 16, .sequences = 1, .rows = 8, .in_flight = 3};
    struct err e = {0}, *no = &e;
    NEED(pipeline_open(&p, &w, 0, why));
    NEED(pipeline_launch(p, &capacity, why));
    NEED(serve_open(&s, p, why));
    for (uint32_t i = 0; i < 17; i++) NEED(ids_push(&big.ids, 20 + i, why));
    CHECK(serve_add(s, &big, no) == E_USAGE && strstr(e.text, "the context holds 16"), "%s", e.text);
    serve_forget(s, &big);
    struct request small = {.most = 2, .sampling = {.repeat_penalty = 1}};
    NEED(ids_push(&small.ids, 20, why));
    NEED(serve_add(s, &small, why));
    NEED(serve_run(s, 0, why));
    CHECK(small.made >= 1);
    serve_forget(s, &small);
    serve_close(&s);
    pipeline_close(&p, 0);
}

/* ---- a last stage that answers less than it was asked ---- */

static int without_tokens(void *user, struct frame **f, struct err *why)
{
    struct result m;
    struct frame *cut = NULL;
    (void)user;
    TRY(result_read(&m, *f, why));
    m.n_tokens = 0;
    TRY(result_write(&cut, &m, why));
    frame_free(*f);
    *f = cut;
    return 0;
}

TEST(a_result_that_lacks_a_token_ends_the_run)
{
    struct cluster_wish w = threads_here(2);
    struct pipeline *p = 0;
    struct server *s = 0;
    struct request r[QUESTIONS] = {0};
    uint64_t fingerprints[QUESTIONS];
    struct capacity capacity = {.context = 128, .sequences = 2, .rows = 64, .in_flight = 3};
    struct err e = {0};
    NEED(pipeline_open(&p, &w, 0, why));
    NEED(pipeline_launch(p, &capacity, why));
    NEED(serve_open(&s, p, why));
    const struct fault_wish lie = {.what = FAULT_CHANGE, .type = M_RESULT, .change = without_tokens};
    NEED(port_make_faulty(roster_port(p->roster), &lie, why));
    CHECK(ask(p, s, r, fingerprints, &e) == E_WIRE && strstr(e.text, "0 tokens came back with micro-batch 0, which wants 1"), "%s", e.text);
    for (size_t i = 0; i < QUESTIONS; i++) serve_forget(s, &r[i]);
    serve_close(&s);
    pipeline_close(&p, &e);
}
