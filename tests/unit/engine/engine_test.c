/* tests/unit/engine/engine_test.c — the engine with its workers as threads of this process: what the thread sanitizer watches.
 *
 * One ask's trouble is its own: the others must answer as if they were alone. */
#include "coordinator/cmd/collect.h"
#include "coordinator/engine/live.h"
#include "partition/plan/plan_text.h"
#include "tests/support/plain_turns.h"
#include "tests/support/check.h"
#include "transport/links/faulty.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define DEMO "models/demo/demo-q4_0.gguf"

struct case_of {
    int stages;
    uint32_t rows, in_flight, sequences;
    const char *split; /* of the 8 layers and the head; NULL: as planned */
};

static const char *const questions[] = {"What is 12 + 9?", "What is the capital of Peru?", "Count from 7 to 15.",
                                        "What is 30 - 4?", "Spell garden."};
#define QUESTIONS (sizeof questions / sizeof *questions)

/* A pipeline of threads and an engine on it. */
struct room {
    struct pipeline *pipe;
    struct tokenizer *tokens;
    struct engine *engine;
    struct cut *cuts;
};

static int room_open(struct room *r, const struct case_of *c, uint32_t context, struct err *why)
{
    struct cluster_wish w = {.model = DEMO, .threads_here = c->stages, .threads = 1, .wait_seconds = 20};
    const struct capacity capacity = {.context = context, .sequences = c->sequences, .rows = c->rows, .in_flight = c->in_flight};
    *r = (struct room){0};
    if (c->split) {
        TRY(plan_read_split(c->split, &r->cuts, &w.plan.n_cuts, why));
        w.plan.cuts = r->cuts;
    }
    TRY(pipeline_open(&r->pipe, &w, NULL, why));
    TRY(pipeline_launch(r->pipe, &capacity, why));
    TRY(tokenizer_open(&r->tokens, r->pipe->model->file, r->pipe->model->config.vocab, why));
    const struct specials s = tokenizer_specials(r->tokens);
    const struct engine_setup setup = {.pipe = r->pipe, .end_of_turn = s.end_of_turn, .eos = s.eos};
    return engine_open(&r->engine, &setup, why);
}

static void room_close(struct room *r)
{
    engine_close(&r->engine);
    tokenizer_close(&r->tokens);
    pipeline_close(&r->pipe, NULL);
    free(r->cuts);
}

/* ---- asks that count what they are told ---- */

struct asked {
    struct ids ids;          /* the prompt */
    struct collected answer;
    uint64_t number;
    int finished;
    bool told_after_end;
    uint32_t room;           /* tokens it takes before it is full */
    uint32_t cancel_at;      /* after so many tokens it cancels itself; 0: never */
    uint32_t enough_at;      /* after so many it has enough; 0: never */
    struct engine *engine;
    const uint8_t *mask;     /* of every token; NULL: none */
};

static const uint8_t *mask_of(void *user)
{
    return ((const struct asked *)user)->mask;
}

static bool hear(void *user, const struct said *said)
{
    struct asked *a = user;
    const struct listener l = collect_into(&a->answer);
    a->told_after_end |= a->finished > 0;
    if (!a->room) return false;
    a->room--;
    l.token(l.user, said);
    if (a->answer.ids.n == a->cancel_at) engine_cancel(a->engine, said->number);
    if (a->answer.ids.n == a->enough_at) engine_enough(a->engine, said->number);
    return true;
}

static void hear_end(void *user, const struct ended *ended)
{
    struct asked *a = user;
    const struct listener l = collect_into(&a->answer);
    a->finished++;
    l.finished(l.user, ended);
}

static int prompt_of(struct room *r, struct asked *a, size_t question, struct err *why)
{
    const struct turn turn = {SPEAKER_USER, questions[question], strlen(questions[question])};
    *a = (struct asked){.room = UINT32_MAX, .engine = r->engine};
    return prompt_chat(r->tokens, &turn, 1, &a->ids, why);
}

