/* coordinator/serve/call.c — see call.h. */
#include "coordinator/serve/call.h"

#include "base/clock.h"
#include "base/hash.h"
#include "coordinator/serve/metrics.h"
#include "coordinator/serve/responses.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PENDING_MOST (64u << 10)     /* bytes that a stream's reader has not taken: then it is full */
#define SILENT_NS 15000000000ull     /* until a comment says that the stream lives */

struct choice {
    struct call *call;
    struct answer_text text;
    struct logprobs logprobs;
    struct shaped *shaped; /* NULL: it may be any text */
    uint64_t number; /* the engine's */
    size_t sent, sent_logprobs; /* of the text, and of the tokens with log-probabilities */
    uint32_t tokens;
    uint64_t said_ns; /* its last token */
    bool over, stopped, spoke;
};

struct call {
    const struct call_setup *setup;
    struct exchange *x;
    struct request request;
    struct question question;
    struct result_common common; /* with the moment it came */
    struct choice *choice; /* [request.choices] */
    uint32_t left;         /* choices that are not over */
    bool streaming, answered, given_up, response;
    uint32_t events; /* of a response's stream */
    uint64_t heard_ns;     /* something was written */
    uint64_t taken_ns;     /* its reader took something, or had nothing to take */
    size_t pending;
    struct call_numbers numbers;
    uint64_t cached_tokens; /* of the prompt, as its first choice found them: the others find what that one made */
    uint64_t salt;
    struct metrics *metrics;
};

/* ---- the end ---- */

static void fail_call(struct call *c, const struct err *why)
{
    const bool asked_too_much = why->code == E_USAGE || why->code == E_FILE, lost = why->code == E_WORKER || why->code == E_LINK || why->code == E_WIRE;
    const char *code = asked_too_much ? why->about == ABOUT_CONTEXT ? "context_length_exceeded" : why->code == E_FILE ? "invalid_image" : "invalid_value"
                       : lost ? "worker_lost" : why->code == E_INTERRUPTED ? "draining" : "failed";
    request_refuse(&c->request, asked_too_much ? 400 : lost || why->code == E_INTERRUPTED ? 503 : 500, code, "", "%s", why->text);
}

static void cancel_all(struct call *c)
{
    for (uint32_t i = 0; i < c->request.choices && c->choice; i++)
        if (c->choice[i].call && !c->choice[i].over) fleet_cancel(c->setup->fleet, c->choice[i].number);
}

static struct result_usage usage_of(const struct call *c)
{
    struct result_usage u = {.prompt = c->question.prompt.n, .details = true, .cached = c->cached_tokens};
    for (size_t i = 0; i < c->question.spans.n; i++) u.pictures += c->question.spans.span[i].n;
    return u;
}

/* The first [n] bytes of its one answer, as it is now. */
static struct response response_of(const struct call *c, size_t n)
{
    const struct choice *k = c->choice;
    struct response r = {.common = &c->common, .text = k->text.text, .n = n, .cut_off = !k->stopped && !k->text.stopped, .usage = usage_of(c)};
    r.usage.made = c->numbers.made;
    return r;
}

static void answer_whole(struct call *c)
{
    const struct response response = response_of(c, c->choice->text.n);
    if (c->response) {
        responses_answer(c->x, &response);
        return;
    }
    const struct result_usage usage = usage_of(c);
    struct result_choice choice[REQUEST_CHOICES];
    for (uint32_t i = 0; i < c->request.choices; i++) {
        const struct choice *k = &c->choice[i];
        choice[i] = (struct result_choice){.text = k->text.text, .n = k->text.n, .tokens = k->tokens, .cut = k->text.stopped,
                                           .stopped = k->stopped || k->text.stopped, .logprobs = c->request.wants_logprobs ? &k->logprobs : NULL};
    }
    reply_answer(c->x, &c->common, &c->request, choice, &usage);
}

/* All choices are over: the last words. */
static void answer(struct call *c)
{
    const struct refusal *no = &c->request.refused;
    c->answered = true;
    c->numbers.failed = no->status;
    c->numbers.done_ns = clock_ns();
    if (c->streaming && no->status) {
        reply_stream_error(c->x, no);
    } else if (no->status) {
        reply_refusal(c->x, no);
    } else if (!c->streaming) {
        answer_whole(c);
    } else {
        struct result_usage usage = usage_of(c);
        usage.made = c->numbers.made;
        if (c->request.include_usage && !c->response) reply_usage(c->x, &c->common, &c->request, &usage);
        if (!c->response) reply_done(c->x);
    }
}

/* ---- words come ---- */

/* Bytes at the end of the text that may be the beginning of a stop text. */
static size_t held_back(const struct answer_text *t)
{
    size_t most = 0;
    for (uint32_t i = 0; i < t->n_stops && !t->stopped; i++) {
        const size_t length = strlen(t->stop[i]);
        for (size_t n = length - 1; n > most; n--)
            if (n <= t->n && !memcmp(t->text + t->n - n, t->stop[i], n)) most = n;
    }
    return most;
}

