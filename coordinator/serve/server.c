/* coordinator/serve/server.c — see server.h. */
#define _GNU_SOURCE
#include "coordinator/serve/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/serve/about.h"
#include "coordinator/serve/batches.h"
#include "coordinator/serve/fair.h"
#include "coordinator/serve/file_calls.h"
#include "coordinator/serve/metrics.h"
#include "coordinator/serve/page.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BODY_MOST (64u << 20)
#define BODIES_MOST (1u << 30)
#define CONNECTIONS 1000
#define CONNECTIONS_EACH 250
#define REQUEST_SECONDS 30
#define DRAIN_MS 5000
#define RETRY_AFTER "5"
#define LOOK_NS 400000000ull     /* between two looks at the pipeline, */
#define LOOKS_FOR_NS 5000000000ull /* as long as somebody asked not longer ago */
#define LOOK_MS 500
#define KEY_WANTED "this server wants a key, as Authorization: Bearer KEY"

struct mail {
    struct mail *next;
    struct exchange *x;
    size_t owner; /* which key it came with */
    bool chat, response;
    uint64_t came_ns;
};

struct under_way {
    struct under_way *next;
    struct call *call;
    size_t owner;
    uint64_t charged; /* of the tokens made for it */
};

struct api_keys {
    char **key;
    size_t n;
};

struct server {
    struct server_setup setup;
    struct http *http;
    struct metrics *metrics;
    struct store *store;     /* NULL: nothing is kept */
    struct batches *batches; /* NULL: the same, or it is not ready */
    struct api_keys keys;
    struct fair *fair; /* those whose turn has not come; the engine's thread */
    uint64_t begun; /* seconds since 1970 */
    pthread_mutex_t lock; /* of what both threads see, down to `fleet` */
    struct mail *mail, **last_mail;
    uint32_t n_calls; /* under way, and in the mailbox */
    bool ready, draining;
    uint64_t looked_ns; /* somebody asked for the pipeline; 0: nobody did */
    char *pipeline;     /* [pipeline_n] as it was shown last */
    size_t pipeline_n;
    struct fleet *fleet; /* NULL before it is ready */
    const struct call_setup *calls;
    struct under_way *calls_under_way;
    uint64_t shown_ns; /* when that was */
};

/* ---- keys ---- */

static int add_key(struct api_keys *k, const char *text, size_t n, struct err *why)
{
    char **grown = realloc(k->key, (k->n + 1) * sizeof *grown);
    if (grown) k->key = grown;
    if (!grown || !(k->key[k->n] = strndup(text, n))) return fail(why, E_MEMORY, "no memory for the keys");
    k->n++;
    return 0;
}

static int read_keys(struct api_keys *k, const char *path, struct err *why)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    if (!f) return fail_errno(why, E_FILE, "%s cannot be opened", path);
    for (ssize_t n; !code && (n = getline(&line, &room, f)) > 0;) {
        while (n && strchr("\r\n \t", line[n - 1])) n--;
        if (!n || line[0] == '#') continue;
        if (k->n == API_KEYS_MOST) code = fail(why, E_FILE, "%s has more than %d keys", path, API_KEYS_MOST);
        else code = add_key(k, line, (size_t)n, why);
    }
    if (!code && ferror(f)) code = fail_errno(why, E_FILE, "%s cannot be read", path);
    if (!code && !k->n) code = fail(why, E_FILE, "%s has no key, a line each", path);
    free(line);
    fclose(f);
    return code;
}

/* In a time that does not tell how much of it was right. */
static bool same_secret(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    unsigned char differs = n != m;
    for (size_t i = 0; i < n; i++) differs |= (unsigned char)(a[i] ^ b[m ? i % m : 0]);
    return !differs;
}

/* *owner: the number of the key; 0 where none is asked for. */
static bool may_ask(const struct server *s, const struct exchange *x, size_t *owner)
{
    static const char bearer[] = "Bearer ";
    const char *given = exchange_authorization(x);
    bool known = !s->keys.n;
    *owner = 0;
    if (!s->keys.n || !given || strncasecmp(given, bearer, sizeof bearer - 1)) return known;
    for (size_t i = 0; i < s->keys.n; i++) {
        if (!same_secret(given + sizeof bearer - 1, s->keys.key[i])) continue;
        known = true;
        *owner = i;
    }
    return known;
}

/* ---- what needs no engine ---- */