static struct ask plain(const struct asked *a, uint64_t key)
{
    return (struct ask){.ids = a->ids.id, .n = a->ids.n, .key = key, .most = 48, .want_hash = true, .sampling = {.repeat_penalty = 1}};
}

static int say(struct room *r, struct asked *a, const struct ask *ask, struct err *why)
{
    const struct listener l = {.token = hear, .finished = hear_end, .user = a, .mask = a->mask ? mask_of : NULL};
    return engine_ask(r->engine, ask, &l, &a->number, why);
}

static int answer_all(struct room *r, struct err *why)
{
    while (engine_unanswered(r->engine)) TRY(engine_turn(r->engine, 1000, why));
    return 0;
}

static void asked_free(struct asked *a)
{
    collected_free(&a->answer);
    ids_free(&a->ids);
}

/* All questions at once; want: their fingerprints alone. */
static int ask_all(struct room *r, struct asked *a, struct err *why)
{
    for (size_t i = 0; i < QUESTIONS; i++) {
        TRY(prompt_of(r, &a[i], i, why));
        const struct ask ask = plain(&a[i], i);
        TRY(say(r, &a[i], &ask, why));
    }
    return 0;
}

static const struct case_of two = {2, 16, 3, 2, NULL};

/* What each question is answered with when nothing else happens. */
static const uint64_t *quiet(void)
{
    static uint64_t want[QUESTIONS];
    struct err e = {0}, *why = &e;
    struct asked a[QUESTIONS];
    struct room r;
    if (want[0]) return want;
    int code = room_open(&r, &two, 128, why);
    if (!code) code = ask_all(&r, a, why);
    if (!code) code = answer_all(&r, why);
    CHECK(code == 0, "%s", e.text);
    for (size_t i = 0; i < QUESTIONS; i++) want[i] = a[i].answer.ended.fingerprint, asked_free(&a[i]);
    room_close(&r);
    return want;
}

static void check_quiet(const struct asked *a, size_t question)
{
    CHECK(a->finished == 1 && !a->told_after_end && a->answer.ended.how == FINISH_STOP, "question %zu: finished %d times, %d", question,
          a->finished, a->answer.ended.how);
    CHECK(a->answer.ended.fingerprint == quiet()[question], "question %zu was answered otherwise", question);
}

/* ---- answers ---- */

