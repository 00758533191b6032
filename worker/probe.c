/* worker/probe.c — how fast this worker is at a part of a model, before it holds any: real kernels, real threads, real sizes.
 *
 * Weights are drawn, and so are the keys and values of rows that a sequence has already: of zeros a processor multiplies more in a second
 * (docs/SPEED.md 38). Memory is that of the parts asked for, and is given back at the end. What a point takes is the median of its runs, as other programs come and go. A worker whose control groups limit it
 * stands still at times: of that one the seconds are those in which it computed, and what the limit makes of them the planner reckons
 * (partition/plan/ration.h). */
#include "worker/run.h"

#include "base/clock.h"
#include "base/processor_time.h"
#include "base/threads.h"
#include "worker/weights/region.h"

#include <stdlib.h>
#include <string.h>

#define RUNS_MOST 2048 /* of a point */
#define FEW_ROWS 16
#define BESIDE_LEAST (1u << 20)
#define CACHE_LINE 64
#define DISTURBED 0.2 /* of the time that its threads could have run others did: a point is measured again */

struct trial {
    struct run run; /* of the parts that are measured */
    struct work *work, *score;
    struct result *result;
    uint32_t *at; /* [rows]: which of them are scored */
    float *picture; /* in and out */
    struct region beside; /* other weights: a cache that holds the parts alone would not hold all of a stage */
    bool limited;   /* by control groups, */
    double share;   /* to this part of what its threads could use: 0 to 1 */
};

static int say_nothing(void *user, const struct scored *row, struct err *why)
{
    (void)user, (void)row, (void)why;
    return 0;
}

/* The thread that asks computes as long as any of the others. */
static uint64_t computed_ns(const struct trial *t)
{
    return t->limited ? clock_thread_ns() : clock_ns();
}

/* ---- the text ---- */

static float drawn(size_t i)
{
    return (float)(int32_t)((uint32_t)i * 0x9e3779b1u) * 0x1p-31f;
}

static void fill_work(struct trial *t, const struct probe_point *p)
{
    struct work *w = t->work;
    const bool head = part_has_head(t->run.part);
    w->n_segments = w->n_rows = 0;
    w->cols = t->run.config.hidden;
    for (uint32_t s = 0; s < p->sequences && s < p->rows; s++) {
        const uint32_t rows = p->rows / p->sequences + (s < p->rows % p->sequences);
        stage_pretend(t->run.stage, s, p->position);
        w->segments[w->n_segments++] = (struct segment){.slot = s, .position = p->position, .rows = rows, .wanted = head, .request = s,
                                                          .sampling = {.top_p = 1, .repeat_penalty = 1}};
        for (uint32_t i = 0; i < rows; i++) w->rows[w->n_rows++] = (struct row){1, p->position + i};
    }
    for (size_t i = 0; i < (size_t)w->n_rows * w->cols; i++) stage_rows(t->run.stage)[i] = drawn(i);
}

/* All rows once through the layers, and those that want a token through the head. */
static int run_text(struct trial *t, const struct probe_point *p, uint64_t *took, struct err *why)
{
    struct stage *s = t->run.stage;
    const bool whole = part_has_whole_head(t->run.part);
    fill_work(t, p);
    const uint64_t start = computed_ns(t);
    TRY(stage_run(s, t->work, stage_rows(s), whole ? t->result : NULL, NULL, NULL, why));
    if (part_has_head(t->run.part) && !whole) {
        stage_wanted(s, t->work, t->score, t->at);
        TRY(stage_score(s, t->score, stage_rows(s), NULL, say_nothing, NULL, why));
    }
    *took = computed_ns(t) - start;
    return 0;
}

static int open_text(struct trial *t, struct err *why)
{
    struct run *r = &t->run;
    const struct stage_plan_in in = {.config = r->config, .part = r->part, .capacity = r->capacity, .tensors = r->tensors,
                                     .threads = r->threads, .crowded = r->worker->options.crowded};
    t->work = calloc(1, sizeof *t->work);
    t->score = calloc(1, sizeof *t->score);
    t->result = calloc(1, sizeof *t->result);
    t->at = calloc(WIRE_ROWS, sizeof *t->at);
    if (!t->work || !t->score || !t->result || !t->at) return fail(why, E_MEMORY, "no memory to measure");
    TRY(stage_open(&r->stage, &in, &r->worker->kernels, why));
    stage_draw(r->stage);
    return 0;
}