/* What may be said by now; at its end, with the reason. */
static void say(struct choice *k, const char *finish)
{
    struct call *c = k->call;
    const size_t until = finish ? k->text.n : c->request.calls ? 0 : k->text.n - held_back(&k->text); /* half a call is of no use */
    struct logprobs news = {0};
    if (until < k->sent || (until == k->sent && !finish)) return;
    for (size_t i = k->sent_logprobs; i < k->logprobs.n && (finish || k->logprobs.token[i].at < until); i++) news.n++;
    news.token = k->logprobs.n ? &k->logprobs.token[k->sent_logprobs] : NULL;
    const struct reply_piece piece = {.index = (uint32_t)(k - c->choice), .first = !k->spoke, .text = k->text.text + k->sent, .n = until - k->sent,
                                      .logprobs = c->request.wants_logprobs ? &news : NULL, .all = k->text.text, .all_n = until,
                                      .cut = k->text.stopped, .finish = finish};
    const struct response response = response_of(c, until);
    c->heard_ns = clock_ns();
    if (c->response) responses_piece(c->x, &response, k->sent, finish != NULL, &c->events);
    else reply_piece(c->x, &c->common, &c->request, &piece);
    k->sent = until;
    k->sent_logprobs += news.n;
    k->spoke = true;
}

static bool hear_token(void *user, const struct said *said)
{
    struct choice *k = user;
    struct call *c = k->call;
    struct err why;
    if (c->streaming && exchange_pending(c->x) > PENDING_MOST) return false;
    const uint64_t now = clock_ns();
    if (!c->numbers.first_ns) c->numbers.first_ns = now;
    if (k->said_ns) metrics_gap(c->metrics, now - k->said_ns);
    k->said_ns = now;
    k->tokens++;
    c->numbers.made++;
    if (c->request.wants_logprobs && logprobs_add(&k->logprobs, said->token, k->text.n, &why)) fail_call(c, &why);
    if (answer_text_add(&k->text, said->id, &why)) fail_call(c, &why);
    if (k->shaped && shaped_say(k->shaped, said->id, &why)) fail_call(c, &why);
    if (c->streaming) say(k, NULL);
    if (k->text.stopped || c->request.refused.status) fleet_cancel(c->setup->fleet, said->number);
    return true;
}

static const uint8_t *may_say(void *user)
{
    const struct choice *k = user;
    return shaped_mask(k->shaped);
}

/* It is no use to ask again: it would be late again. */
static void refuse_late(struct call *c)
{
    if (!c->streaming) exchange_header(c->x, "x-should-retry", "false");
    request_refuse(&c->request, 408, "timeout", "timeout", "it was not answered within the %g seconds that it may take", c->request.timeout);
}

static void hear_end(void *user, const struct ended *ended)
{
    struct choice *k = user;
    struct call *c = k->call;
    struct err why;
    k->over = true;
    k->stopped = ended->how == FINISH_STOP;
    if (k->stopped) k->tokens++, c->numbers.made++; /* the one that ends an answer is not told */
    c->numbers.reused_tokens += ended->reused_rows;
    if (k == c->choice) c->cached_tokens = ended->reused_rows;
    if (ended->how == FINISH_FAILED) fail_call(c, ended->why);
    if (ended->how == FINISH_LATE) refuse_late(c);
    if (answer_text_end(&k->text, &why)) fail_call(c, &why);
    const bool stopped = k->stopped || k->text.stopped;
    c->numbers.stopped |= stopped;
    c->numbers.length |= !stopped;
    if (c->streaming && !c->request.refused.status && !c->given_up) say(k, stopped ? "stop" : "length");
    if (--c->left == 0 && !c->given_up) answer(c);
}

/* ---- it begins ---- */

static int ask(struct choice *k, struct err *why)
{
    struct call *c = k->call;
    const struct request *r = &c->request;
    const struct listener listener = {.token = hear_token, .finished = hear_end, .mask = r->shape ? may_say : NULL, .user = k};
    const uint32_t index = (uint32_t)(k - c->choice);
    struct ask what = {.ids = c->question.prompt.id, .n = c->question.prompt.n, .spans = c->question.spans.span, .n_spans = c->question.spans.n,
                       .sampling = r->sampling, .most = r->most, .key = index, .run_on = r->run_on, .wish = r->wish, .top = r->top, .salt = c->salt};
    what.priority = -(int)r->later;
    if (r->timeout > 0) what.deadline_ns = c->numbers.asked_ns + (uint64_t)(r->timeout * 1e9);
    if (r->cache_key) what.salt = hash_fold(what.salt, r->cache_key);
    if (r->shares_nothing) what.salt = hash_fold(what.salt, hash_fold(r->cache_key, exchange_number(c->x)));
    if (!r->has_seed) what.sampling.seed = hash_fold(c->setup->seed, exchange_number(c->x));
    if (r->shape) TRY(shaped_open(&k->shaped, r->shape, c->setup->words, why));
    return fleet_ask(c->setup->fleet, &what, &listener, &k->number, why);
}