TEST(a_relay_of_threads_answers_and_its_shape_changes_no_score)
{
    static const struct case_of cases[] = {{1, 64, 2, 1, 0}, {1, 16, 1, 5, 0}, {3, 16, 4, 5, 0}, {3, 5, 7, 2, 0},
                                           {5, 1, 6, 3, 0}, {2, 64, 3, 5, 0}, {2, 64, 3, 5, "4+8,4+8"}, {3, 16, 4, 3, "2+3,5+0,1+13"},
                                           {2, 7, 5, 1, "3+16,5"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked a[QUESTIONS];
        struct room r;
        char text[1024] = {0};
        size_t n = 0;
        NEED(room_open(&r, &cases[i], 128, why));
        NEED(ask_all(&r, a, why));
        NEED(answer_all(&r, why));
        for (size_t k = 0; k < a[0].answer.ids.n; k++) n += tokenizer_piece(r.tokens, a[0].answer.ids.id[k], false, text + n, PIECE_MOST);
        CHECK(!strcmp(text, "12 + 9 = 21."), "case %zu said \"%s\"", i, text);
        for (size_t q = 0; q < QUESTIONS; q++) check_quiet(&a[q], q), asked_free(&a[q]);
        NEED(pipeline_reports(r.pipe, why));
        room_close(&r);
    }
}

TEST(a_context_that_ends_cuts_the_answer_and_nothing_else)
{
    struct room r;
    struct asked a;
    NEED(room_open(&r, &two, 24, why));
    NEED(prompt_of(&r, &a, 2, why));
    const struct ask ask = plain(&a, 0);
    NEED(say(&r, &a, &ask, why));
    NEED(answer_all(&r, why));
    CHECK(a.answer.ended.how == FINISH_CONTEXT && a.answer.ended.prompt_rows + a.answer.ended.made == 25, "%d", a.answer.ended.how);
    asked_free(&a);
    room_close(&r);
}

/* Every third word, of 1024. */
TEST(masks_say_what_may_be_said_wherever_the_head_is)
{
    static const struct case_of cases[] = {{1, 16, 2, 1, 0}, {2, 16, 3, 2, "4+8,4+8"}, {3, 16, 3, 2, "2+3,5+0,1+13"}};
    static uint8_t some[128], none[128];
    uint64_t want[2] = {0};
    for (int word = 0; word < 1024; word += 3) some[word / 8] |= (uint8_t)(1 << word % 8);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked a[3];
        struct room r;
        NEED(room_open(&r, &cases[i], 64, why));
        for (int k = 0; k < 3; k++) {
            NEED(prompt_of(&r, &a[k], 0, why));
            a[k].mask = k < 2 ? some : none;
            struct ask ask = plain(&a[k], 0);
            ask.most = 20, ask.run_on = true;
            if (k == 1) ask.sampling = (struct sampling){.temperature = 1, .top_p = 1, .repeat_penalty = 1.2f, .repeat_last = 64};
            NEED(say(&r, &a[k], &ask, why));
        }
        NEED(answer_all(&r, why));
        for (int k = 0; k < 2; k++) {
            for (size_t t = 0; t < a[k].answer.ids.n; t++) CHECK(a[k].answer.ids.id[t] % 3 == 0, "case %zu: %u", i, a[k].answer.ids.id[t]);
            CHECK(a[k].answer.ids.n == 20 && (!i || a[k].answer.ended.fingerprint == want[k]), "case %zu, ask %d", i, k);
            want[k] = a[k].answer.ended.fingerprint;
        }
        CHECK(a[2].answer.ended.how == FINISH_FAILED && strstr(a[2].answer.why.text, "every word is forbidden"), "%s", a[2].answer.why.text);
        for (int k = 0; k < 3; k++) asked_free(&a[k]);
        room_close(&r);
    }
}

struct judged {
    uint32_t n, scores, n_alternatives;
    uint64_t hash;    /* of the log-probabilities, in order */
    double worst;     /* distance from what all scores say */
    double from_all[100]; /* [position], that */
    const uint32_t *ids; /* of all, the next one's place is 1 behind the row's */
    int finished;
    enum finish how;
};

static int all_scores(void *user, uint32_t position, const uint8_t *bytes, uint32_t n, struct err *why)
{
    struct judged *j = user;
    const float *scores = (const float *)(const void *)bytes;
    double best = -1e30, sum = 0;
    (void)why;
    for (uint32_t i = 0; i < n; i++) best = scores[i] > best ? (double)scores[i] : best;
    for (uint32_t i = 0; i < n; i++) sum += exp((double)scores[i] - best);
    j->from_all[position] = (double)scores[j->ids[position + 1]] - best - log(sum);
    j->scores++;
    return 0;
}

static bool one_judged(void *user, const struct said *said)
{
    struct judged *j = user;
    const struct token *t = said->token;
    j->hash = hash_fold(j->hash, hash64(&t->logprob, sizeof t->logprob));
    j->n_alternatives += t->n_alternatives;
    if (j->scores) j->worst = fmax(j->worst, fabs(j->from_all[t->position] - (double)t->logprob));
    CHECK(t->id == j->ids[t->position + 1], "%u was judged at %u", t->id, t->position + 1);
    j->n++;
    return true;
}

static void judged_end(void *user, const struct ended *ended)
{
    struct judged *j = user;
    j->finished++;
    j->how = ended->how;
}

