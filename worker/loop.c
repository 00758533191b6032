/* worker/loop.c — the two threads of a stage at work.
 *
 *   port thread        in-trays        compute thread      out-tray       port thread
 *   port_recv ──────► [SCORE…]   ───► stage_score  ─────► [frames…] ───► port_send
 *             ──────► [WORK…]    ───► stage_run
 *             ──────► [PICTURE…] ───► encoder_step
 *
 * One turn of the port thread (run_port):
 *
 *   told to stop? ─► empty the out-tray, if the lease holds ─► did the compute thread fail? ─► port_recv, half a second at most ─► handle the frame
 *
 * It never computes, so pings are answered while a layer takes seconds. The compute thread wakes it when something is in the
 * out-tray. How the work ends, and who ends it:
 *
 *               STOP: 0 ◄──┐                        ┌──► the compute thread failed, or a frame came that may not come
 *     FAULT, from the ◄────┤                        │
 *   coordinator: E_WORKER  │                        │
 *   later GREET: begin ◄───┴──────── WORKING ───────┴──► 30 s without a word of the coordinator, or its connection closed
 *   again (run.h)                       │
 *                                       └──► *stop, or told to end and nobody took over in time: E_INTERRUPTED
 *
 * While nothing says that the coordinator still hears us (bond.h) nothing is sent but answers to it.
 *
 * On the left the coordinator decides; on the right it does not know yet, so worker.c tells it why. Whichever it is, `stopping` then
 * ends the compute thread, also in the middle of a layer (stage_heed), and what lies in the trays is dropped.
 *
 * A turn of the compute thread: what_next chooses, `compute` does it, `account` writes down how long it took. Rows to be scored come
 * first: they are the older ones. A picture is computed a layer at a time, and rows may go in between: turns.h. A WORK frame
 * is computed in place: its activations are the residual stream, and the same buffer goes on to the next stage. Where the head is
 * divided, the last stage sends the rows that want a token home, for the others that have a part of it, and goes on with its own
 * part at once.
 *
 * One lock guards trays, counters and the diary; nothing is computed, sent or awaited while it is held. The in-trays cannot overflow:
 * no more than in_flight micro-batches, or pictures, exist, and one that claims to be another is refused. The out-tray holds rows of
 * scores when they are asked for; the compute thread waits while it is full, so a slow reader slows the stage and does not fill the
 * memory. */
#include "worker/loop.h"

#include "worker/run.h"

#include "base/clock.h"
#include "base/cores.h"
#include "base/diary.h"
#include "base/threads.h"
#include "worker/turns.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_FULL 16 /* frames; the compute thread waits from here on */
#define TRAY (IN_FLIGHT_MOST + 2 * OUT_FULL)
#define LOOK_MS 500 /* the port thread looks after the rest so often, */
#define LOOK_OFTEN_MS 50 /* and so often while there is work, or was */
#define AT_WORK_NS 1000000000ull /* so long ago */
#define LEAVING_NS 20000000000ull /* for the others to take over; less than services wait until they kill */

struct tray {
    struct frame *frame[TRAY];
    int to[TRAY];
    uint32_t first, n;
};

struct loop {
    struct loop_setup of;
    const struct loop_setup *setup; /* that */
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tray scores_in, rows_in, pictures_in, out;
    struct turns turns;
    atomic_bool stopping;
    bool failed;
    struct err failure;
    uint64_t busy_ns, blocked_ns, send_ns, picture_ns, batches, rows, pictures, last_batch;
    bool check; /* the weights, before anything else is computed */
    bool computing;
    enum diary_what what;
    uint64_t begun_ns, computed_ns; /* when the last computing began, and ended */
    uint64_t paused_ns; /* of it: blocked in the middle */
    struct work work;     /* the one being computed */
    struct result result; /* its tokens */
    struct work score;    /* the rows being scored */
    uint32_t score_at[WIRE_ROWS]; /* where they stand in `work` */
    struct diary diary;
    struct diary_part part; /* of it, on its way out */
    uint64_t leaving_ns; /* when it said that it is to end; 0: it did not */
    uint64_t worked_ns, stopped_ns; /* when work last came; how long nothing ran since there was some. The port thread's */
};

