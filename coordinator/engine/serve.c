/* coordinator/engine/serve.c — see serve.h. The loop itself is serve_run: all that may enter the pipe enters, then one frame
 * is awaited; a RESULT frees its micro-batch and gives its sequences their next row. */
#include "coordinator/engine/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/cluster/remedy.h"
#include "coordinator/engine/embed.h"
#include "coordinator/engine/divided_head.h"
#include "coordinator/engine/scheduler.h"
#include "coordinator/report/trace.h"

#include <stdlib.h>
#include <string.h>

struct requests { /* a growing list */
    struct request **request;
    uint32_t n, room;
};

struct server {
    struct pipeline *pipe;
    struct pictures *pictures;   /* NULL: no encoder */
    struct scheduler *scheduler; /* NULL: no text model */
    struct divided_head *head;     /* NULL: the head is whole */
    struct requests all;         /* by number; NULL when over */
    struct requests waiting;     /* for their pictures, in the order they came */
    uint32_t *of_slot;        /* number of the request in a slot, UINT32_MAX if none */
    uint32_t unanswered;
    float scale;              /* of embedding rows */
    struct specials specials;
    struct serve_totals totals;
    struct work work;
    struct result result;
};

static int send_to_worker(void *user, int worker, struct frame **f, struct err *why)
{
    return pipeline_send(user, worker, f, why);
}

static const char *name_of_worker(void *user, int worker)
{
    const struct pipeline *p = user;
    return p->crew[worker]->name;
}

static int open_text(struct server *s, struct err *why)
{
    const struct capacity *c = &s->pipe->plan.capacity;
    s->of_slot = malloc(c->sequences * sizeof *s->of_slot);
    if (!s->of_slot) return fail(why, E_MEMORY, "no memory for the serve loop");
    memset(s->of_slot, 0xff, c->sequences * sizeof *s->of_slot);
    s->scale = embed_scale(s->pipe->model->config.hidden, s->pipe->wish.exact_embed_scale);
    s->specials = tokenizer_specials(s->pipe->tokens);
    struct scheduler_limits limits = {.slots = c->sequences, .in_flight = c->in_flight, .rows = c->rows,
                                      .context = c->context, .stages = (uint32_t)plan_stages(&s->pipe->plan)};
    for (uint32_t i = 0; i < limits.stages; i++)
        if (s->pipe->offers[i].threads > (int)limits.threads) limits.threads = (uint32_t)s->pipe->offers[i].threads;
    const struct divided_head_setup setup = {
        .plan = &s->pipe->plan, .config = &s->pipe->model->config,
        .send = send_to_worker, .name = name_of_worker, .user = s->pipe,
    };
    TRY(divided_head_open(&s->head, &setup, why));
    return scheduler_open(&s->scheduler, &limits, why);
}

int serve_open(struct server **out, struct pipeline *p, struct err *why)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for the serve loop");
    s->pipe = p;
    int code = p->encoder ? pictures_open(&s->pictures, p, why) : 0;
    if (!code && p->model) code = open_text(s, why);
    if (code) serve_close(&s);
    else *out = s;
    return code;
}

void serve_close(struct server **ps)
{
    struct server *s = *ps;
    if (!s) return;
    scheduler_close(&s->scheduler);
    divided_head_close(&s->head);
    pictures_close(&s->pictures);
    free(s->all.request);
    free(s->waiting.request);
    free(s->of_slot);
    free(s);
    *ps = 0;
}

struct pictures *serve_pictures(struct server *s)
{
    return s->pictures;
}

void serve_forget(struct server *s, struct request *r)
{
    for (size_t i = 0; r->holds && i < r->spans.n; i++) pictures_release(s->pictures, (uint32_t)r->spans.span[i].picture);
    r->holds = false;
    picture_spans_free(&r->spans);
    ids_free(&r->ids);
}

struct serve_totals serve_totals(const struct server *s)
{
    return s->totals;
}

/* ---- requests come and go ---- */