/* A long beginning, four ends; the last with all scores. A word of each end is one that ends answers. */
TEST(words_are_judged_alike_wherever_the_head_is_and_beginnings_are_shared)
{
    static const struct case_of cases[] = {{1, 64, 1, 1, 0}, {1, 16, 4, 2, 0}, {3, 7, 4, 4, 0}, {2, 16, 3, 2, "4+8,4+8"}, {3, 5, 4, 3, "2+3,5+0,1+13"}};
    uint64_t want[4] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t ids[4][100];
        struct judged judged[4] = {0};
        struct room r;
        NEED(room_open(&r, &cases[i], 128, why));
        for (uint32_t k = 0; k < 4; k++) {
            for (uint32_t at = 0; at < 100; at++) ids[k][at] = 300 + (at < 90 ? at * 37 % 501 : (at + k) * 91 % 601);
            ids[k][95] = (uint32_t)tokenizer_specials(r.tokens).end_of_turn;
            judged[k].ids = ids[k];
            const struct ask ask = {.ids = ids[k], .n = 100, .judged = k < 2 ? 10 : 99, .top = k == 1 ? 2 : 0, .want_scores = k == 3};
            const struct listener l = {.token = one_judged, .scores = all_scores, .finished = judged_end, .user = &judged[k]};
            NEED(engine_ask(r.engine, &ask, &l, NULL, why));
        }
        NEED(answer_all(&r, why));
        for (uint32_t k = 0; k < 4; k++) {
            const struct judged *j = &judged[k];
            CHECK(j->finished == 1 && j->how == FINISH_LENGTH && j->n == (k < 2 ? 10 : 99), "case %zu, ask %u: %u words, %d", i, k, j->n, j->how);
            CHECK(!i || j->hash == want[k], "case %zu, ask %u was judged otherwise", i, k);
            want[k] = j->hash;
        }
        CHECK(judged[1].n_alternatives == 20 && judged[3].scores == 99 && judged[3].worst < 1e-5, "%u alternatives, %u rows of scores, %g off",
              judged[1].n_alternatives, judged[3].scores, judged[3].worst);
        room_close(&r);
    }
}

/* ---- one ask's trouble is its own ---- */

TEST(what_cannot_be_asked_is_refused_alone)
{
    static const struct case_of divided = {2, 16, 3, 3, "4+8,4+8"};
    struct room r;
    struct asked good, bad;
    struct err no;
    NEED(room_open(&r, &divided, 64, why));
    NEED(prompt_of(&r, &good, 0, why));
    NEED(prompt_of(&r, &bad, 1, why));
    struct ask ask = plain(&good, 0);
    NEED(say(&r, &good, &ask, why));
    NEED(engine_turn(r.engine, 0, why));
    ask = plain(&bad, 1);
    ask.sampling.top_p = 7;
    CHECK(say(&r, &bad, &ask, &no) == E_USAGE && strstr(no.text, "top-p is 7"), "%s", no.text);
    ask = plain(&bad, 1);
    ask.n = 0;
    CHECK(say(&r, &bad, &ask, &no) == E_USAGE && strstr(no.text, "empty"), "%s", no.text);
    uint32_t many[65] = {0};
    ask = plain(&bad, 1);
    ask.ids = many, ask.n = 65;
    CHECK(say(&r, &bad, &ask, &no) == E_USAGE && strstr(no.text, "65 tokens, the context holds 64") && no.about == ABOUT_CONTEXT,
          "%s", no.text);
    many[3] = 4000000;
    ask.n = 5;
    CHECK(say(&r, &bad, &ask, &no) == E_USAGE && strstr(no.text, "4000000"), "%s", no.text);
    ask = plain(&bad, 1);
    ask.judged = (uint32_t)ask.n;
    CHECK(say(&r, &bad, &ask, &no) == E_USAGE && strstr(no.text, "only words behind others"), "%s", no.text);
    const struct picture_span span = {.first = 1, .n = 2};
    ask = plain(&bad, 1);
    ask.spans = &span, ask.n_spans = 1;
    CHECK(say(&r, &bad, &ask, &no) == E_USAGE && strstr(no.text, "encoder"), "%s", no.text);
    NEED(answer_all(&r, why));
    CHECK(bad.finished == 0, "a refused ask is never told anything");
    check_quiet(&good, 0);
    asked_free(&good), asked_free(&bad);
    room_close(&r);
}

