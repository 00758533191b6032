/* coordinator/engine/engine.c — see engine.h: how asks come, wait, and go. rows_out.c sends rows, answers_in.c takes what comes back.
 *
 * One turn: pictures enter the encoder ─► asks whose pictures are there are scheduled ─► who must give up a slot leaves ─►
 * rows enter the pipe ─► one event is awaited and dealt with ─► those who have left are told.
 *
 * Nothing is freed while a listener speaks with us: a cancelled ask only changes its state, and is told in the turn's last
 * step. So listeners may ask and cancel as they like.
 *
 * Costs: a turn walks over the slots, a few times, and not over those who wait for one. */
#include "coordinator/engine/live.h"

#include "coordinator/cluster/recover.h"
#include "coordinator/engine/embed.h"
#include "transport/wire/sampling.h"

#include <stdlib.h>

/* ---- opening and closing ---- */

static int send_to_worker(void *user, int worker, struct frame **f, struct err *why)
{
    return pipeline_send(((struct engine *)user)->pipe, worker, f, why);
}

static const char *name_of_worker(void *user, int worker)
{
    return ((struct engine *)user)->pipe->crew[worker]->name;
}

/* A slot keeps its ask until all that is under way has come home. */
static uint32_t id_in_slot(void *user, uint32_t slot, uint32_t position)
{
    const struct engine *e = user;
    const struct live *a = e->in_slot[slot];
    return a && position < a->ids.n ? row_id_at(e, a, position) : 0;
}

struct pages_limits engine_pool(const struct pipeline *p, struct pages_stage stage[STAGES_MOST])
{
    const struct model_config *c = &p->model->config;
    const struct capacity *cap = &p->plan.capacity;
    const struct route *route = plan_text_route(&p->plan);
    struct pages_limits limits = {.slots = cap->sequences, .context = cap->context, .window = c->window, .ring = 1, .stages = stage,
                                  .n_stages = route->n};
    for (uint32_t i = 0; i < limits.n_stages; i++) {
        const struct part part = p->plan.of[route->worker[i]].part[CHAIN_TEXT];
        stage[i] = (struct pages_stage){.pool = kv_pool_pages(c, part, cap)};
        for (uint32_t layer = part.first; layer < part.end; layer++) {
            const bool global = layer_is_global(c, layer);
            stage[i].global += global;
            stage[i].local += !global;
            if (!global) limits.ring = kv_pages(c, layer, cap);
        }
    }
    return limits;
}

int engine_open_text(struct engine *e, struct err *why)
{
    const struct pipeline *p = e->pipe;
    const struct capacity *c = &p->plan.capacity;
    struct scheduler_limits limits = {.slots = c->sequences, .in_flight = c->in_flight, .rows = c->rows, .context = c->context,
                                      .stages = (uint32_t)plan_stages(&p->plan)};
    const struct divided_head_setup head = {.plan = &p->plan, .config = &p->model->config, .send = send_to_worker,
                                            .name = name_of_worker, .id = id_in_slot, .scores = answer_scores, .user = e};
    for (uint32_t i = 0; i < limits.stages; i++) {
        const uint32_t quarters = piece_quarters(p->offers[i].measured, p->offers[i].threads);
        if (quarters > limits.piece_quarters) limits.piece_quarters = quarters;
    }
    limits.first_batch = e->totals.batches;
    e->slots = c->sequences;
    e->route = plan_text_route(&p->plan);
    e->in_slot = calloc(e->slots, sizeof *e->in_slot);
    e->kept = calloc(e->slots, sizeof *e->kept);
    if (!e->in_slot || !e->kept) return fail(why, E_MEMORY, "no memory for %u sequences", e->slots);
    e->scale = embed_scale(p->model->config.hidden, e->setup.exact_embed_scale);
    TRY(divided_head_open(&e->head, &head, why));
    struct pages_stage stage[STAGES_MOST];
    const struct pages_limits pool = engine_pool(p, stage);
    TRY(pages_open(&e->pages, &pool, why));
    limits.pages = e->pages;
    TRY(scheduler_open(&e->scheduler, &limits, why));
    schedule_reading(e->scheduler, reading_rows(p->offers[0].measured));
    return 0;
}