static int put(struct requests *list, struct request *r, struct err *why)
{
    if (list->n == list->room) {
        uint32_t room = list->room ? 2 * list->room : 64;
        struct request **more = realloc(list->request, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %u requests", room);
        list->request = more;
        list->room = room;
    }
    list->request[list->n++] = r;
    return 0;
}

/* The span that holds this place, or NULL. */
static const struct picture_span *span_at(const struct request *r, size_t place)
{
    for (size_t i = 0; i < r->spans.n; i++) {
        const struct picture_span *p = &r->spans.span[i];
        if (place >= p->first && place < p->first + p->n) return p;
    }
    return 0;
}

static int check_ids(const struct server *s, const struct request *r, size_t from, struct err *why)
{
    uint32_t vocab = s->pipe->model->embedding.rows;
    for (size_t i = from; i < r->ids.n; i++)
        if (r->ids.id[i] >= vocab && !span_at(r, i))
            return fail(why, E_USAGE, "token id %u is not in the vocabulary of %u", r->ids.id[i], vocab);
    return 0;
}

static int begin_turn(struct server *s, struct request *r, struct err *why)
{
    uint32_t context = s->pipe->plan.capacity.context;
    if (r->ids.n == 0) return fail(why, E_USAGE, "an empty prompt has nothing to answer");
    if (r->ids.n > context)
        return fail_about(why, ABOUT_CONTEXT, E_USAGE, "the prompt has %zu tokens, the context holds %u", r->ids.n, context);
    TRY(check_ids(s, r, r->sent, why));
    TRY(put(&s->waiting, r, why));
    r->prompt_rows = (uint32_t)r->ids.n;
    r->made = 0;
    r->finish = FINISH_NOT;
    r->added_ns = clock_ns();
    r->first_ns = r->done_ns = 0;
    s->totals.prompt_rows += r->ids.n - r->sent;
    if (!s->totals.begun_ns) s->totals.begun_ns = r->added_ns;
    s->unanswered++;
    trace_request_begins(s->pipe->trace, r);
    return 0;
}

int serve_add(struct server *s, struct request *r, struct err *why)
{
    r->sent = 0;
    r->scheduled = false;
    r->history = HISTORY_EMPTY;
    return begin_turn(s, r, why);
}

int serve_more(struct server *s, struct request *r, struct err *why)
{
    return begin_turn(s, r, why);
}

int serve_drop(struct server *s, struct request *r, struct err *why)
{
    s->all.request[r->number] = 0;
    r->scheduled = false;
    return schedule_end(s->scheduler, r->number, why);
}

static bool pictures_are_there(const struct server *s, const struct request *r)
{
    for (size_t i = 0; i < r->spans.n; i++)
        if (!pictures_rows(s->pictures, (uint32_t)r->spans.span[i].picture)) return false;
    return true;
}

/* Hands the request's new rows to the scheduler; what is a picture must travel in one piece. */
static int schedule(struct server *s, struct request *r, struct err *why)
{
    struct span *spans = calloc(r->spans.n + 1, sizeof *spans);
    uint32_t n = 0;
    if (!spans) return fail(why, E_MEMORY, "no memory for the pictures of a prompt");
    for (size_t i = 0; i < r->spans.n; i++)
        if (r->spans.span[i].first >= r->sent)
            spans[n++] = (struct span){(uint32_t)r->spans.span[i].first - r->sent, (uint32_t)r->spans.span[i].n};
    int code;
    if (r->scheduled) {
        code = schedule_more(s->scheduler, r->number, r->prompt_rows - r->sent, spans, n, why);
    } else {
        r->number = s->all.n;
        code = put(&s->all, r, why);
        if (!code) code = schedule_add(s->scheduler, r->number, r->prompt_rows, spans, n, why);
        r->scheduled = !code;
    }
    free(spans);
    return code;
}

static int schedule_waiting_requests(struct server *s, struct err *why)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->waiting.n; i++) {
        struct request *r = s->waiting.request[i];
        if (!pictures_are_there(s, r)) {
            s->waiting.request[left++] = r;
            continue;
        }
        trace_request_goes(s->pipe->trace, r);
        TRY(schedule(s, r, why));
    }
    s->waiting.n = left;
    return 0;
}

/* ---- rows out ---- */

static struct segment segment_of(const struct request *r, const struct move *m)
{
    uint32_t flags = m->start ? SEG_START : 0u;
    if (r->want_scores) flags |= SEG_WANT_LOGITS;
    if (r->want_hash && m->want_token) flags |= SEG_WANT_HASH;
    return (struct segment){.slot = m->slot, .position = m->position, .rows = m->rows, .flags = flags, .wanted = m->want_token, .request = r->key,
                            .history = r->history, .sampling = r->sampling};
}