TEST(an_ask_is_cancelled_at_any_moment_and_nobody_else_notices)
{
    for (int turns = 0; turns < 30; turns += 3) {
        struct room r;
        struct asked a[QUESTIONS];
        NEED(room_open(&r, &two, 128, why));
        NEED(ask_all(&r, a, why));
        for (int i = 0; i < turns; i++) NEED(engine_turn(r.engine, 1, why));
        engine_cancel(r.engine, a[2].number);
        engine_cancel(r.engine, a[4].number);
        engine_cancel(r.engine, a[2].number);
        engine_cancel(r.engine, 12345);
        NEED(answer_all(&r, why));
        for (size_t q = 0; q < QUESTIONS; q++) {
            const bool gone = a[q].answer.ended.how == FINISH_CANCELLED;
            CHECK(!gone || q == 2 || q == 4);
            if (gone) CHECK(a[q].finished == 1 && !a[q].told_after_end, "%d times", a[q].finished);
            else check_quiet(&a[q], q);
            asked_free(&a[q]);
        }
        room_close(&r);
    }
}

TEST(a_listener_may_cancel_what_it_hears)
{
    struct room r;
    struct asked a[QUESTIONS];
    NEED(room_open(&r, &two, 128, why));
    NEED(ask_all(&r, a, why));
    a[2].cancel_at = 4;
    NEED(answer_all(&r, why));
    CHECK(a[2].answer.ended.how == FINISH_CANCELLED && a[2].finished == 1 && a[2].answer.ids.n == 4, "%zu tokens", a[2].answer.ids.n);
    for (size_t q = 0; q < QUESTIONS; q++) {
        if (q != 2) check_quiet(&a[q], q);
        asked_free(&a[q]);
    }
    room_close(&r);
}

TEST(a_listener_that_is_full_holds_its_own_ask_alone_and_loses_nothing)
{
    struct room r;
    struct asked a[QUESTIONS];
    NEED(room_open(&r, &two, 128, why));
    NEED(ask_all(&r, a, why));
    a[2].room = 3;
    uint64_t rows = 0;
    for (int i = 0; i < 100000 && (engine_unanswered(r.engine) > 1 || a[2].answer.ids.n < 3); i++) NEED(engine_turn(r.engine, 1, why));
    CHECK(engine_unanswered(r.engine) == 1 && a[2].answer.ids.n == 3 && !a[2].finished, "%u wait", engine_unanswered(r.engine));
    for (int i = 0; i < 20; i++) NEED(engine_turn(r.engine, 1, why)); /* what was under way comes home */
    rows = engine_totals(r.engine).rows;
    for (int i = 0; i < 20; i++) NEED(engine_turn(r.engine, 1, why));
    CHECK(engine_totals(r.engine).rows == rows, "rows are computed for a listener that is full");
    a[2].room = UINT32_MAX;
    NEED(answer_all(&r, why));
    for (size_t q = 0; q < QUESTIONS; q++) check_quiet(&a[q], q), asked_free(&a[q]);
    room_close(&r);
}

TEST(a_turn_waits_no_longer_than_the_next_deadline)
{
    struct room r;
    struct asked a;
    NEED(room_open(&r, &two, 128, why));
    NEED(prompt_of(&r, &a, 2, why));
    a.room = 0; /* nothing will happen but the end of its time */
    struct ask ask = plain(&a, 2);
    const uint64_t start = clock_ns();
    ask.deadline_ns = start + 300000000;
    NEED(say(&r, &a, &ask, why));
    while (!a.finished) NEED(engine_turn(r.engine, 60000, why));
    CHECK(a.answer.ended.how == FINISH_LATE && clock_ns() - start < 50000000000ull, "it ended as %d", a.answer.ended.how);
    asked_free(&a);
    room_close(&r);
}