void engine_close_text(struct engine *e)
{
    scheduler_close(&e->scheduler);
    pages_close(&e->pages);
    divided_head_close(&e->head);
    free(e->in_slot);
    free(e->kept);
    e->in_slot = NULL;
    e->kept = NULL;
}

int engine_open(struct engine **out, const struct engine_setup *setup, struct err *why)
{
    struct engine *e = *out = calloc(1, sizeof *e);
    if (!e) return fail(why, E_MEMORY, "no memory for the engine");
    e->setup = *setup;
    e->pipe = setup->pipe;
    e->clock = roster_clock(e->pipe->roster);
    e->deadline_ns = UINT64_MAX;
    e->watchers.replica = setup->replica;
    e->numbers = setup->beside ? setup->beside->numbers : &e->next_number;
    int code = !e->pipe->encoder ? 0 : pictures_open(&e->pictures, e->pipe, &e->watchers, setup->beside ? setup->beside->pictures : NULL, why);
    if (!code && e->pipe->model && !e->setup.no_prefix_reuse) code = beginnings_open(&e->beginnings, why);
    if (!code && e->pipe->model) code = engine_open_text(e, why);
    if (!code) code = verify_join(e, setup->beside ? setup->beside->verify : NULL, why);
    e->epoch = e->pipe->epoch;
    e->whole = e->pipe->whole;
    e->losses = e->pipe->losses;
    if (code) engine_close(out);
    return code;
}

void engine_close(struct engine **pe)
{
    struct engine *e = *pe;
    if (!e) return;
    fail(&e->over, E_INTERNAL, "the engine is being closed");
    while (e->first) live_finish(e, e->first, FINISH_CANCELLED, NULL);
    verify_leave(e);
    kept_forget_all(e);
    engine_close_text(e);
    beginnings_close(&e->beginnings);
    pictures_close(&e->pictures);
    free(e->work.biases);
    free(e->work.masks);
    free(e);
    *pe = NULL;
}

struct pictures *engine_pictures(struct engine *e)
{
    return e->pictures;
}

struct engine_totals engine_totals(const struct engine *e)
{
    struct engine_totals t = e->totals;
    t.epoch = e->pipe->epoch;
    t.losses = e->pipe->losses;
    t.verified = verify_counts(e->verify);
    t.pages_used = e->pages ? pages_used(e->pages) : 0;
    return t;
}

uint32_t engine_unanswered(const struct engine *e)
{
    return e->n_live;
}

bool engine_is_busy(const struct engine *e)
{
    return e->n_live || verify_pending(e);
}

void engine_watch(struct engine *e, watcher *watch, void *user)
{
    struct watchers *w = &e->watchers;
    if (w->n == WATCHERS_MOST) return;
    w->watch[w->n] = watch;
    w->user[w->n++] = user;
}

void engine_tell(const struct engine *e, enum happening what, const struct live *a, uint32_t amount)
{
    const struct happened h = {.what = what, .at_ns = clock_now(e->clock), .number = a->number, .asked_ns = a->asked_ns,
                               .first_ns = a->first_ns, .asked_rows = (uint32_t)a->ids.n - a->made, .reused_rows = a->reused,
                               .amount = amount, .spans = a->spans.span, .n = a->spans.n};
    if (!a->ask.again) tell_watchers(&e->watchers, &h);
}

void engine_wake(struct engine *e)
{
    roster_wake(e->pipe->roster);
}

/* ---- an ask comes ---- */