static int check_points(const struct run *r, const struct probe *m, struct err *why)
{
    const struct capacity *c = &r->capacity;
    if (r->count && c->blocks) return fail(why, E_WIRE, "a part is to be measured with room for %u blocks; it wants room for all", c->blocks);
    for (uint32_t i = 0; i < m->n && r->count; i++) {
        const struct probe_point *p = &m->at[i];
        if (p->rows && p->rows <= c->rows && p->sequences && p->sequences <= c->sequences && p->position < c->context &&
            p->rows <= c->context - p->position)
            continue;
        return fail(why, E_WIRE, "%u rows of %u sequences at position %u are to be measured in %u rows of %u sequences of %u", p->rows,
                    p->sequences, p->position, c->rows, c->sequences, c->context);
    }
    return 0;
}

/* ---- pictures ---- */

static int run_picture(struct trial *t, uint64_t *took, struct err *why)
{
    const uint64_t start = computed_ns(t);
    const int code = vision_stage_run(t->run.encoder.stage, t->picture, t->picture, why);
    *took = computed_ns(t) - start;
    return code;
}

static int open_picture(struct trial *t, struct err *why)
{
    const struct encoder_stage *e = &t->run.encoder;
    const uint64_t in = vision_floats_in(&e->config, e->part), out = vision_floats_out(&e->config, e->part);
    t->picture = calloc(in > out ? in : out, sizeof *t->picture);
    if (!t->picture) return fail(why, E_MEMORY, "no memory to measure");
    for (uint64_t i = 0; i < in; i++) t->picture[i] = drawn(i);
    TRY(encoder_open(&t->run.encoder, &t->run.worker->kernels, NULL, why));
    vision_stage_draw(t->run.encoder.stage);
    return 0;
}

/* ---- both ---- */

static int take_parts(struct trial *t, const struct probe *m, struct err *why)
{
    struct run *r = &t->run;
    const struct assignment *a = &m->parts;
    const int own = r->worker->options.threads;
    if (a->threads > THREADS_MOST) return fail(why, E_WIRE, "%u threads are to be measured", a->threads);
    r->threads = own ? own : a->threads ? (int)a->threads : cores_allowed();
    if (!part_is_empty(a->of[CHAIN_TEXT].part)) TRY(run_take_text(r, a, why));
    else TRY(encoder_assign(&r->encoder, a, r->greet.nodes, r->threads, why));
    return check_points(r, m, why);
}

static bool has_memory(const struct trial *t, uint64_t more)
{
    const struct run *r = &t->run;
    const uint64_t limit = r->worker->options.memory ? r->worker->options.memory : memory_allowed();
    const uint64_t need = r->count ? text_part_bytes(&r->config, r->part, r->tensors, &r->capacity, r->threads).total : r->encoder.bytes.total;
    return need < limit && more < limit - need && resident_bytes() < limit - need - more;
}

/* Less than was asked for where there is no memory for it. */
static void open_beside(struct trial *t, uint64_t bytes)
{
    struct err lack;
    while (bytes > BESIDE_LEAST && !has_memory(t, bytes)) bytes /= 2;
    if (bytes > BESIDE_LEAST && region_open(&t->beside, bytes, "what is read between two measurements", t->run.threads, &lack)) t->beside = (struct region){0};
}

static void read_beside(const struct trial *t)
{
    const volatile uint8_t *at = t->beside.at; /* read, though nothing comes of it */
    for (uint64_t i = 0; i < t->beside.bytes; i += CACHE_LINE) (void)at[i];
}

static int run_once(struct trial *t, const struct probe_point *p, uint64_t *took, struct err *why)
{
    read_beside(t);
    return t->run.count ? run_text(t, p, took, why) : run_picture(t, took, why);
}