TEST(a_deadline_that_is_over_ends_one_ask)
{
    struct room r;
    struct asked a, b;
    NEED(room_open(&r, &two, 128, why));
    NEED(prompt_of(&r, &a, 2, why));
    NEED(prompt_of(&r, &b, 0, why));
    struct ask ask = plain(&a, 2);
    ask.deadline_ns = clock_ns() + 1;
    NEED(say(&r, &a, &ask, why));
    ask = plain(&b, 0);
    NEED(say(&r, &b, &ask, why));
    NEED(answer_all(&r, why));
    CHECK(a.answer.ended.how == FINISH_LATE && a.finished == 1);
    check_quiet(&b, 0);
    asked_free(&a), asked_free(&b);
    room_close(&r);
}

/* ---- slots ---- */

TEST(a_second_turn_goes_on_in_the_slot_that_holds_its_beginning)
{
    struct room r;
    struct asked a;
    const char *then = "What is 20 + 3?";
    NEED(room_open(&r, &two, 128, why));
    NEED(prompt_of(&r, &a, 0, why));
    struct ask ask = plain(&a, 0);
    NEED(say(&r, &a, &ask, why));
    NEED(answer_all(&r, why));
    for (size_t i = 0; i < a.answer.ids.n; i++) NEED(ids_push(&a.ids, a.answer.ids.id[i], why));
    NEED(ids_push(&a.ids, a.answer.ended.last_id, why));
    const uint32_t before = (uint32_t)a.ids.n;
    NEED(prompt_next_turn(r.tokens, true, then, strlen(then), &a.ids, why));
    uint64_t fingerprint[2];
    for (int i = 0; i < 2; i++) { /* in the slot; then, its beginning lost, from all rows */
        struct asked again = {.room = UINT32_MAX, .engine = r.engine, .ids = a.ids};
        ask = plain(&again, 7);
        NEED(say(&r, &again, &ask, why));
        NEED(answer_all(&r, why));
        const uint32_t reused = again.answer.ended.reused_rows;
        CHECK(i ? reused == 0 : reused == before - 1, "%u of %u rows", reused, before);
        fingerprint[i] = again.answer.ended.fingerprint;
        collected_free(&again.answer);
        NEED(engine_restart(r.engine, why)); /* nothing is under way: the slots forget */
    }
    CHECK(fingerprint[0] == fingerprint[1] && fingerprint[0]);
    asked_free(&a);
    room_close(&r);
}

/* Whoever stops an answer and asks on pays for the new rows only. */
TEST(an_answer_that_was_enough_leaves_its_slot_as_it_is)
{
    struct room r;
    struct asked a;
    NEED(room_open(&r, &two, 128, why));
    NEED(prompt_of(&r, &a, 0, why));
    a.enough_at = 3;
    struct ask ask = plain(&a, 0);
    NEED(say(&r, &a, &ask, why));
    NEED(answer_all(&r, why));
    CHECK(a.finished == 1 && a.answer.ended.how == FINISH_LENGTH && a.answer.ids.n == 3, "%zu tokens", a.answer.ids.n);
    for (size_t i = 0; i < a.answer.ids.n; i++) NEED(ids_push(&a.ids, a.answer.ids.id[i], why));
    const uint32_t before = (uint32_t)a.ids.n;
    NEED(prompt_next_turn(r.tokens, false, "Go on.", 6, &a.ids, why));
    struct asked again = {.room = UINT32_MAX, .engine = r.engine, .ids = a.ids};
    ask = plain(&again, 7);
    NEED(say(&r, &again, &ask, why));
    engine_enough(r.engine, 12345);
    NEED(answer_all(&r, why));
    CHECK(again.answer.ended.reused_rows == before - 1, "%u of %u rows", again.answer.ended.reused_rows, before);
    collected_free(&again.answer);

    again = (struct asked){.room = UINT32_MAX, .engine = r.engine, .ids = a.ids};
    NEED(say(&r, &again, &ask, why));
    engine_enough(r.engine, again.number); /* nothing was said yet */
    NEED(answer_all(&r, why));
    CHECK(again.answer.ended.how == FINISH_CANCELLED && !again.answer.ids.n);
    collected_free(&again.answer);
    asked_free(&a);
    room_close(&r);
}