static int check_length(const struct engine *e, const struct ask *a, struct err *why)
{
    const uint32_t context = e->pipe->plan.capacity.context;
    if (!e->scheduler) return fail(why, E_USAGE, "there is no text model to ask");
    if (!a->n) return fail(why, E_USAGE, "an empty prompt has nothing to answer");
    if (!a->most && !a->judged) return fail(why, E_USAGE, "an answer of no tokens was asked for");
    if (a->n - (a->judged > 0) > context)
        return fail_about(why, ABOUT_CONTEXT, E_USAGE, "the prompt has %zu tokens, the context holds %u", a->n, context);
    return 0;
}

static int check_spans(const struct engine *e, const struct ask *a, struct err *why)
{
    const uint32_t rows = e->pipe->plan.capacity.rows;
    size_t end = 0;
    for (size_t i = 0; i < a->n_spans; i++) {
        const struct picture_span *s = &a->spans[i];
        if (!e->pictures) return fail(why, E_USAGE, "a prompt with a picture needs a picture encoder");
        if (s->first < end || s->first >= a->n || !s->n || s->n > a->n - s->first)
            return fail(why, E_USAGE, "picture %zu of a prompt does not lie within its %zu tokens, behind the one before", i + 1, a->n);
        if (s->n > rows) return fail(why, E_USAGE, "a picture has %zu rows, a micro-batch holds %u", s->n, rows);
        end = s->first + s->n;
    }
    return 0;
}

static int check_drawn(const struct ask *a, struct err *why)
{
    if (!a->drawn || (a->drawn < a->n - a->judged && !a->n_spans)) return 0;
    return fail(why, E_USAGE, "%u rows of a prompt of %zu cannot be drawn: something must follow them, and no picture be there", a->drawn, a->n);
}

static int check_judged(const struct engine *e, const struct ask *a, struct err *why)
{
    const struct picture_span *last = a->n_spans ? &a->spans[a->n_spans - 1] : NULL;
    const uint32_t rows = e->pipe->plan.capacity.rows;
    if (!a->judged) return 0;
    if (a->judged >= a->n || (last && last->first + last->n > a->n - a->judged))
        return fail(why, E_USAGE, "%u ids are to be judged, of %zu, and only words behind others can be", a->judged, a->n);
    if (rows <= WIRE_SEGMENTS) return 0;
    return fail(why, E_USAGE, "ids can be judged where a micro-batch has %d rows at most, and it has %u", WIRE_SEGMENTS, rows);
}

/* Spans are in order. */
static int check_ids(const struct engine *e, const struct ask *a, struct err *why)
{
    const uint32_t vocab = e->pipe->model->embedding.rows;
    size_t span = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (span < a->n_spans && i >= a->spans[span].first) {
            i = a->spans[span].first + a->spans[span].n - 1;
            span++;
        } else if (a->ids[i] >= vocab) {
            return fail(why, E_USAGE, "token id %u is not in the vocabulary of %u", a->ids[i], vocab);
        }
    }
    return 0;
}

static int check_sampling(const struct ask *a, struct err *why)
{
    if (!a->judged && sampling_check(&a->sampling, why)) return why->code = E_USAGE;
    if (a->begun > a->n) return fail(why, E_USAGE, "an answer of %zu tokens goes on, of %zu that are asked with", a->begun, a->n);
    if (a->top > WIRE_ALTERNATIVES)
        return fail(why, E_USAGE, "%u alternatives to a token were asked for; there are %d", a->top, WIRE_ALTERNATIVES);
    return 0;
}

static int copy_lists(const struct engine *e, struct live *l, const struct ask *a, struct err *why)
{
    const int32_t ends[] = {e->setup.end_of_turn, e->setup.eos};
    const uint32_t context = e->pipe->plan.capacity.context, most = a->most < context ? a->most : context;
    TRY(biases_wish(&l->biases, &a->wish, e->pipe->model->embedding.rows, ends, 2, most + (uint32_t)a->begun, why));
    for (size_t i = a->n - a->begun; i < a->n; i++) TRY(biases_say(&l->biases, a->ids[i], why));
    for (size_t i = 0; i < a->n - (a->judged > 0); i++) TRY(ids_push(&l->ids, a->ids[i], why));
    for (size_t i = 0; i < a->n_spans; i++) TRY(picture_spans_add(&l->spans, a->spans[i], why));
    return 0;
}