static struct row row_of(const struct server *s, const struct request *r, uint32_t position)
{
    const struct picture_span *p = r->spans.n ? span_at(r, position) : 0;
    if (!p) return (struct row){.id = r->ids.id[position], .sees = position};
    return (struct row){.id = pictures_row_id(s->pictures, (uint32_t)p->picture, position - (uint32_t)p->first),
                        .sees = (uint32_t)(p->first + p->n - 1)};
}

/* Embedding rows are scaled, a picture's rows are not: docs/MODEL.md, "Forward pass". */
static void fill_rows(const struct server *s, const struct schedule_batch *b, float *out)
{
    const struct model *m = s->pipe->model;
    const size_t hidden = m->config.hidden;
    for (uint32_t i = 0; i < b->n_moves; i++) {
        const struct move *v = &b->moves[i];
        const struct request *r = s->all.request[v->request];
        for (uint32_t k = 0; k < v->rows; k++, out += hidden) {
            uint32_t at = v->position + k;
            const struct picture_span *p = r->spans.n ? span_at(r, at) : 0;
            if (p) memcpy(out, pictures_rows(s->pictures, (uint32_t)p->picture) + (at - p->first) * hidden, hidden * sizeof *out);
            else embed_rows(&m->embedding, s->scale, &r->ids.id[at], 1, out);
        }
    }
    gguf_forget(m->file, m->embedding.data, m->embedding.rows * block_row_bytes(m->embedding.type, m->embedding.cols));
}

static void fill_work(struct server *s, const struct schedule_batch *b)
{
    struct work *w = &s->work;
    w->batch = b->id;
    w->n_segments = b->n_moves;
    w->n_rows = 0;
    w->dtype = WIRE_F32;
    w->cols = s->pipe->model->config.hidden;
    for (uint32_t i = 0; i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        struct request *r = s->all.request[m->request];
        w->segments[i] = segment_of(r, m);
        if (m->start) s->of_slot[m->slot] = m->request;
        for (uint32_t k = 0; k < m->rows; k++) {
            struct row row = row_of(s, r, m->position + k);
            w->rows[w->n_rows++] = row;
            r->history = history_after(r->history, row.id);
        }
        r->sent = m->position + m->rows;
    }
}

static int send_batch(struct server *s, const struct schedule_batch *b, struct err *why)
{
    struct work *w = &s->work;
    struct frame *f = 0;
    fill_work(s, b);
    TRY(work_write(&f, w, why));
    fill_rows(s, b, (float *)(void *)w->activations);
    s->totals.batches++;
    s->totals.rows += w->n_rows;
    trace_batch_sent(s->pipe->trace, b, s->all.request);
    return pipeline_send(s->pipe, route_first(plan_text_route(&s->pipe->plan)), &f, why);
}

/* ---- tokens in ---- */

static bool ends_answer(const struct server *s, uint32_t id)
{
    return (int32_t)id == s->specials.end_of_turn || (int32_t)id == s->specials.eos;
}

static int answered(struct server *s, struct request *r, enum finish how, struct err *why)
{
    r->finish = how;
    r->done_ns = clock_ns();
    s->totals.ended_ns = r->done_ns;
    s->unanswered--;
    trace_request_ends(s->pipe->trace, r);
    if (r->keep) return 0;
    s->all.request[r->number] = 0;
    return schedule_end(s->scheduler, r->number, why);
}

static int take_token(struct server *s, const struct token *t, struct err *why)
{
    const struct capacity *c = &s->pipe->plan.capacity;
    uint32_t number = t->slot < c->sequences ? s->of_slot[t->slot] : UINT32_MAX;
    struct request *r = number < s->all.n ? s->all.request[number] : 0;
    if (!r || r->sent != r->ids.n || t->position + 1 != r->sent)
        return fail(why, E_WIRE, "a token came for slot %u at position %u, where none is awaited", t->slot, t->position);
    if (t->id >= s->pipe->model->embedding.rows) return fail(why, E_WIRE, "a token came with the id %u, the vocabulary has %u", t->id, s->pipe->model->embedding.rows);
    uint64_t now = clock_ns();
    if (!r->first_ns) {
        r->first_ns = s->totals.last_first_ns = now;
        trace_first_token(s->pipe->trace, r);
    }
    if (r->want_hash && !r->want_scores) r->fingerprint = hash_fold(r->fingerprint, t->hash);
    r->made++;
    s->totals.made++;
    TRY(ids_push(&r->ids, t->id, why));
    if (!r->run_on && ends_answer(s, t->id)) return answered(s, r, FINISH_STOP, why);
    if (r->on_token) r->on_token(r, t->id, r->user);
    if (r->made >= r->most) return answered(s, r, FINISH_LENGTH, why);
    if (r->ids.n > c->context) return answered(s, r, FINISH_CONTEXT, why);
    return schedule_more(s->scheduler, r->number, 1, 0, 0, why);
}