TEST(the_more_urgent_takes_a_slot_and_who_gave_it_up_says_the_same)
{
    static const struct case_of one_slot = {2, 16, 3, 1, NULL};
    struct room r;
    struct asked slow, urgent;
    NEED(room_open(&r, &one_slot, 128, why));
    NEED(prompt_of(&r, &slow, 2, why));
    NEED(prompt_of(&r, &urgent, 0, why));
    struct ask ask = plain(&slow, 2);
    NEED(say(&r, &slow, &ask, why));
    while (slow.answer.ids.n < 5) NEED(engine_turn(r.engine, 100, why));
    ask = plain(&urgent, 0);
    ask.priority = 1;
    NEED(say(&r, &urgent, &ask, why));
    while (!urgent.finished) NEED(engine_turn(r.engine, 100, why));
    CHECK(!slow.finished, "it should have waited");
    NEED(answer_all(&r, why));
    check_quiet(&urgent, 0);
    check_quiet(&slow, 2);
    asked_free(&slow), asked_free(&urgent);
    room_close(&r);
}

/* ---- what several begin with ---- */

/* Five questions behind the same 200 ids, one of them twice, one by somebody whose salt is another; then the first once more. */
static void ask_behind_a_text(bool share, uint32_t reused[7], uint64_t fingerprint[7])
{
    static const size_t question[7] = {0, 1, 2, 2, 3, 4, 0};
    struct err e = {0}, *why = &e;
    struct asked a[7] = {0};
    struct room r;
    int code = room_open(&r, &(struct case_of){3, 32, 4, 3, NULL}, 320, why);
    if (!share) beginnings_close(&r.engine->beginnings);
    for (size_t i = 0; i < 7 && !code; i++) {
        struct ids ids = {0};
        for (uint32_t k = 0; k < 200; k++) CHECK(!ids_push(&ids, 5 + k % 90, why));
        code = prompt_of(&r, &a[i], question[i], why);
        for (size_t k = 0; k < a[i].ids.n; k++) CHECK(!ids_push(&ids, a[i].ids.id[k], why));
        ids_free(&a[i].ids);
        a[i].ids = ids;
        struct ask ask = plain(&a[i], question[i]);
        ask.most = 5;
        ask.salt = i == 5;
        if (i == 6 && !code) code = answer_all(&r, why);
        if (!code) code = say(&r, &a[i], &ask, why);
    }
    if (!code) code = answer_all(&r, why);
    CHECK(!code, "%s", e.text);
    for (size_t i = 0; i < 7; i++) {
        reused[i] = a[i].answer.ended.reused_rows;
        fingerprint[i] = a[i].answer.ended.fingerprint;
        asked_free(&a[i]);
    }
    room_close(&r);
}

TEST(what_several_asks_begin_with_is_computed_once_but_for_those_of_another_salt)
{
    uint32_t reused[7], none[7];
    uint64_t shared[7], alone[7];
    ask_behind_a_text(true, reused, shared);
    ask_behind_a_text(false, none, alone);
    for (size_t i = 0; i < 7; i++) {
        CHECK(reused[i] == (i == 0 || i == 5 ? 0 : 192), "ask %zu: %u rows", i, reused[i]);
        CHECK(!none[i] && shared[i] && shared[i] == alone[i], "ask %zu was answered otherwise", i);
    }
}