void live_needs(struct engine *e, struct live *a, uint32_t rows)
{
    const struct picture_span *s = a->spans.span;
    for (; a->shown < a->spans.n && s[a->shown].first + s[a->shown].n <= rows; a->shown++) pictures_enough(e->pictures, (uint32_t)s[a->shown].picture);
    for (; a->shown && s[a->shown - 1].first + s[a->shown - 1].n > rows; a->shown--) pictures_want(e->pictures, (uint32_t)s[a->shown - 1].picture);
}

void live_needs_pictures(struct engine *e, struct live *a)
{
    const struct kept *k = a->spans.n ? kept_find(e, a) : NULL;
    live_needs(e, a, k ? k->held.rows : 0);
}

static void come(struct engine *e, struct live *l)
{
    live_enter(e, l);
    for (size_t i = 0; i < l->spans.n; i++) pictures_hold(e->pictures, (uint32_t)l->spans.span[i].picture);
    l->shown = (uint32_t)l->spans.n;
    live_needs_pictures(e, l);
    if (l->ask.deadline_ns && l->ask.deadline_ns < e->deadline_ns) e->deadline_ns = l->ask.deadline_ns;
    if (!l->ask.again) e->totals.prompt_rows += l->ids.n;
    if (!e->totals.begun_ns) e->totals.begun_ns = l->asked_ns;
    engine_tell(e, ASK_CAME, l, (uint32_t)l->ids.n);
}

int engine_ask(struct engine *e, const struct ask *ask, const struct listener *listener, uint64_t *number, struct err *why)
{
    if (e->over.code) return *why = e->over, why->code;
    TRY(check_length(e, ask, why));
    TRY(check_spans(e, ask, why));
    TRY(check_ids(e, ask, why));
    TRY(check_judged(e, ask, why));
    TRY(check_drawn(ask, why));
    TRY(check_sampling(ask, why));
    struct live *l = calloc(1, sizeof *l);
    int code = l ? copy_lists(e, l, ask, why) : fail(why, E_MEMORY, "no memory for another prompt");
    if (code) {
        if (l) live_free(l);
        return code;
    }
    l->number = (*e->numbers)++;
    l->placed = !e->setup.told_when;
    l->ask = *ask;
    l->listener = *listener;
    l->scores_seen = ask->want_scores ? live_unasked(l) : 0;
    if (ask->judged) {
        l->last_judged = ask->ids[ask->n - 1];
        l->judged_seen = live_unasked(l);
        l->ask.sampling = (struct sampling){.repeat_penalty = 1};
        l->ask.most = 1;
        l->ask.run_on = true;
    }
    l->history = HISTORY_EMPTY;
    l->asked_ns = clock_now(e->clock);
    come(e, l);
    verify_came(e, l);
    beginnings_see(e, l);
    if (number) *number = l->number;
    return 0;
}

/* ---- an ask goes ---- */

static void leave_slot(struct engine *e, const struct live *a)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->in_slot[i] == a) e->in_slot[i] = NULL;
}

void live_finish(struct engine *e, struct live *a, enum finish how, const struct err *why)
{
    live_unlink(e, a);
    leave_slot(e, a);
    beginnings_break(e, a);
    live_needs(e, a, UINT32_MAX);
    for (size_t i = 0; i < a->spans.n; i++) pictures_release(e->pictures, (uint32_t)a->spans.span[i].picture);
    const struct ended ended = {
        .number = a->number, .how = how, .why = how == FINISH_FAILED ? why : NULL, .prompt_rows = (uint32_t)a->ids.n - a->made,
        .reused_rows = a->reused, .made = a->made, .replica = e->setup.replica, .last_id = a->made ? a->ids.id[a->ids.n - 1] : 0, .fingerprint = a->fingerprint,
        .asked_ns = a->asked_ns, .first_ns = a->first_ns, .done_ns = clock_now(e->clock),
    };
    if (!a->ask.again) e->totals.ended_ns = ended.done_ns;
    e->told = true;
    engine_tell(e, ASK_ENDED, a, a->made);
    if (a->listener.finished) a->listener.finished(a->listener.user, &ended);
    verify_finished(e, a, how == FINISH_STOP || how == FINISH_LENGTH || how == FINISH_CONTEXT);
    live_free(a);
}