static void answer_with_text(struct exchange *x, int status, const char *type, const char *text)
{
    char *copy = strdup(text);
    exchange_answer(x, copy ? status : 503, type, copy, copy ? strlen(copy) : 0);
}

/* What a call's setup says does not change once it is there. */
static void answer_about(struct server *s, struct exchange *x, void (*answer)(struct exchange *, const struct known *), bool wants_model)
{
    pthread_mutex_lock(&s->lock);
    const struct known a = {.model = s->setup.model, .begun = s->begun, .calls = s->ready ? s->calls : NULL};
    pthread_mutex_unlock(&s->lock);
    if (a.calls || !wants_model) answer(x, &a);
    else reply_error(x, 503, "loading", "the model is being loaded");
}

static void answer_metrics(struct server *s, struct exchange *x)
{
    size_t n = 0;
    char *text = metrics_page(s->metrics, s->setup.model, &n);
    exchange_answer(x, text ? 200 : 503, "text/plain; version=0.0.4", text, n);
}

static void answer_health(struct server *s, struct exchange *x)
{
    pthread_mutex_lock(&s->lock);
    const bool ready = s->ready, draining = s->draining;
    pthread_mutex_unlock(&s->lock);
    if (draining) reply_error(x, 503, "draining", "the server is about to end");
    else if (!ready) reply_error(x, 503, "loading", "the model is being loaded");
    else answer_with_text(x, 200, JSON_TYPE, "{\"status\":\"ok\"}");
}

static void answer_page(struct exchange *x)
{
    exchange_header(x, "Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src data: blob:; frame-ancestors 'none'; base-uri 'none'");
    size_t n;
    const char *page = page_text(&n);
    char *copy = malloc(n);
    if (copy) memcpy(copy, page, n);
    exchange_answer(x, copy ? 200 : 503, "text/html; charset=utf-8", copy, n);
}

/* As it was at the last look; the first who asks waits for none. */
static void answer_pipeline(struct server *s, struct exchange *x)
{
    pthread_mutex_lock(&s->lock);
    const bool ready = s->ready;
    s->looked_ns = clock_ns();
    char *copy = s->pipeline ? malloc(s->pipeline_n) : NULL;
    const size_t n = copy ? s->pipeline_n : 0;
    if (copy) memcpy(copy, s->pipeline, n);
    if (s->fleet) fleet_wake(s->fleet);
    pthread_mutex_unlock(&s->lock);
    if (copy) exchange_answer(x, 200, JSON_TYPE, copy, n);
    else reply_error(x, 503, ready ? "unavailable" : "loading", "%s", ready ? "it is looked at for the first time: ask again" : "the model is being loaded");
}

/* ---- places ---- */

struct place {
    const char *path, *method;
    enum { HEALTH, LIVE, METRICS, MODELS, PROPS, TOKENIZE, DETOKENIZE, PAGE, PIPELINE, CHAT, COMPLETIONS, RESPONSES } what;
    bool open; /* without a key */
};

static const struct place places[] = {
    {"/health", "GET", HEALTH, true},         {"/livez", "GET", LIVE, true},
    {"/readyz", "GET", HEALTH, true},         {"/metrics", "GET", METRICS, false},
    {"/", "GET", PAGE, true},                 {"/pipeline", "GET", PIPELINE, false},
    {"/props", "GET", PROPS, false},          {"/tokenize", "POST", TOKENIZE, false},
    {"/detokenize", "POST", DETOKENIZE, false},
    {"/v1/models", "GET", MODELS, false},     {"/models", "GET", MODELS, false},
    {"/v1/chat/completions", "POST", CHAT, false}, {"/chat/completions", "POST", CHAT, false},
    {"/v1/responses", "POST", RESPONSES, false},     {"/responses", "POST", RESPONSES, false},
    {"/v1/completions", "POST", COMPLETIONS, false}, {"/completions", "POST", COMPLETIONS, false},
};

/* ---- words ---- */

/* Under the lock. */
static const char *no_place(const struct server *s, int *status)
{
    *status = s->draining || !s->ready ? 503 : 429;
    if (s->draining) return "draining";
    if (!s->ready) return "loading";
    return s->n_calls >= s->setup.queue ? "queue_full" : NULL;
}