/* ---- from outside ---- */

static void *wake_soon(void *user)
{
    usleep(50000);
    engine_wake(user);
    return NULL;
}

TEST(another_thread_wakes_a_waiting_turn_at_once)
{
    struct room r;
    pthread_t thread;
    NEED(room_open(&r, &two, 64, why));
    NEED(engine_turn(r.engine, 0, why));
    pthread_create(&thread, NULL, wake_soon, r.engine);
    const uint64_t start = clock_ns();
    NEED(engine_turn(r.engine, 60000, why));
    CHECK(clock_ns() - start < 50000000000ull, "it slept on");
    pthread_join(thread, NULL);
    room_close(&r);
}

TEST(asks_that_are_alive_when_the_engine_closes_are_told_once)
{
    struct room r;
    struct asked a[QUESTIONS];
    NEED(room_open(&r, &two, 128, why));
    NEED(ask_all(&r, a, why));
    for (int i = 0; i < 4; i++) NEED(engine_turn(r.engine, 1, why));
    room_close(&r);
    for (size_t q = 0; q < QUESTIONS; q++) {
        CHECK(a[q].finished == 1 && !a[q].told_after_end, "question %zu: %d times", q, a[q].finished);
        asked_free(&a[q]);
    }
}

/* Asks again, as soon as its ask is over. */
struct insistent {
    struct engine *engine;
    struct asked *asked;
    int tries, refused;
    struct err no;
};

static void ask_again(void *user, const struct ended *ended)
{
    struct insistent *p = user;
    const struct ask ask = plain(p->asked, 0);
    const struct listener l = {.finished = ask_again, .user = p};
    (void)ended;
    if (p->tries++ == 10) return; /* it would go on for ever */
    if (engine_ask(p->engine, &ask, &l, NULL, &p->no)) p->refused++;
}

TEST(who_asks_again_while_the_engine_closes_is_refused)
{
    struct room r;
    struct asked a;
    NEED(room_open(&r, &two, 128, why));
    NEED(prompt_of(&r, &a, 0, why));
    struct insistent p = {.engine = r.engine, .asked = &a};
    const struct ask ask = plain(&a, 0);
    const struct listener l = {.finished = ask_again, .user = &p};
    NEED(engine_ask(r.engine, &ask, &l, NULL, why));
    NEED(engine_turn(r.engine, 1, why));
    room_close(&r);
    CHECK(p.tries == 1 && p.refused == 1, "asked %d times, refused %d", p.tries, p.refused);
    asked_free(&a);
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

TEST(a_result_that_lacks_a_token_ends_the_run_and_everyone_is_told)
{
    struct room r;
    struct asked a[QUESTIONS];
    struct err e = {0};
    NEED(room_open(&r, &(struct case_of){2, 64, 3, 2, NULL}, 128, why));
    const struct fault_wish lie = {.what = FAULT_CHANGE, .type = M_RESULT, .change = without_tokens};
    NEED(port_make_faulty(roster_port(r.pipe->roster), &lie, why));
    NEED(ask_all(&r, a, why));
    CHECK(answer_all(&r, &e) == E_WIRE && strstr(e.text, "0 tokens came back with micro-batch 0, which wants 1"), "%s", e.text);
    struct err again = {0};
    const struct ask late = plain(&a[0], 0);
    CHECK(engine_ask(r.engine, &late, &(struct listener){0}, NULL, &again) == E_WIRE && !strcmp(again.text, e.text), "%s", again.text);
    CHECK(engine_turn(r.engine, 0, &again) == E_WIRE);
    for (size_t q = 0; q < QUESTIONS; q++) {
        CHECK(a[q].finished == 1 && a[q].answer.ended.how == FINISH_FAILED && !strcmp(a[q].answer.why.text, e.text),
              "%s", a[q].answer.why.text);
        asked_free(&a[q]);
    }
    room_close(&r);
}