static int by_time(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void know_limits(struct trial *t)
{
    const struct time_allowed time = time_allowed();
    const double share = time.share / 1000.0 / t->run.threads;
    t->limited = time.share != 0;
    t->share = t->limited && share < 1 ? share : 1;
}

static double typical(uint64_t *took, uint32_t n)
{
    qsort(took, n, sizeof *took, by_time);
    return (double)took[n / 2] / 1e9;
}

/* The first run warms up, and counts only where there is no time for a second. */
static int measure_runs(struct trial *t, const struct probe_point *p, uint64_t slice, uint64_t left, double *seconds, struct err *why)
{
    uint64_t took[RUNS_MOST];
    const uint64_t begin = clock_ns();
    uint32_t n = 0;
    TRY(run_once(t, p, &took[0], why));
    const uint64_t warm = clock_ns();
    if (2 * (warm - begin) > left) {
        *seconds = (double)took[0] / 1e9;
        return 0;
    }
    do {
        TRY(run_once(t, p, &took[n++], why));
    } while (clock_ns() - warm < slice && n < RUNS_MOST);
    *seconds = typical(took, n);
    return 0;
}

/* *waited: the share of the time in which others ran where it could have. Nobody else's doing where it has more threads than cores, or is
 * stopped at times. */
static int measure_once(struct trial *t, const struct probe_point *p, uint64_t slice, uint64_t left, double *seconds, double *waited, struct err *why)
{
    const struct processor_time before = processor_time();
    TRY(measure_runs(t, p, slice, left, seconds, why));
    const struct processor_time after = processor_time();
    *waited = t->share < 1 || t->run.threads > cores_allowed() ? 0 : processor_time_waited(&before, &after);
    return 0;
}

/* Once more, if others were in the way and may not be now: the better one counts. */
static int measure_point(struct trial *t, const struct probe_point *p, uint64_t slice, uint64_t end, double *seconds, double *waited, struct err *why)
{
    double again, waits;
    const uint64_t begun = clock_ns();
    TRY(measure_once(t, p, slice, end > begun ? end - begun : 0, seconds, waited, why));
    const uint64_t now = clock_ns();
    if (*waited <= DISTURBED || now >= end || now - begun > end - now) return 0;
    TRY(measure_once(t, p, slice, end - now, &again, &waits, why));
    if (waits < *waited) *seconds = again, *waited = waits;
    return 0;
}

/* How the time is shared out: a point of many rows takes longer, and one of few is soon known. */
static double weight_of(const struct probe_point *p)
{
    return p->rows > FEW_ROWS ? (double)p->rows / FEW_ROWS : 1;
}

static uint64_t slice_of(const struct probe *m, uint32_t i, uint64_t left)
{
    double all = 0;
    for (uint32_t k = i; k < m->n; k++) all += weight_of(&m->at[k]);
    return (uint64_t)((double)left * weight_of(&m->at[i]) / all);
}

/* A point that would take more than what is left, as the one before it lets expect, is left out with all behind it. */
static int measure(struct trial *t, const struct probe *m, uint64_t end, struct probed *out, struct err *why)
{
    double *const seconds = out->seconds;
    for (uint32_t i = 0; i < m->n; i++) {
        const uint64_t now = clock_ns(), left = end > now ? end - now : 0;
        const double more = i && m->at[i].rows > m->at[i - 1].rows ? (double)m->at[i].rows / m->at[i - 1].rows : 1;
        if (i && (!left || seconds[i - 1] / t->share * more * 1e9 > (double)left)) break;
        TRY(measure_point(t, &m->at[i], slice_of(m, i, left), end, &seconds[i], &out->waited[i], why));
    }
    return 0;
}

/* Making the parts is a part of the time that was given. */
static int compute(struct run *r, const struct probe *m, struct probed *out, struct err *why)
{
    const uint64_t end = clock_ns() + m->milliseconds * 1000000ull;
    struct trial t = {.run = {.worker = r->worker, .greet = r->greet}};
    int code = take_parts(&t, m, why);
    if (!code && has_memory(&t, 0)) {
        struct err lack;
        const int opened = t.run.count ? open_text(&t, &lack) : open_picture(&t, &lack);
        know_limits(&t);
        if (!opened) open_beside(&t, m->beside);
        if (!opened) code = measure(&t, m, end, out, why);
        else if (opened != E_MEMORY) *why = lack, code = opened;
    }
    stage_close(&t.run.stage);
    encoder_close(&t.run.encoder);
    region_close(&t.beside);
    free(t.run.tensors);
    free(t.work);
    free(t.score);
    free(t.result);
    free(t.at);
    free(t.picture);
    return code;
}

int run_probe(struct run *r, struct frame *f, struct err *why)
{
    struct probe *m = calloc(1, sizeof *m);
    struct probed answer = {0};
    struct frame *reply = NULL;
    int code = m ? probe_read(m, f, why) : fail(why, E_MEMORY, "no memory to measure");
    if (!code && m->milliseconds && f->head.from) code = fail(why, E_WIRE, "it asks how fast this worker is, and is no coordinator");
    if (!code && m->milliseconds) code = compute(r, m, &answer, why);
    if (!code) {
        answer.n = m->milliseconds ? m->n : 0;
        answer.bytes = m->answer;
        code = probed_write(&reply, &answer, why);
    }
    if (!code && answer.bytes) memset(answer.filler, 0, answer.bytes);
    free(m);
    if (code) return frame_free(reply), code;
    code = run_send(r, f->head.from, reply, why);
    return f->head.from ? 0 : code; /* whether another worker hears it is no affair of ours */
}