static bool tray_put(struct tray *t, struct frame *f, int to)
{
    if (t->n == TRAY) return false;
    uint32_t at = (t->first + t->n++) % TRAY;
    t->frame[at] = f;
    t->to[at] = to;
    return true;
}

static struct frame *tray_take(struct tray *t, int *to)
{
    if (t->n == 0) return 0;
    struct frame *f = t->frame[t->first];
    if (to) *to = t->to[t->first];
    t->first = (t->first + 1) % TRAY;
    t->n--;
    return f;
}

static void tray_empty(struct tray *t)
{
    for (struct frame *f; (f = tray_take(t, 0));) frame_free(f);
}

/* What node `from` sent is wrong. True: it is a neighbour, and the coordinator is told. We have done nothing wrong, and stay. */
static bool neighbour_is_wrong(struct loop *l, int from, int code, const struct err *why)
{
    if (code != E_WIRE || from < 1) return false;
    neighbours_wrong(l->setup->neighbours, from, why->text);
    return true;
}

/* ---- compute thread ---- */

/* Under the lock. */
static void wait_for_room(struct loop *l)
{
    const uint64_t since = clock_ns();
    while (l->out.n >= OUT_FULL && !l->stopping) pthread_cond_wait(&l->changed, &l->lock);
    const uint64_t waited = clock_ns() - since;
    l->blocked_ns += waited;
    if (l->computed_ns < l->begun_ns) l->paused_ns += waited;
}

static int hand_over(struct loop *l, struct frame *f, int to, struct err *why)
{
    const bool picture = f->head.type == M_PICTURE || f->head.type == M_PICTURE_ROWS;
    const enum chain chain = picture ? CHAIN_VISION : CHAIN_TEXT;
    if (message_has_route(f->head.type)) f->head.route = l->setup->route[chain];
    if (l->setup->relayed[chain]) to = 0;
    pthread_mutex_lock(&l->lock);
    if (l->out.n >= OUT_FULL) wait_for_room(l);
    bool stopping = l->stopping;
    if (!stopping) tray_put(&l->out, f, to);
    pthread_mutex_unlock(&l->lock);
    if (stopping) {
        frame_free(f);
        return fail(why, E_INTERRUPTED, "stopped");
    }
    port_wake(l->setup->port);
    return 0;
}

static int send_row(struct loop *l, struct logits *m, const float *scores, struct err *why)
{
    struct frame *f = 0;
    TRY(logits_write(&f, m, why));
    memcpy(m->scores, scores, m->n * sizeof *scores);
    return hand_over(l, f, 0, why);
}

static int send_scores(void *user, uint32_t slot, uint32_t position, const float *scores, uint32_t n, uint64_t hash,
                       struct err *why)
{
    struct loop *l = user;
    struct logits m = {.batch = l->work.batch, .slot = slot, .position = position, .hash = hash, .n = n};
    return send_row(l, &m, scores, why);
}

/* The same of this worker's words, for a row that is scored by parts. */
static int send_part(void *user, uint32_t slot, uint32_t position, const float *scores, uint32_t n, uint64_t hash, struct err *why)
{
    struct loop *l = user;
    struct logits m = {.batch = l->score.batch, .slot = slot, .position = position, .hash = hash, .n = n, .first = l->setup->first_word};
    return send_row(l, &m, scores, why);
}

/* A layer of the picture under way, or the first of the next one, `f`. */
static int compute_picture(struct loop *l, struct frame *f, struct err *why)
{
    struct frame *out = 0;
    if (f) TRY(encoder_begin(l->setup->encoder, f, why));
    TRY(encoder_step(l->setup->encoder, &out, why));
    l->computed_ns = clock_ns();
    return out ? hand_over(l, out, l->setup->encoder->next, why) : 0;
}