void live_leave(struct engine *e, struct live *a, enum finish how, const struct err *why)
{
    if (a->state == LEAVING && a->ending != FINISH_NOT) return;
    live_to(e, a, LEAVING);
    a->ending = how;
    beginnings_break(e, a);
    if (why && how == FINISH_FAILED) a->why = *why;
    if (a->scheduled) schedule_leave(e->scheduler, a->number);
}

void engine_cancel(struct engine *e, uint64_t number)
{
    struct live *a = live_find(e, number);
    if (a) live_leave(e, a, FINISH_CANCELLED, NULL);
}

void engine_enough(struct engine *e, uint64_t number)
{
    struct live *a = live_find(e, number);
    if (a && a->made && a->state != FULL) a->ask.most = a->made;
    else engine_cancel(e, number);
}

uint32_t live_rows_most(const struct engine *e, const struct live *a)
{
    const uint64_t all = a->ids.n - a->made + (uint64_t)a->ask.most + WIRE_DRAFT;
    const uint32_t context = e->pipe->plan.capacity.context;
    return all < context ? (uint32_t)all : context;
}

void live_reuses(struct engine *e, struct live *a, uint32_t rows, uint64_t history)
{
    a->sent = a->reused = rows;
    live_needs(e, a, rows);
    a->history = history;
    e->totals.prompt_rows -= rows;
}

void live_begin_again(struct engine *e, struct live *a)
{
    beginnings_break(e, a);
    e->totals.prompt_rows += a->reused;
    a->sent = a->reused = 0;
    live_needs(e, a, 0);
    a->history = HISTORY_EMPTY;
    a->scheduled = false;
    a->placed = !e->setup.told_when;
}

/* It has no slot any more. Who gave it up to somebody more urgent waits for another. */
static void has_left(struct engine *e, struct live *a)
{
    leave_slot(e, a);
    live_begin_again(e, a);
    if (a->state == LEAVING && a->ending == FINISH_NOT) live_to(e, a, WAITING);
}

/* Those whose last piece is home, and those who never had one under way. */
static void tell_leavers(struct engine *e)
{
    uint64_t number;
    while (e->scheduler && schedule_left(e->scheduler, &number)) {
        struct live *a = live_find_in(e, LEAVING, number);
        if (!a) a = live_find_in(e, FULL, number);
        if (a) has_left(e, a); /* else it was kept, and its ask is over */
    }
    for (struct live *a = e->in[LEAVING].first; a;) {
        struct live *next = a->next;
        if (!a->scheduled) {
            live_finish(e, a, a->ending, &a->why);
            next = e->in[LEAVING].first; /* the listener may have changed the list */
        }
        a = next;
    }
}

/* The next deadline is looked for only when one is over. */
static void expire(struct engine *e)
{
    const uint64_t now = clock_now(e->clock);
    if (now < e->deadline_ns) return;
    e->deadline_ns = UINT64_MAX;
    for (struct live *a = e->first; a; a = a->after) {
        const uint64_t deadline = a->ask.deadline_ns;
        if (!deadline) continue;
        if (now >= deadline) live_leave(e, a, FINISH_LATE, NULL);
        else if (deadline < e->deadline_ns) e->deadline_ns = deadline;
    }
}