static void refuse_words(struct server *s, struct exchange *x, int status, const char *code)
{
    metrics_refused(s->metrics);
    if (status == 429 || !strcmp(code, "loading")) exchange_header(x, "Retry-After", RETRY_AFTER);
    if (status == 429) reply_error(x, status, code, "%u requests are under way and waiting, which is the most", s->setup.queue);
    else if (!strcmp(code, "loading")) reply_error(x, status, code, "the model is being loaded");
    else if (!strcmp(code, "unavailable")) reply_error(x, status, code, "there is no memory for another request");
    else reply_error(x, status, code, "the server is about to end");
    exchange_end(x);
}

static void post_words(struct server *s, struct exchange *x, size_t owner, int what)
{
    struct mail *m = calloc(1, sizeof *m);
    int status = 503;
    pthread_mutex_lock(&s->lock);
    const char *no = m ? no_place(s, &status) : "unavailable";
    if (!no) {
        *m = (struct mail){.x = x, .owner = owner, .chat = what != COMPLETIONS, .response = what == RESPONSES, .came_ns = clock_ns()};
        *s->last_mail = m;
        s->last_mail = &m->next;
        s->n_calls++;
        fleet_wake(s->fleet);
    }
    pthread_mutex_unlock(&s->lock);
    if (!no) return;
    free(m);
    refuse_words(s, x, status, no);
}

static const struct place *find_place(const char *path)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (!strcmp(path, places[i].path)) return &places[i];
    return NULL;
}