static int send_scored(void *user, const struct scored *row, struct err *why)
{
    struct frame *f = 0;
    TRY(scored_write(&f, row, why));
    return hand_over(user, f, 0, why);
}

/* The rows of a micro-batch as f32: where they lie, or widened into the stage's own room. E_WIRE if they are of another type than agreed. */
static int rows_of(struct loop *l, const struct work *w, float **out, struct err *why)
{
    if (w->dtype != l->setup->wire || w->cols != l->setup->hidden)
        return fail(why, E_WIRE, "micro-batch %llu has rows of %u values of type %u; this run's have %u of type %u", (unsigned long long)w->batch,
                    w->cols, w->dtype, l->setup->hidden, l->setup->wire);
    *out = (float *)(void *)w->activations;
    if (w->dtype == WIRE_F32) return 0;
    *out = stage_rows(l->setup->stage);
    if (w->n_rows > l->setup->rows) return fail(why, E_WIRE, "a micro-batch of %u rows; the plan says at most %u", w->n_rows, l->setup->rows);
    wire_get(w->dtype, *out, w->activations, (size_t)w->n_rows * w->cols);
    return 0;
}

/* Of l->work, just through the last stage, whose rows are x: no head, or parts of one. */
static int divide_head(struct loop *l, const float *x, struct err *why)
{
    const size_t hidden = l->setup->hidden;
    float *own = stage_rows(l->setup->stage);
    struct frame *f = 0;
    TRY(score_write(&f, &l->score, why));
    for (uint32_t i = 0; i < l->score.n_rows; i++) /* x may be own */
        memmove(own + i * hidden, x + l->score_at[i] * hidden, hidden * sizeof *x);
    wire_put(l->score.dtype, l->score.activations, own, l->score.n_rows * hidden);
    TRY(hand_over(l, f, 0, why));
    return part_has_head(l->setup->part) ? stage_score(l->setup->stage, &l->score, own, send_part, send_scored, l, why) : 0;
}

static int compute_scores(struct loop *l, struct frame *f, struct err *why)
{
    float *x = NULL;
    int code = score_read(&l->score, f, why);
    if (!code) code = rows_of(l, &l->score, &x, why);
    if (!code) code = stage_score(l->setup->stage, &l->score, x, send_part, send_scored, l, why);
    l->computed_ns = clock_ns();
    frame_free(f);
    return code;
}

/* Of l->work, just computed; before the rows go on, so that they are home before the answer is. */
static int send_hashes(struct loop *l, struct err *why)
{
    struct row_hashes m;
    struct frame *f = NULL;
    if (!stage_hashes(l->setup->stage, &m)) return 0;
    m.batch = l->work.batch;
    TRY(row_hashes_write(&f, &m, why));
    stage_hashes_put(l->setup->stage, &m);
    return hand_over(l, f, 0, why);
}

static int check_weights(struct loop *l, bool *damaged, struct err *why)
{
    const struct loop_setup *s = l->setup;
    struct check m = {0};
    struct frame *f = NULL;
    for (int chain = 0; chain < CHAINS; chain++) {
        struct err first;
        const uint32_t n = part_weights_check(s->held, &s->weights[chain], s->threads, &first);
        if (n && !m.damaged) snprintf(m.text, sizeof m.text, "%.*s", (int)sizeof m.text - 1, first.text);
        m.damaged += n;
    }
    *damaged = m.damaged > 0;
    TRY(check_write(&f, &m, why));
    return hand_over(l, f, 0, why);
}