static int ask_choices(struct call *c, struct err *why)
{
    const uint32_t n = c->request.choices;
    c->choice = calloc(n, sizeof *c->choice);
    if (!c->choice) return fail(why, E_MEMORY, "no memory for %u answers", n);
    for (uint32_t i = 0; i < n; i++) {
        struct choice *k = &c->choice[i];
        k->text = (struct answer_text){.tokens = c->common.tokens, .stop = c->request.stop, .n_stops = c->request.n_stops};
        k->call = c;
        c->left++;
        const int code = ask(k, why);
        if (!code) continue;
        k->call = NULL;
        c->left--;
        return code;
    }
    return 0;
}

static bool check_request(struct call *c, bool chat)
{
    struct request *r = &c->request;
    const char *model = c->common.model;
    if (!r->refused.status && r->chat != chat)
        request_refuse(r, 400, "invalid_value", chat ? "messages" : "prompt", "%s", chat ? "a chat wants messages" : "a completion wants a prompt");
    if (!r->refused.status && r->model && !c->setup->any_model && strcmp(r->model, model))
        request_refuse(r, 404, "model_not_found", "model", "there is no model %.80s here; it is called %.80s", r->model, model);
    return !r->refused.status;
}

static int read_request(struct call *c, struct err *why)
{
    size_t n;
    char *chat = NULL;
    const char *body = exchange_body(c->x, &n);
    if (c->response) TRY(responses_as_chat(&chat, &n, body, n, why));
    const int code = request_read(&c->request, chat ? chat : body, n, 1, &c->setup->defaults, why);
    free(chat);
    return code;
}

static int read_and_ask(struct call *c, bool chat, struct err *why)
{
    TRY(read_request(c, why));
    if (!check_request(c, chat)) return 0;
    TRY(question_make(&c->question, &c->request, &c->setup->question, fleet_pictures(c->setup->fleet), why));
    exchange_forget_body(c->x);
    TRY(ask_choices(c, why));
    c->numbers.prompt_tokens = c->question.prompt.n;
    c->numbers.most = c->request.most;
    c->streaming = c->request.stream;
    return 0;
}

struct call *call_begin(const struct call_setup *setup, struct exchange *x, const struct call_origin *from)
{
    struct call *c = calloc(1, sizeof *c);
    struct err why;
    if (!c) {
        reply_error(x, 503, "unavailable", "there is no memory for another request");
        exchange_end(x);
        return NULL;
    }
    c->setup = setup;
    c->salt = from->salt;
    c->response = from->response;
    c->metrics = from->metrics;
    c->x = x;
    c->common = setup->common;
    c->common.created = (uint64_t)time(NULL);
    c->numbers.asked_ns = c->heard_ns = c->taken_ns = clock_ns();
    c->numbers.came_ns = from->came_ns;
    const int code = read_and_ask(c, from->chat, &why);
    if (code) fail_call(c, &why);
    if (!c->request.refused.status) {
        exchange_header(x, "Cache-Control", "no-cache");
        if (c->streaming) exchange_header(x, "X-Accel-Buffering", "no"), exchange_stream(x, EVENT_STREAM);
        return c;
    }
    cancel_all(c);
    if (!c->left) answer(c);
    return c;
}

/* ---- while it runs ---- */

/* Its reader took something since the last look, or there is nothing to take. */
static bool stalls(struct call *c, uint64_t now)
{
    const size_t pending = exchange_pending(c->x);
    if (pending < c->pending || !pending) c->taken_ns = now;
    c->pending = pending;
    return c->setup->stall_seconds && now - c->taken_ns > c->setup->stall_seconds * 1000000000ull;
}

bool call_is_over(struct call *c, uint64_t now)
{
    if (!c->answered && !c->given_up && (exchange_is_gone(c->x) || stalls(c, now))) {
        c->given_up = c->numbers.cancelled = true;
        c->numbers.done_ns = now;
        cancel_all(c);
        exchange_break(c->x);
    }
    if (c->streaming && c->left && now - c->heard_ns > SILENT_NS) {
        c->heard_ns = now;
        reply_comment(c->x);
    }
    return !c->left;
}

const struct call_numbers *call_numbers(const struct call *c)
{
    return &c->numbers;
}

void call_give_up(struct call *c, const struct err *why)
{
    if (c->answered || c->given_up) return;
    fail_call(c, why);
    cancel_all(c);
}

void call_end(struct call *c, bool engine_closed)
{
    question_free(&c->question, engine_closed ? NULL : fleet_pictures(c->setup->fleet));
    for (uint32_t i = 0; i < c->request.choices && c->choice; i++) {
        answer_text_free(&c->choice[i].text);
        logprobs_free(&c->choice[i].logprobs);
        shaped_close(&c->choice[i].shaped);
    }
    free(c->choice);
    request_free(&c->request);
    exchange_end(c->x);
    free(c);
}