/* A token that is missing would be waited for without end. */
static int check_count(const struct server *s, const struct result *m, struct err *why)
{
    const struct schedule_batch *b = schedule_find(s->scheduler, m->batch);
    uint32_t wanted = 0;
    for (uint32_t i = 0; b && i < b->n_moves; i++) wanted += b->moves[i].want_token;
    if (b && m->n_tokens != wanted)
        return fail(why, E_WIRE, "%u tokens came back with micro-batch %llu, which wants %u", m->n_tokens, (unsigned long long)m->batch, wanted);
    return 0;
}

/* s->result is there. */
static int took_result(struct server *s, struct err *why)
{
    TRY(check_count(s, &s->result, why));
    TRY(schedule_done(s->scheduler, s->result.batch, why));
    trace_batch_back(s->pipe->trace, s->result.batch);
    for (uint32_t i = 0; i < s->result.n_tokens; i++) TRY(take_token(s, &s->result.tokens[i], why));
    return 0;
}

static int take_result(struct server *s, struct frame *f, struct err *why)
{
    TRY(result_read(&s->result, f, why));
    return took_result(s, why);
}

static int take_scored(struct server *s, int worker, struct frame *f, struct err *why)
{
    bool done;
    TRY(divided_head_take(s->head, worker, f, &done, &s->result, why));
    return done ? took_result(s, why) : 0;
}

static int take_scores(struct server *s, struct frame *f, struct err *why)
{
    struct logits m;
    TRY(logits_read(&m, f, why));
    uint32_t number = m.slot < s->pipe->plan.capacity.sequences ? s->of_slot[m.slot] : UINT32_MAX;
    struct request *r = number < s->all.n ? s->all.request[number] : 0;
    if (!r || !r->want_scores || m.position != r->scores_seen || m.n != s->pipe->model->config.vocab)
        return fail(why, E_WIRE, "%u scores came for slot %u at position %u, where none are awaited", m.n, m.slot, m.position);
    r->scores_seen++;
    r->fingerprint = hash_fold(r->fingerprint, m.hash);
    return r->on_scores ? r->on_scores(r, m.position, m.scores, m.n, r->user, why) : 0;
}

static int take_frame(struct server *s, const struct member *who, struct frame *f, struct err *why)
{
    if (f->head.type == M_SEEN && s->pictures) return pictures_take(s->pictures, who->worker, f, why);
    bool from_last = who->worker == route_last(plan_text_route(&s->pipe->plan));
    if (s->head && from_last && f->head.type == M_SCORE) return divided_head_ask(s->head, f, why);
    if (s->head && f->head.type == M_SCORED) return take_scored(s, who->worker, f, why);
    if (from_last && f->head.type == M_RESULT) return take_result(s, f, why);
    if (from_last && f->head.type == M_LOGITS) return take_scores(s, f, why);
    return fail(why, E_WIRE, "%s came from %s in the middle of a run", message_name(f->head.type), who->name);
}

/* All that may enter the pipes enters; then one frame is awaited. */
static int step(struct server *s, struct err *why)
{
    struct schedule_batch b;
    if (s->pictures) TRY(pictures_send(s->pictures, why));
    if (s->waiting.n) TRY(schedule_waiting_requests(s, why));
    while (s->scheduler && schedule_next(s->scheduler, &b)) TRY(send_batch(s, &b, why));
    struct event e;
    TRY(roster_next(s->pipe->roster, &e, 1000, why));
    int code = remedy_or_fail(&e, why);
    if (!code && e.kind == EVENT_FRAME) code = take_frame(s, e.who, e.frame, why);
    event_free(&e);
    return code;
}

int serve_run(struct server *s, const char *label, struct err *why)
{
    struct progress progress;
    uint32_t total = s->unanswered;
    int code = 0;
    progress_begin(&progress, label ? label : "", "prompts", total);
    while (s->unanswered && !code) {
        code = step(s, why);
        if (label) progress_at(&progress, total - s->unanswered);
    }
    progress_end(&progress);
    return code;
}

int serve_look(struct server *s, struct err *why)
{
    while (pictures_underway(s->pictures)) TRY(step(s, why));
    return 0;
}