static int compute_rows(struct loop *l, struct frame *f, struct err *why)
{
    const struct loop_setup *s = l->setup;
    float *x = NULL;
    int code = work_read(&l->work, f, why);
    if (!code) code = rows_of(l, &l->work, &x, why);
    const bool answers = s->next == 0 && part_has_whole_head(s->part);
    l->result.batch = l->work.batch;
    l->result.n_tokens = 0;
    if (!code) code = stage_run(s->stage, &l->work, x, answers ? &l->result : 0, send_scores, l, why);
    l->computed_ns = clock_ns();
    if (!code) code = send_hashes(l, why);
    if (!code && s->next != 0 && l->work.dtype != WIRE_F32) wire_put(l->work.dtype, l->work.activations, x, (size_t)l->work.n_rows * l->work.cols);
    if (!code && s->next != 0) return hand_over(l, f, s->next, why);
    if (!code && !answers) stage_wanted(s->stage, &l->work, &l->score, l->score_at);
    if (!code && !answers && l->score.n_rows) {
        code = divide_head(l, x, why);
        l->computed_ns = clock_ns();
        frame_free(f);
        return code;
    }
    frame_free(f);
    if (code) return code;
    struct frame *reply = 0;
    TRY(result_write(&reply, &l->result, why));
    return hand_over(l, reply, 0, why);
}

static bool picture_waits(const struct loop *l)
{
    return l->pictures_in.n || (l->setup->encoder && encoder_busy(l->setup->encoder));
}

/* Under the lock. Handing rows over does not count as computing: the next stage may be computing with them already. */
static void account(struct loop *l, enum diary_what what, bool begun)
{
    const uint64_t start = l->begun_ns, end = l->computed_ns > start ? l->computed_ns : clock_ns();
    l->computing = false;
    l->busy_ns += end - start - l->paused_ns;
    l->paused_ns = 0;
    turns_took(&l->turns, what == DIARY_PICTURE, end - start);
    if (what == DIARY_SCORES) {
        diary_add(&l->diary, (struct diary_span){start, end, l->score.batch, l->score.n_rows, DIARY_SCORES});
        return;
    }
    if (what == DIARY_ROWS) {
        l->batches++;
        l->rows += l->work.n_rows;
        l->last_batch = l->work.batch;
        diary_add(&l->diary, (struct diary_span){start, end, l->work.batch, l->work.n_rows, DIARY_ROWS});
        return;
    }
    struct diary_span layer = {start, end, l->setup->encoder->picture, 1, DIARY_PICTURE};
    l->picture_ns += end - start;
    l->pictures += !encoder_busy(l->setup->encoder);
    if (begun) diary_add(&l->diary, layer);
    else diary_extend(&l->diary, layer);
}

static bool something_waits(const struct loop *l)
{
    return l->check || l->scores_in.n || l->rows_in.n || picture_waits(l);
}

static enum diary_what what_next(const struct loop *l)
{
    const bool rows = l->scores_in.n || l->rows_in.n;
    if (turns_picture_next(&l->turns, rows, picture_waits(l))) return DIARY_PICTURE;
    return l->scores_in.n ? DIARY_SCORES : DIARY_ROWS;
}

static int compute(struct loop *l, enum diary_what what, struct frame *f, struct err *why)
{
    switch (what) {
    case DIARY_PICTURE: return compute_picture(l, f, why);
    case DIARY_SCORES: return compute_scores(l, f, why);
    case DIARY_ROWS: break;
    }
    return compute_rows(l, f, why);
}

/* Under the lock. With damaged weights nothing is computed any more: what the coordinator does about it comes as the end of this. */
static int check_now(struct loop *l, struct err *why)
{
    bool damaged = false;
    l->check = false;
    pthread_mutex_unlock(&l->lock);
    const int code = check_weights(l, &damaged, why);
    pthread_mutex_lock(&l->lock);
    atomic_fetch_add(l->setup->steps, 1);
    while (!code && damaged && !l->stopping) pthread_cond_wait(&l->changed, &l->lock);
    return code;
}

/* Under the lock. */
static bool has_failed(struct loop *l, int code, const struct err *why)
{
    if (!code || l->stopping) return false;
    l->failed = true;
    l->failure = *why;
    l->failure.code = code;
    return true;
}