/* For those who lack a slot or pages: what nobody uses goes, the longest unused first. */
static void make_room(struct engine *e)
{
    for (enum lack lack; (lack = schedule_lack(e->scheduler)) != LACKS_NOTHING;) {
        uint64_t since = UINT64_MAX;
        struct kept *k = kept_longest(e);
        const uint32_t b = lack == LACKS_PAGES ? beginnings_longest(e, &since) : NO_BEGINNING;
        if (k && (b == NO_BEGINNING || k->since < since)) {
            kept_give_up(e, k);
        } else if (b != NO_BEGINNING) {
            beginnings_drop(e, b);
            schedule_settle(e->scheduler);
        } else {
            return;
        }
    }
}

void live_answered(struct engine *e, struct live *a, enum finish how)
{
    if (a->scheduled && !kept_put(e, a)) schedule_leave(e->scheduler, a->number);
    make_room(e);
    live_finish(e, a, how, NULL);
}

/* ---- to the scheduler ---- */

/* Who waits for one that ends workers fails alone, also if it comes later. */
static bool pictures_are_there(struct engine *e, struct live *a)
{
    struct err why;
    live_needs_pictures(e, a);
    for (size_t i = a->shown; i < a->spans.n; i++) {
        const uint32_t picture = (uint32_t)a->spans.span[i].picture;
        if (pictures_rows(e->pictures, picture)) continue;
        if (!pictures_blamed(e->pictures, picture)) return false;
        fail(&why, E_WORKER, "workers are lost where picture %zu of a prompt is computed", i + 1);
        live_leave(e, a, FINISH_FAILED, &why);
        return false;
    }
    return true;
}

int spans_from(const struct live *a, uint32_t from, struct span **out, uint32_t *n, struct err *why)
{
    *n = 0;
    *out = calloc(a->spans.n + 1, sizeof **out);
    if (!*out) return fail(why, E_MEMORY, "no memory for the pictures of a prompt");
    for (size_t i = 0; i < a->spans.n; i++)
        if (a->spans.span[i].first >= from)
            (*out)[(*n)++] = (struct span){(uint32_t)a->spans.span[i].first - from, (uint32_t)a->spans.span[i].n};
    return 0;
}

static int begin_anew(struct engine *e, struct live *a, uint32_t beginning, struct err *why)
{
    struct span *spans;
    uint32_t n;
    TRY(spans_from(a, 0, &spans, &n, why));
    int code = schedule_add_behind(e->scheduler, a->number, (uint32_t)a->ids.n, spans, n, a->ask.priority, beginning, why);
    free(spans);
    return code;
}

static void schedule(struct engine *e, struct live *a)
{
    struct err why;
    if (beginnings_wait(e, a)) return;
    struct kept *k = kept_find(e, a);
    uint32_t beginning, rows = k ? k->held.rows : 0;
    if (!beginnings_choose(e, a, rows, &beginning)) return;
    engine_tell(e, ASK_GOES, a, 0);
    if (beginning != NO_BEGINNING) rows = pages_kept(e->pages, beginning), k = NULL;
    if (k ? kept_go_on(e, a, k, &why) : begin_anew(e, a, beginning, &why)) {
        live_leave(e, a, FINISH_FAILED, &why);
        return;
    }
    a->scheduled = true;
    if (rows < a->ask.drawn) schedule_cut(e->scheduler, a->number, a->ask.drawn);
    live_to(e, a, RUNNING);
    beginnings_promise(e, a, rows);
    make_room(e);
}

static void schedule_waiting_asks(struct engine *e)
{
    const struct live *alone = engine_suspect(e);
    if (!alone && e->pictures && pictures_alone(e->pictures)) return;
    for (struct live *a = e->in[WAITING].first, *next; a; a = next) {
        next = a->next;
        if (a->placed && (!alone || a == alone) && pictures_are_there(e, a)) schedule(e, a);
    }
}

