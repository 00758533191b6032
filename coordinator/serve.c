/* coordinator/serve.c — see serve.h. The loop itself is serve_run: all that may enter the pipe enters, then one frame
 * is awaited; a RESULT frees its micro-batch and gives its sequences their next row. */
#include "coordinator/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/embed.h"
#include "coordinator/scheduler.h"

#include <stdlib.h>
#include <string.h>

struct server {
    struct pipeline *pipe;
    struct scheduler *scheduler;
    struct request **request; /* by number; NULL when over */
    uint32_t n_requests, room;
    uint32_t *of_slot;        /* number of the request in a slot, UINT32_MAX if none */
    uint32_t unanswered;
    float scale;              /* of embedding rows */
    struct specials specials;
    struct serve_totals totals;
    struct work work;
    struct result result;
};

int serve_open(struct server **out, struct pipeline *p, struct err *why)
{
    struct server *s = calloc(1, sizeof *s);
    const struct capacity *c = &p->plan.capacity;
    if (s) s->of_slot = malloc(c->sequences * sizeof *s->of_slot);
    if (!s || !s->of_slot) {
        free(s);
        return fail(why, E_MEMORY, "no memory for the serve loop");
    }
    memset(s->of_slot, 0xff, c->sequences * sizeof *s->of_slot);
    s->pipe = p;
    s->scale = embed_scale(p->model->config.hidden, p->options->exact_embed_scale);
    s->specials = tokenizer_specials(p->tokens);
    struct scheduler_limits limits = {.slots = c->sequences, .in_flight = c->in_flight, .rows = c->rows, .context = c->context};
    int code = scheduler_open(&s->scheduler, &limits, why);
    if (code) serve_close(&s);
    else *out = s;
    return code;
}

void serve_close(struct server **ps)
{
    struct server *s = *ps;
    if (!s) return;
    scheduler_close(&s->scheduler);
    free(s->request);
    free(s->of_slot);
    free(s);
    *ps = 0;
}

struct serve_totals serve_totals(const struct server *s)
{
    return s->totals;
}

void request_free(struct request *r)
{
    ids_free(&r->ids);
}

/* ---- requests come and go ---- */

static int check_ids(const struct server *s, const struct request *r, size_t from, struct err *why)
{
    uint32_t vocab = s->pipe->model->embedding.rows;
    for (size_t i = from; i < r->ids.n; i++)
        if (r->ids.id[i] >= vocab)
            return fail(why, E_USAGE, "token id %u is not in the vocabulary of %u", r->ids.id[i], vocab);
    return 0;
}

static int begin_turn(struct server *s, struct request *r, struct err *why)
{
    uint32_t context = s->pipe->plan.capacity.context;
    if (r->ids.n == 0) return fail(why, E_USAGE, "an empty prompt has nothing to answer");
    if (r->ids.n > context)
        return fail(why, E_USAGE, "the prompt has %zu tokens, the context holds %u: raise --ctx", r->ids.n, context);
    TRY(check_ids(s, r, r->sent, why));
    r->prompt_rows = (uint32_t)r->ids.n;
    r->made = 0;
    r->finish = FINISH_NOT;
    r->added_ns = clock_ns();
    r->first_ns = r->done_ns = 0;
    s->totals.prompt_rows += r->ids.n - r->sent;
    if (!s->totals.begun_ns) s->totals.begun_ns = r->added_ns;
    s->unanswered++;
    return 0;
}

int serve_add(struct server *s, struct request *r, struct err *why)
{
    if (s->n_requests == s->room) {
        uint32_t room = s->room ? 2 * s->room : 64;
        struct request **more = realloc(s->request, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %u requests", room);
        s->request = more;
        s->room = room;
    }
    r->number = s->n_requests;
    r->sent = 0;
    r->history = HISTORY_EMPTY;
    TRY(begin_turn(s, r, why));
    TRY(schedule_add(s->scheduler, r->number, r->prompt_rows, 0, 0, why));
    s->request[s->n_requests++] = r;
    return 0;
}

int serve_more(struct server *s, struct request *r, struct err *why)
{
    TRY(begin_turn(s, r, why));
    return schedule_more(s->scheduler, r->number, r->prompt_rows - r->sent, 0, 0, why);
}

int serve_drop(struct server *s, struct request *r, struct err *why)
{
    s->request[r->number] = 0;
    return schedule_end(s->scheduler, r->number, why);
}

/* ---- rows out ---- */

static struct segment segment_of(const struct request *r, const struct move *m)
{
    uint32_t flags = (m->start ? SEG_START : 0u) | (m->want_token ? SEG_WANT_TOKEN : 0u);
    if (r->want_scores) flags |= SEG_WANT_LOGITS;
    if (r->want_hash && m->want_token) flags |= SEG_WANT_HASH;
    return (struct segment){.slot = m->slot, .position = m->position, .rows = m->rows, .flags = flags, .request = r->key,
                            .history = r->history, .sampling = r->sampling};
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
        struct request *r = s->request[m->request];
        w->segments[i] = segment_of(r, m);
        if (m->start) s->of_slot[m->slot] = m->request;
        for (uint32_t k = 0; k < m->rows; k++) {
            uint32_t id = r->ids.id[m->position + k];
            w->rows[w->n_rows++] = (struct row){.id = id, .sees = m->position + k};
            r->history = history_after(r->history, id);
        }
        r->sent = m->position + m->rows;
    }
}