static void *compute_thread(void *user)
{
    struct loop *l = user;
    cores_bind_team(l->setup->cores, l->setup->threads);
    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        while (!something_waits(l) && !l->stopping) pthread_cond_wait(&l->changed, &l->lock);
        if (l->stopping) break;
        struct err why = {0};
        if (l->check) {
            if (has_failed(l, check_now(l, &why), &why)) break;
            continue;
        }
        const enum diary_what what = what_next(l);
        const bool begun = what == DIARY_PICTURE && !encoder_busy(l->setup->encoder);
        struct frame *f = what == DIARY_SCORES ? tray_take(&l->scores_in, 0)
                          : what == DIARY_ROWS ? tray_take(&l->rows_in, 0)
                          : begun              ? tray_take(&l->pictures_in, 0)
                                               : 0;
        l->computing = true;
        l->what = what;
        l->begun_ns = clock_ns();
        pthread_mutex_unlock(&l->lock);

        const int from = f ? f->head.from : 0;
        int code = compute(l, what, f, &why);
        if (neighbour_is_wrong(l, from, code, &why)) code = 0;

        pthread_mutex_lock(&l->lock);
        account(l, what, begun);
        atomic_fetch_add(l->setup->steps, 1);
        if (has_failed(l, code, &why)) break;
    }
    pthread_mutex_unlock(&l->lock);
    port_wake(l->setup->port);
    return 0;
}

/* ---- port thread ---- */

static int send_report(struct loop *l, struct err *why)
{
    struct port_counters c = port_counters(l->setup->port);
    pthread_mutex_lock(&l->lock);
    struct report r = {
        .busy_ns = l->busy_ns, .blocked_ns = l->blocked_ns, .send_ns = l->send_ns, .batches = l->batches, .rows = l->rows,
        .peak_resident = peak_resident_bytes(), .frames_in = c.frames_in, .frames_out = c.frames_out,
        .bytes_in = c.bytes_in, .bytes_out = c.bytes_out, .pictures = l->pictures, .picture_ns = l->picture_ns, .stopped_ns = l->stopped_ns,
    };
    pthread_mutex_unlock(&l->lock);
    struct frame *f = 0;
    TRY(report_write(&f, &r, why));
    return port_send_off(l->setup->port, 0, f, why);
}

/* Intervals from number `from` on: as many as fit a frame, or none if there are no more. */
static int send_diary(struct loop *l, struct frame *asked, struct err *why)
{
    struct diary_ask ask;
    struct diary_part *p = &l->part;
    TRY(diary_ask_read(&ask, asked, why));
    pthread_mutex_lock(&l->lock);
    uint64_t oldest = diary_oldest(&l->diary);
    *p = (struct diary_part){.first = ask.from > oldest ? ask.from : oldest, .written = l->diary.n};
    while (p->n < WIRE_SPANS && p->first + p->n < l->diary.n) {
        p->spans[p->n] = *diary_at(&l->diary, p->first + p->n);
        p->n++;
    }
    pthread_mutex_unlock(&l->lock);
    struct frame *f = 0;
    p->now_ns = clock_ns();
    TRY(diary_part_write(&f, p, why));
    return port_send_off(l->setup->port, 0, f, why);
}

static int answer_ping(struct loop *l, struct frame *ping, struct err *why)
{
    struct ping p = {0};
    pthread_mutex_lock(&l->lock);
    p.batch = l->batches ? l->last_batch + 1 : 0;
    p.queue = l->scores_in.n + l->rows_in.n + l->pictures_in.n;
    if (l->scores_in.n || l->rows_in.n || (l->computing && l->what != DIARY_PICTURE)) p.busy |= BUSY_ROWS;
    if (picture_waits(l)) p.busy |= BUSY_PICTURE;
    pthread_mutex_unlock(&l->lock);
    p.steps = atomic_load(l->setup->steps);
    return bond_pong(l->setup->bond, ping, p, why);
}