static void yield_slots(struct engine *e)
{
    uint64_t number;
    while (schedule_yield(e->scheduler, &number)) {
        struct live *a = live_find_in(e, RUNNING, number);
        if (a) {
            live_to(e, a, LEAVING);
            a->ending = FINISH_NOT;
        } /* else it is full, and stays so */
        schedule_leave(e->scheduler, number);
    }
}

/* ---- a turn ---- */

/* The run is over: everyone is told why. */
int engine_end(struct engine *e, int code, const struct err *why)
{
    e->over = *why;
    e->over.code = code;
    while (e->first) live_finish(e, e->first, FINISH_FAILED, why);
    verify_gone(e);
    return code;
}

/* Each once: who is still full goes to the end of the list. */
static void offer_again(struct engine *e)
{
    const struct live_list *full = &e->in[FULL];
    for (uint32_t n = full->n; n && full->first; n--) answer_offer_again(e, full->first);
}

/* No longer than until the next deadline; not at all if an end was told, which the caller may wait for. */
static int turn_ms(const struct engine *e, int timeout_ms)
{
    const uint64_t now = clock_now(e->clock), left_ns = e->deadline_ns > now ? e->deadline_ns - now : 0;
    if (e->told) return 0;
    return timeout_ms > 0 && left_ns / 1000000 < (uint64_t)timeout_ms ? (int)(left_ns / 1000000) + 1 : timeout_ms;
}

static bool something_is_under_way(const struct engine *e)
{
    return (e->scheduler && schedule_in_flight(e->scheduler)) || (e->pictures && pictures_owed_by(e->pictures) >= 0);
}

static int feed(struct engine *e, struct err *why)
{
    expire(e);
    offer_again(e);
    TRY(engine_keep_up(e, why));
    tell_leavers(e);
    if (!e->pipe->whole) return 0;
    TRY(recover_look_around(e->pipe, !e->first, why));
    if (!e->pipe->whole) return 0;
    TRY(verify_step(e, why));
    if (e->pipe->hands_over) return something_is_under_way(e) ? 0 : recover_hand_over(e->pipe, why);
    if (e->pictures && !engine_suspect(e)) TRY(pictures_send(e->pictures, why));
    if (!e->scheduler) return 0;
    do { /* what is kept while rows are sent is what others wait for */
        schedule_waiting_asks(e);
        make_room(e);
        yield_slots(e);
        e->kept_some = false;
        TRY(rows_send(e, why));
    } while (e->kept_some);
    tell_leavers(e);
    return 0;
}

static int take_event(struct engine *e, struct event *event, struct err *why)
{
    const unsigned type = event->kind == EVENT_FRAME ? event->frame->head.type : 0;
    if (event->kind == EVENT_FRAME) overdue_heard(e, event->frame);
    if (!e->pipe->whole && (type == M_CHECK || type == M_ROW_HASHES)) return 0; /* of what is over */
    if (event->kind != EVENT_FRAME || !e->pipe->whole) return recover_event(e->pipe, event, why);
    struct err mine = {0};
    bool passed_on;
    TRY(pipeline_pass_on(e->pipe, event, &passed_on, why));
    const int code = passed_on ? 0 : answer_take(e, event->who, event->frame, &mine);
    return code ? roster_judge(e->pipe->roster, event->who, code, &mine, why) : 0;
}

int engine_step(struct engine *e, int timeout_ms, struct err *why)
{
    struct event event = {0};
    if (e->over.code) return *why = e->over, why->code;
    e->told = false;
    int code = feed(e, why);
    overdue_look(e);
    if (!code) code = roster_next(e->pipe->roster, &event, turn_ms(e, timeout_ms), why);
    if (!code) code = take_event(e, &event, why);
    e->stirred = e->told || event.kind != EVENT_NONE;
    event_free(&event);
    if (!code) tell_leavers(e);
    return code;
}

int engine_turn(struct engine *e, int timeout_ms, struct err *why)
{
    const int code = engine_step(e, timeout_ms, why);
    return code ? engine_end(e, code, why) : 0;
}