static int send_batch(struct server *s, const struct schedule_batch *b, struct err *why)
{
    struct work *w = &s->work;
    struct frame *f = 0;
    uint32_t ids[WIRE_ROWS];
    fill_work(s, b);
    TRY(work_write(&f, w, why));
    for (uint32_t i = 0; i < w->n_rows; i++) ids[i] = w->rows[i].id;
    const struct model *m = s->pipe->model;
    embed_rows(&m->embedding, s->scale, ids, w->n_rows, (float *)(void *)w->activations);
    gguf_forget(m->file, m->embedding.data, m->embedding.rows * block_row_bytes(m->embedding.type, m->embedding.cols));
    s->totals.batches++;
    s->totals.rows += w->n_rows;
    return pipeline_send(s->pipe, 1, &f, why);
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
    if (r->keep) return 0;
    s->request[r->number] = 0;
    return schedule_end(s->scheduler, r->number, why);
}

static int take_token(struct server *s, const struct token *t, struct err *why)
{
    const struct capacity *c = &s->pipe->plan.capacity;
    uint32_t number = t->slot < c->sequences ? s->of_slot[t->slot] : UINT32_MAX;
    struct request *r = number < s->n_requests ? s->request[number] : 0;
    if (!r || r->sent != r->ids.n || t->position + 1 != r->sent)
        return fail(why, E_WIRE, "a token came for slot %u at position %u, where none is awaited", t->slot, t->position);
    if (t->id >= s->pipe->model->embedding.rows) return fail(why, E_WIRE, "a token came with the id %u, the vocabulary has %u", t->id, s->pipe->model->embedding.rows);
    uint64_t now = clock_ns();
    if (!r->first_ns) r->first_ns = s->totals.last_first_ns = now;
    if (r->want_hash && !r->want_scores) r->fingerprint = hash_fold(r->fingerprint, t->hash);
    r->made++;
    s->totals.made++;
    TRY(ids_push(&r->ids, t->id, why));
    if (ends_answer(s, t->id)) return answered(s, r, FINISH_STOP, why);
    if (r->on_token) r->on_token(r, t->id, r->user);
    if (r->made >= r->most) return answered(s, r, FINISH_LENGTH, why);
    if (r->ids.n > c->context) return answered(s, r, FINISH_CONTEXT, why);
    return schedule_more(s->scheduler, r->number, 1, 0, 0, why);
}

static int take_result(struct server *s, struct frame *f, struct err *why)
{
    TRY(result_read(&s->result, f, why));
    TRY(schedule_done(s->scheduler, s->result.batch, why));
    for (uint32_t i = 0; i < s->result.n_tokens; i++) TRY(take_token(s, &s->result.tokens[i], why));
    return 0;
}

static int take_scores(struct server *s, struct frame *f, struct err *why)
{
    struct logits m;
    TRY(logits_read(&m, f, why));
    uint32_t number = m.slot < s->pipe->plan.capacity.sequences ? s->of_slot[m.slot] : UINT32_MAX;
    struct request *r = number < s->n_requests ? s->request[number] : 0;
    if (!r || !r->want_scores || m.position != r->scores_seen || m.n != s->pipe->model->config.vocab)
        return fail(why, E_WIRE, "%u scores came for slot %u at position %u, where none are awaited", m.n, m.slot, m.position);
    r->scores_seen++;
    r->fingerprint = hash_fold(r->fingerprint, m.hash);
    return r->on_scores ? r->on_scores(r, m.position, m.scores, m.n, r->user, why) : 0;
}

static int take_frame(struct server *s, struct frame *f, struct err *why)
{
    bool from_last = f->head.from == s->pipe->stages;
    if (from_last && f->head.type == M_RESULT) return take_result(s, f, why);
    if (from_last && f->head.type == M_LOGITS) return take_scores(s, f, why);
    return fail(why, E_WIRE, "%s came from %s in the middle of a run", message_name(f->head.type), s->pipe->nodes[f->head.from].name);
}

int serve_run(struct server *s, const char *label, struct err *why)
{
    struct progress progress;
    uint32_t total = s->unanswered;
    int code = 0;
    progress_begin(&progress, label ? label : "", "prompts", total);
    while (s->unanswered && !code) {
        struct schedule_batch b;
        while (!code && schedule_next(s->scheduler, &b)) code = send_batch(s, &b, why);
        struct frame *f = 0;
        if (!code) code = pipeline_receive(s->pipe, &f, 1000, why);
        if (!code && f) code = take_frame(s, f, why);
        frame_free(f);
        if (label) progress_at(&progress, total - s->unanswered);
    }
    progress_end(&progress);
    return code;
}