static void allow_origin(const struct server *s, struct exchange *x)
{
    const char *origin = exchange_origin(x);
    if (!s->setup.cors || !origin || (strcmp(s->setup.cors, "*") && strcmp(s->setup.cors, origin))) return;
    exchange_header(x, "Access-Control-Allow-Origin", s->setup.cors);
    exchange_header(x, "Access-Control-Allow-Headers", "Authorization, Content-Type");
    exchange_header(x, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    exchange_header(x, "Vary", "Origin");
}

static void answer_now(struct server *s, struct exchange *x, const struct place *p)
{
    switch (p->what) {
    case HEALTH: answer_health(s, x); break;
    case LIVE: answer_with_text(x, 200, JSON_TYPE, "{\"status\":\"ok\"}"); break;
    case METRICS: answer_metrics(s, x); break;
    case PROPS: answer_about(s, x, about_props, true); break;
    case TOKENIZE: answer_about(s, x, about_tokenize, true); break;
    case DETOKENIZE: answer_about(s, x, about_detokenize, true); break;
    case PAGE: answer_page(x); break;
    case PIPELINE: answer_pipeline(s, x); break;
    default: answer_about(s, x, about_models, false); break;
    }
    exchange_end(x);
}

static void refuse(struct exchange *x, int status, const char *code, const char *sentence)
{
    reply_error(x, status, code, "%s", sentence);
    exchange_end(x);
}

static void on_moved(void *user)
{
    struct server *s = user;
    pthread_mutex_lock(&s->lock);
    if (s->fleet) fleet_wake(s->fleet);
    pthread_mutex_unlock(&s->lock);
}

static struct hash128 owner_hash(const struct server *s, size_t owner)
{
    const char *key = s->keys.n ? s->keys.key[owner] : "";
    return hash128(key, strlen(key));
}

static void answer_files(struct server *s, struct exchange *x, size_t owner)
{
    const bool news = file_call(x, s->store, owner_hash(s, owner));
    exchange_end(x);
    if (news) on_moved(s);
}

static void on_arrived(void *user, struct exchange *x)
{
    struct server *s = user;
    const struct place *p = find_place(exchange_path(x));
    const bool head = !strcmp(exchange_method(x), "HEAD"), file = is_file_path(exchange_path(x));
    size_t owner;
    allow_origin(s, x);
    if (!strcmp(exchange_method(x), "OPTIONS") && (p || file) && s->setup.cors) { /* a browser asks whether it may, and says no key */
        exchange_answer(x, 204, NULL, NULL, 0);
        exchange_end(x);
    } else if (file) {
        if (may_ask(s, x, &owner)) answer_files(s, x, owner);
        else refuse(x, 401, "invalid_api_key", KEY_WANTED);
    } else if (!p) {
        refuse(x, 404, "not_found", "there is nothing at this path");
    } else if (strcmp(exchange_method(x), p->method) && !(head && !strcmp(p->method, "GET"))) {
        exchange_header(x, "Allow", p->method);
        refuse(x, 405, "method_not_allowed", "this path is not asked in this way");
    } else if (!may_ask(s, x, &owner) && !p->open) {
        refuse(x, 401, "invalid_api_key", KEY_WANTED);
    } else if (p->what >= CHAT) {
        post_words(s, x, owner, p->what);
    } else {
        answer_now(s, x, p);
    }
}

/* ---- opening, turning, closing ---- */

int server_open(struct server **out, const struct server_setup *setup, struct err *why)
{
    struct server *s = *out = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for a server");
    s->setup = *setup;
    s->last_mail = &s->mail;
    s->begun = (uint64_t)time(NULL);
    pthread_mutex_init(&s->lock, NULL);
    const struct http_setup http = {.address = setup->address, .port = setup->port, .body_most = BODY_MOST, .bodies_most = BODIES_MOST,
                                    .connections = CONNECTIONS, .connections_each = CONNECTIONS_EACH, .seconds = REQUEST_SECONDS,
                                    .arrived = on_arrived, .moved = on_moved, .error_body = reply_error_body, .user = s};
    int code = setup->keys_file ? read_keys(&s->keys, setup->keys_file, why) : 0;
    if (!code) code = metrics_open(&s->metrics, setup->metrics_as_vllm, why);
    if (!code && setup->store) code = store_open(&s->store, setup->store, setup->store_most, why);
    if (!code) code = fair_open(&s->fair, s->keys.n ? s->keys.n : 1, why);
    if (!code) code = http_open(&s->http, &http, why);
    if (code) server_close(out);
    return code;
}

uint16_t server_port(const struct server *s)
{
    return http_port(s->http);
}

int server_ready(struct server *s, const struct call_setup *calls, struct err *why)
{
    if (s->store) TRY(batches_open(&s->batches, s->store, calls, why));
    pthread_mutex_lock(&s->lock);
    s->calls = calls;
    s->fleet = calls->fleet;
    s->ready = true;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static void forget_call(struct server *s, size_t owner)
{
    fair_done(s->fair, owner);
    pthread_mutex_lock(&s->lock);
    s->n_calls--;
    pthread_mutex_unlock(&s->lock);
}

/* What is shared with others is shared among the requests of one key alone: by its time an answer would tell what others ask. */
static void begin_call(struct server *s, const struct mail *m)
{
    struct under_way *u = calloc(1, sizeof *u);
    const char *key = s->keys.n ? s->keys.key[m->owner] : NULL;
    const struct call_origin from = {.chat = m->chat, .response = m->response, .salt = key ? hash64(key, strlen(key)) : 0, .came_ns = m->came_ns, .metrics = s->metrics};
    struct call *c = u ? call_begin(s->calls, m->x, &from) : NULL;
    if (c) {
        *u = (struct under_way){.next = s->calls_under_way, .call = c, .owner = m->owner};
        s->calls_under_way = u;
        fair_charge(s->fair, m->owner, call_numbers(c)->prompt_tokens, 0);
        return;
    }
    if (!u) refuse_words(s, m->x, 503, "unavailable");
    free(u);
    forget_call(s, m->owner);
}

static bool reader_is_gone(void *item)
{
    const struct mail *m = item;
    return exchange_is_gone(m->x);
}

static void drop_gone(struct server *s)
{
    size_t owner;
    for (struct mail *m; (m = fair_drop(s->fair, reader_is_gone, &owner));) {
        const struct call_numbers gone = {.came_ns = m->came_ns, .asked_ns = clock_ns(), .done_ns = clock_ns(), .cancelled = true};
        metrics_count(s->metrics, &gone);
        exchange_break(m->x);
        exchange_end(m->x);
        free(m);
        pthread_mutex_lock(&s->lock);
        s->n_calls--;
        pthread_mutex_unlock(&s->lock);
    }
}

/* As many as keep the pipeline busy: whose turn it is then is decided as late as can be. */
static void begin_calls(struct server *s)
{
    while (fair_waiting(s->fair) && fleet_unanswered(s->calls->fleet) - batches_under_way(s->batches) < s->calls->at_once) {
        size_t owner;
        struct mail *m = fair_take(s->fair, &owner);
        begin_call(s, m);
        free(m);
    }
}

static int take_mail(struct server *s, struct err *why)
{
    int code = 0;
    pthread_mutex_lock(&s->lock);
    struct mail *m = s->mail;
    s->mail = NULL;
    s->last_mail = &s->mail;
    pthread_mutex_unlock(&s->lock);
    while (m) {
        struct mail *next = m->next;
        m->next = NULL;
        if (!code) code = fair_put(s->fair, m->owner, m, why);
        if (code) exchange_break(m->x), exchange_end(m->x), free(m);
        m = next;
    }
    return code;
}

static void end_calls(struct server *s)
{
    const uint64_t now = clock_ns();
    uint32_t n = 0;
    for (struct under_way *u = s->calls_under_way; u; u = u->next) {
        const uint64_t made = call_numbers(u->call)->made;
        fair_charge(s->fair, u->owner, 0, made - u->charged);
        u->charged = made;
    }
    for (struct under_way **at = &s->calls_under_way; *at;) {
        struct under_way *u = *at;
        if (!call_is_over(u->call, now)) {
            at = &u->next;
            n++;
            continue;
        }
        metrics_count(s->metrics, call_numbers(u->call));
        call_end(u->call, false);
        *at = u->next;
        forget_call(s, u->owner);
        free(u);
    }
    const struct engine_totals totals = fleet_totals(s->calls->fleet);
    metrics_state(s->metrics, n, (uint32_t)fair_waiting(s->fair));
    metrics_pipeline(s->metrics, &totals);
}

/* True: somebody looks, so the engine should not sleep long. */
static bool show_pipeline(struct server *s)
{
    const uint64_t now = clock_ns();
    pthread_mutex_lock(&s->lock);
    const bool looks = s->looked_ns && now - s->looked_ns < LOOKS_FOR_NS;
    const uint32_t running = s->n_calls;
    pthread_mutex_unlock(&s->lock);
    if (!looks || now - s->shown_ns < LOOK_NS) return looks;
    size_t n = 0;
    char *text = s->setup.pipeline(s->setup.user, running, &n);
    s->shown_ns = now;
    pthread_mutex_lock(&s->lock);
    if (text) {
        free(s->pipeline);
        s->pipeline = text;
        s->pipeline_n = n;
    }
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* Sequences that nobody wants; a line or two more keep them busy between one answer and the next. */
static uint32_t room_for_batches(const struct server *s)
{
    const uint32_t asked = fleet_unanswered(s->calls->fleet), most = s->calls->sequences + 1;
    return fair_waiting(s->fair) || asked >= most ? 0 : most - asked;
}

int server_turn(struct server *s, int timeout_ms, struct err *why)
{
    TRY(take_mail(s, why));
    drop_gone(s);
    begin_calls(s);
    if (s->batches) batches_feed(s->batches, room_for_batches(s));
    const bool looks = show_pipeline(s);
    TRY(fleet_turn(s->calls->fleet, looks && timeout_ms > LOOK_MS ? LOOK_MS : timeout_ms, why));
    if (s->batches) batches_settle(s->batches);
    end_calls(s);
    return 0;
}

bool server_drain(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    const bool first = !s->draining;
    s->draining = true;
    pthread_mutex_unlock(&s->lock);
    if (first) http_stop_listening(s->http);
    if (first && s->batches) batches_put_away(s->batches);
    pthread_mutex_lock(&s->lock);
    const bool idle = !s->n_calls;
    pthread_mutex_unlock(&s->lock);
    return idle;
}

void server_give_up(struct server *s, const struct err *why)
{
    struct err told = *why;
    if (!why->code) fail(&told, E_INTERRUPTED, "the server was told to end");
    server_drain(s);
    pthread_mutex_lock(&s->lock);
    s->fleet = NULL; /* nobody wakes it any more */
    pthread_mutex_unlock(&s->lock);
    for (struct under_way *u = s->calls_under_way; u; u = u->next) call_give_up(u->call, &told);
}

void server_close(struct server **ps)
{
    struct server *s = *ps;
    *ps = NULL;
    if (!s) return;
    for (struct under_way *u; (u = s->calls_under_way);) {
        s->calls_under_way = u->next;
        call_end(u->call, true);
        free(u);
    }
    size_t owner;
    for (struct mail *m; (m = s->fair && fair_waiting(s->fair) ? fair_take(s->fair, &owner) : s->mail);) {
        if (m == s->mail) s->mail = m->next;
        exchange_break(m->x);
        exchange_end(m->x);
        free(m);
    }
    http_close(&s->http, DRAIN_MS);
    batches_close(&s->batches);
    store_close(&s->store);
    metrics_close(&s->metrics);
    fair_close(&s->fair);
    for (size_t i = 0; i < s->keys.n; i++) free(s->keys.key[i]);
    free(s->keys.key);
    free(s->pipeline);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