static int take_check(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    l->check = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static int take_work(struct loop *l, struct frame **f, struct err *why)
{
    const struct loop_setup *s = l->setup;
    const unsigned type = (*f)->head.type;
    const bool picture = type == M_PICTURE;
    if (picture ? !s->encoder : !s->stage)
        return fail(why, E_WIRE, "%s came, and this worker has no layers for it", message_name(type));
    const uint16_t route = s->route[picture ? CHAIN_VISION : CHAIN_TEXT];
    if ((*f)->head.route != route)
        return fail(why, E_WIRE, "%s came on route %u, and this worker's part is on route %u", message_name(type), (*f)->head.route, route);
    const uint32_t most = picture ? s->encoder->in_flight : s->in_flight;
    struct tray *tray = picture ? &l->pictures_in : type == M_SCORE ? &l->scores_in : &l->rows_in;
    l->worked_ns = clock_ns();
    pthread_mutex_lock(&l->lock);
    bool room = tray->n < most && tray_put(tray, *f, 0);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (!room) return fail(why, E_WIRE, "more came than the %u %s that may be in flight", most, picture ? "pictures" : "micro-batches");
    *f = 0;
    return 0;
}

/* *over: the coordinator said M_STOP. */
static int handle(struct loop *l, struct frame **f, bool *over, struct err *why)
{
    struct fault fault;
    const unsigned type = (*f)->head.type;
    const int from = (*f)->head.from;
    if (from && (type == M_PROBE || type == M_PROBED)) return 0; /* of a meeting that was not over in time */
    if (from && type != M_WORK && type != M_PICTURE && type != M_HERE && type != M_LOST) /* a neighbour hands on what is computed, and has no say */
        return fail(why, E_WIRE, "%s came from worker %d, and is the coordinator's to say", message_name(type), from);
    switch (type) {
    case M_WORK:
    case M_SCORE:
    case M_PICTURE: return take_work(l, f, why);
    case M_PING: return answer_ping(l, *f, why);
    case M_REPORT_ASK: return send_report(l, why);
    case M_CHECK: return take_check(l);
    case M_DIARY_ASK: return send_diary(l, *f, why);
    case M_STOP: *over = true; return 0;
    case M_GREET:
        *l->setup->greeting = *f;
        *f = NULL;
        return GREETED_AGAIN;
    case M_FAULT:
        TRY(fault_read(&fault, *f, why));
        return fail(why, E_WORKER, "the coordinator ended the run: %s", fault.text);
    case M_LOST:
        if (from == 0) return fail(why, E_WORKER, "the coordinator is gone; the run is over");
        neighbours_lost(l->setup->neighbours, from);
        return 0;
    case M_HERE: return 0;
    default: return fail(why, E_WIRE, "%s came in the middle of a run", message_name(type));
    }
}

/* Under the lock: so long the compute thread was computing or blocked until now. */
static uint64_t engaged_ns(const struct loop *l, uint64_t now)
{
    return l->busy_ns + l->blocked_ns + (l->computing ? now - l->begun_ns - l->paused_ns : 0);
}

/* Under the lock: what was sent from `start` on took this long, and no computing hid it. The clock of what is computed is read a moment
 * before it is counted, so `engaged` may go back by that moment. */
static void count_sending(struct loop *l, uint64_t start, uint64_t now, uint64_t engaged)
{
    const uint64_t engaged_now = engaged_ns(l, now), hidden = engaged_now > engaged ? engaged_now - engaged : 0;
    if (now - start > hidden) l->send_ns += now - start - hidden;
}

static int send_out(struct loop *l, struct err *why)
{
    uint64_t start = 0, engaged = 0;
    for (;;) {
        int to = 0;
        pthread_mutex_lock(&l->lock);
        struct frame *f = tray_take(&l->out, &to);
        if (f && !start) start = clock_ns(), engaged = engaged_ns(l, start);
        if (f) pthread_cond_broadcast(&l->changed);
        else if (start) count_sending(l, start, clock_ns(), engaged);
        pthread_mutex_unlock(&l->lock);
        if (!f) return 0;
        const int code = port_send_off(l->setup->port, to, f, why);
        if (code == E_LINK && to != 0) neighbours_lost(l->setup->neighbours, to);
        else if (code) return code;
    }
}

/* Where others can go on without us they are told first, and let us go when they do. */
static int check_end(struct loop *l, uint64_t now, struct err *why)
{
    const struct loop_setup *s = l->setup;
    const bool asked = s->leaves && s->leaves(), hands_over = asked && port_outlives_peers(s->port);
    struct frame *f = NULL;
    if ((s->stop && *s->stop) || (asked && !hands_over)) return fail(why, E_INTERRUPTED, "stopped by a signal");
    if (!asked) return 0;
    if (l->leaving_ns && now - l->leaving_ns > LEAVING_NS)
        return fail(why, E_INTERRUPTED, "stopped by a signal, and nobody took over within %llu s", LEAVING_NS / 1000000000ull);
    if (l->leaving_ns) return 0;
    l->leaving_ns = now;
    TRY(empty_write(&f, M_LEAVE, why));
    return port_send_off(s->port, 0, f, why);
}

/* This thread never computes: if it is not back in time it did not run, and so did not all others. While there is work it looks often, to
 * notice that. */
static int listen_for(struct loop *l, bool computing, struct frame **f, struct err *why)
{
    const uint64_t asked = clock_ns();
    const bool at_work = computing || asked - l->worked_ns < AT_WORK_NS;
    const int code = port_recv(l->setup->port, f, at_work ? LOOK_OFTEN_MS : LOOK_MS, why);
    const uint64_t took = clock_ns() - asked, most = LOOK_OFTEN_MS * 1000000ull;
    if (at_work && took > 2 * most) l->stopped_ns += took - most;
    return code;
}

static int run_port(struct loop *l, struct err *why)
{
    const struct loop_setup *s = l->setup;
    for (;;) {
        TRY(check_end(l, clock_ns(), why));
        if (bond_holds(s->bond)) TRY(send_out(l, why));
        pthread_mutex_lock(&l->lock);
        bool failed = l->failed, computing = l->computing;
        if (failed) *why = l->failure;
        pthread_mutex_unlock(&l->lock);
        if (failed) return why->code;

        struct frame *f = 0;
        bool over = false;
        int code = listen_for(l, computing, &f, why), from = port_culprit(s->port);
        if (f && f->head.from == 0 && f->head.type != M_LOST) bond_heard(s->bond, f);
        if (!code && f) from = f->head.from, code = handle(l, &f, &over, why);
        if (neighbour_is_wrong(l, from, code, why)) code = 0;
        if (!code && !over) code = neighbours_look(s->neighbours, s->port, why);
        if (!code && !over) code = bond_check(s->bond, false, why);
        frame_free(f);
        if (code || over) return code;
    }
}

static void heed(const struct loop_setup *s, const atomic_bool *stop)
{
    if (s->stage) stage_heed(s->stage, stop, stop ? s->steps : NULL);
    if (s->encoder) vision_stage_heed(s->encoder->stage, stop);
}

int loop_run(struct loop **out, const struct loop_setup *setup, struct err *why)
{
    struct loop *l = *out = calloc(1, sizeof *l);
    if (!l) return fail(why, E_MEMORY, "no memory for the loop's own %zu bytes", sizeof *l);
    l->of = *setup;
    l->setup = &l->of;
    heed(setup, &l->stopping);
    pthread_mutex_init(&l->lock, 0);
    pthread_cond_init(&l->changed, 0);
    if (pthread_create(&l->thread, 0, compute_thread, l)) return fail_errno(why, E_INTERNAL, "cannot start the compute thread");
    l->threaded = true;
    struct err mine = {0};
    const int code = run_port(l, &mine);
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (code) *why = mine;
    return code;
}

void loop_close(struct loop **pl)
{
    struct loop *l = *pl;
    *pl = NULL;
    if (!l) return;
    if (l->threaded) pthread_join(l->thread, 0);
    heed(l->setup, 0);
    tray_empty(&l->scores_in);
    tray_empty(&l->rows_in);
    tray_empty(&l->pictures_in);
    tray_empty(&l->out);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
