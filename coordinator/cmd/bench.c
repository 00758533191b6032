/* coordinator/cmd/bench.c — see bench.h.
 *
 * Every run has two turns of the same conversations. The first brings the rows that do not count, if there are any: for
 * answers at least one row, since a token can only follow something. The second is what is measured: so all sequences
 * are there from its first moment, and answers are the scheduler's ordinary decodes, in even groups. */
#include "coordinator/cmd/bench.h"

#include "coordinator/cmd/collect.h"

#include "base/clock.h"
#include "base/log.h"
#include "partition/plan/text_cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WARM_ROWS 512 /* of a sequence, at most: a prompt of 32,000 is not computed twice */

/* ---- which tests ---- */

static uint32_t rows_before(const struct bench_test *t)
{
    return t->prompt || t->depth ? t->depth : 1;
}

static uint64_t positions(const struct bench_test *t)
{
    return (uint64_t)rows_before(t) + t->n + 1;
}

static int add_test(struct bench *b, bool prompt, uint32_t n, uint32_t sequences, const struct options *o,
                    const struct model_config *c, struct err *why)
{
    struct bench_test *t = &b->test[b->n];
    *t = (struct bench_test){.prompt = prompt, .n = n, .sequences = sequences, .depth = o->depth, .drawn = o->depth_drawn};
    int k = snprintf(t->name, sizeof t->name, "%s%u", prompt ? "pp" : "tg", n);
    if (sequences > 1) k += snprintf(t->name + k, sizeof t->name - (size_t)k, "@%u", sequences);
    if (o->depth) snprintf(t->name + k, sizeof t->name - (size_t)k, "@d%u", o->depth);
    if (positions(t) > c->context)
        return fail(why, E_USAGE, "%s needs %llu positions, this model was trained for %u", t->name,
                    (unsigned long long)positions(t), c->context);
    t->tok_s = calloc(o->reps, sizeof *t->tok_s);
    if (!t->tok_s) return fail(why, E_MEMORY, "no memory for the results of %u repetitions", o->reps);
    b->n++;
    return 0;
}

int bench_open(struct bench *b, const struct options *o, const struct model_config *c, struct err *why)
{
    size_t most = (size_t)o->pp.n * o->pp_batch.n + (size_t)o->tg.n * o->batch.n;
    *b = (struct bench){.reps = o->reps, .test = calloc(most, sizeof *b->test)};
    if (!b->test) return fail(why, E_MEMORY, "no memory to list %zu tests", most);
    for (uint32_t i = 0; i < o->pp.n; i++)
        for (uint32_t k = 0; k < o->pp_batch.n; k++) TRY(add_test(b, true, o->pp.at[i], o->pp_batch.at[k], o, c, why));
    for (uint32_t i = 0; i < o->tg.n; i++)
        for (uint32_t k = 0; k < o->batch.n; k++) TRY(add_test(b, false, o->tg.at[i], o->batch.at[k], o, c, why));
    return 0;
}

void bench_close(struct bench *b)
{
    for (uint32_t i = 0; i < b->n; i++) free(b->test[i].tok_s);
    free(b->test);
    *b = (struct bench){0};
}

uint32_t bench_context(const struct bench *b)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < b->n; i++)
        if (positions(&b->test[i]) > most) most = positions(&b->test[i]);
    return (uint32_t)most;
}

uint32_t bench_sequences(const struct bench *b)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->test[i].sequences > most) most = b->test[i].sequences;
    return most;
}

/* ---- counters ---- */

struct reading { /* of all counters at one moment */
    struct bench_stage stage[WORKERS_MOST];
    int stages;
    uint64_t wire_bytes, batches, rows;
    uint64_t asked; /* how often the workers were asked, up to then */
};

/* A stage hands its result on a moment before it counts the micro-batch; then it is asked again. */
static bool all_counted(const struct fleet *f)
{
    for (int k = 0; k < fleet_size(f); k++) {
        const struct pipeline *p = fleet_pipe(f, k);
        const uint64_t batches = engine_totals(fleet_engine(f, k)).batches;
        for (int i = 0; i < p->workers; i++)
            if (p->crew[i]->report.batches != batches) return false;
    }
    return true;
}

static int read_counters(struct reading *r, uint64_t *asked, const struct fleet *f, struct err *why)
{
    const struct engine_totals totals = fleet_totals(f);
    const struct pipeline *p;
    int worker;
    for (int tries = 0; tries < 1000; tries++) {
        if (tries) sleep_ns(200000);
        for (int k = 0; k < fleet_size(f); k++) TRY(pipeline_reports(fleet_pipe(f, k), why));
        ++*asked;
        if (all_counted(f)) break;
    }
    *r = (struct reading){.batches = totals.batches, .rows = totals.rows, .asked = *asked};
    for (int k = 0; k < fleet_size(f); k++) r->wire_bytes += port_counters(roster_port(fleet_pipe(f, k)->roster)).bytes_out;
    for (; r->stages < WORKERS_MOST && (p = fleet_stage(f, r->stages, &worker)); r->stages++) {
        const struct report *n = &p->crew[worker]->report;
        r->stage[r->stages] = (struct bench_stage){n->busy_ns, n->blocked_ns, n->send_ns, n->batches};
        r->wire_bytes += n->bytes_out;
    }
    return 0;
}

/* `asking`: bytes that asking all workers once sends. */
static void add_difference(struct bench_test *t, const struct reading *a, const struct reading *b, uint64_t asking)
{
    uint64_t bytes = b->wire_bytes - a->wire_bytes, overhead = asking * (b->asked - a->asked);
    t->wire_bytes += bytes > overhead ? bytes - overhead : 0;
    t->batches += b->batches - a->batches;
    t->rows += b->rows - a->rows;
    for (int i = 0; i < b->stages; i++) {
        t->stage[i].busy_ns += b->stage[i].busy_ns - a->stage[i].busy_ns;
        t->stage[i].blocked_ns += b->stage[i].blocked_ns - a->stage[i].blocked_ns;
        t->stage[i].send_ns += b->stage[i].send_ns - a->stage[i].send_ns;
        t->stage[i].batches += b->stage[i].batches - a->stage[i].batches;
    }
}

/* ---- one run ---- */

struct runner {
    struct bench *bench;
    struct session *session;
    struct pipeline *pipe;
    uint64_t random, key;
    uint64_t asked, asking; /* times the workers were asked for their counters; bytes that sends each time */
    struct progress shown; /* in rows of all runs, */
    uint64_t done, before; /* of those that ended; what had been computed when this one began */
};

struct dialogue { /* of a test: a conversation of two turns */
    struct ids ids;
    struct collected answer; /* of the turn that was last */
};

static uint32_t random_below(struct runner *r, uint32_t n)
{
    r->random ^= r->random << 13, r->random ^= r->random >> 7, r->random ^= r->random << 17;
    return (uint32_t)((r->random >> 32) * n >> 32);
}

static int push_random(struct runner *r, struct ids *ids, uint32_t n, struct err *why)
{
    const struct model *m = r->pipe->model;
    uint32_t vocab = m->config.vocab < m->embedding.rows ? m->config.vocab : m->embedding.rows;
    for (uint32_t i = 0; i < n; i++) TRY(ids_push(ids, random_below(r, vocab), why));
    return 0;
}

/* One turn of a sequence: what it has so far, to be answered with `most` tokens. */
static int ask(struct runner *r, struct dialogue *q, uint32_t drawn, uint32_t most, struct err *why)
{
    const int only = q->answer.ids.n ? q->answer.ended.replica + 1 : 0; /* where its rows are */
    const struct ask ask = {.only = only, .ids = q->ids.id, .n = q->ids.n, .most = most, .key = r->key++, .run_on = true, .drawn = drawn, .salt = drawn > 0,
                            .sampling = {.repeat_penalty = 1}};
    const struct listener l = collect_into(&q->answer);
    collected_free(&q->answer);
    q->answer = (struct collected){0};
    return fleet_ask(r->session->fleet, &ask, &l, NULL, why);
}

/* All rows before but the last, whose token is the first row that counts. */
static uint32_t drawn_of(const struct bench_test *t)
{
    return t->drawn ? t->depth - 1 : 0;
}

/* As session_answer, and says how far it is. */
static int answer(struct runner *r, struct err *why)
{
    const struct fleet *f = r->session->fleet;
    while (fleet_is_busy(f)) {
        TRY(session_turn(r->session, TURN_MS, why));
        progress_at(&r->shown, r->done + fleet_totals(f).rows - r->before);
    }
    return 0;
}

static int turn_before(struct runner *r, const struct bench_test *t, struct dialogue *q, struct err *why)
{
    const uint32_t rows = rows_before(t);
    for (uint32_t i = 0; i < t->sequences && rows; i++) {
        TRY(push_random(r, &q[i].ids, rows, why));
        TRY(ask(r, &q[i], drawn_of(t), 1, why));
    }
    return rows ? answer(r, why) : 0;
}

/* The token sampled at the end of the turn before is the first row of this one. */
static int turn_measured(struct runner *r, const struct bench_test *t, struct dialogue *q, struct err *why)
{
    for (uint32_t i = 0; i < t->sequences; i++) {
        const bool goes_on = q[i].answer.ids.n > 0;
        if (goes_on) TRY(ids_push(&q[i].ids, q[i].answer.ids.id[0], why));
        if (t->prompt) TRY(push_random(r, &q[i].ids, t->n - goes_on, why));
        TRY(ask(r, &q[i], drawn_of(t), t->prompt ? 1 : t->n, why));
    }
    return answer(r, why);
}

static int check_made(const struct bench_test *t, const struct dialogue *q, struct err *why)
{
    for (uint32_t i = 0; i < t->sequences; i++) {
        const struct ended *e = &q[i].answer.ended;
        const uint32_t rows = (uint32_t)q[i].ids.n - e->reused_rows;
        if (e->made != (t->prompt ? 1 : t->n)) return fail(why, E_INTERNAL, "a sequence of %s made %u tokens", t->name, e->made);
        if (rows != (t->prompt ? t->n : 1)) return fail(why, E_INTERNAL, "a sequence of %s read %u rows", t->name, rows);
    }
    return 0;
}

static uint64_t wall_of(const struct bench_test *t, const struct dialogue *q)
{
    uint64_t end = 0, begin = q[0].answer.ended.asked_ns;
    for (uint32_t i = 0; i < t->sequences; i++)
        if (q[i].answer.ended.done_ns > end) end = q[i].answer.ended.done_ns;
    return end > begin ? end - begin : 1;
}

/* Both turns. rep UINT32_MAX is the run to warm up. `first` gets the seconds to each sequence's first token. */
static int run_turns(struct runner *r, struct bench_test *t, struct dialogue *q, uint32_t rep, double *first,
                     struct err *why)
{
    struct reading before, after;
    TRY(turn_before(r, t, q, why));
    TRY(read_counters(&before, &r->asked, r->session->fleet, why));
    TRY(turn_measured(r, t, q, why));
    TRY(check_made(t, q, why));
    TRY(read_counters(&after, &r->asked, r->session->fleet, why));
    if (rep == UINT32_MAX) return 0;
    uint64_t wall = wall_of(t, q);
    t->wall_ns += wall;
    t->tok_s[rep] = (double)t->n * t->sequences * 1e9 / (double)wall;
    add_difference(t, &before, &after, r->asking);
    for (uint32_t i = 0; i < t->sequences; i++)
        first[i] = (double)(q[i].answer.ended.first_ns - q[i].answer.ended.asked_ns) / 1e9;
    return 0;
}

/* Rows that both turns compute. */
static uint64_t run_rows(const struct bench_test *t)
{
    return ((uint64_t)rows_before(t) - drawn_of(t) + t->n) * t->sequences;
}

static int run_once(struct runner *r, struct bench_test *t, uint32_t rep, double *first, struct err *why)
{
    struct dialogue *q = calloc(t->sequences, sizeof *q);
    if (!q) return fail(why, E_MEMORY, "no memory for %u sequences", t->sequences);
    r->before = fleet_totals(r->session->fleet).rows;
    int code = run_turns(r, t, q, rep, first, why);
    for (uint32_t i = 0; i < t->sequences; i++) {
        ids_free(&q[i].ids);
        collected_free(&q[i].answer);
    }
    free(q);
    r->done += run_rows(t);
    return code;
}

/* ---- a test ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static int summarize(struct bench_test *t, uint32_t reps, struct err *why)
{
    double *sorted = malloc(reps * sizeof *sorted), sum = 0, squares = 0;
    if (!sorted) return fail(why, E_MEMORY, "no memory to sort %u results", reps);
    memcpy(sorted, t->tok_s, reps * sizeof *sorted);
    t->median = median_of(sorted, reps);
    t->least = sorted[0];
    t->most = sorted[reps - 1];
    free(sorted);
    for (uint32_t i = 0; i < reps; i++) sum += t->tok_s[i];
    t->mean = sum / reps;
    for (uint32_t i = 0; i < reps; i++) squares += (t->tok_s[i] - t->mean) * (t->tok_s[i] - t->mean);
    t->stddev = reps > 1 ? sqrt(squares / (reps - 1)) : 0;
    return 0;
}

/* Weights are warm once some micro-batches went through; a long way to the depth warms as well. */
static bool wants_warming(const struct bench_test *t)
{
    return !t->depth;
}

static struct bench_test warming(const struct bench_test *t)
{
    struct bench_test short_one = *t;
    if (short_one.n > WARM_ROWS) short_one.n = WARM_ROWS;
    return short_one;
}

static uint64_t test_rows(const struct bench_test *t, uint32_t reps)
{
    const struct bench_test warm = warming(t);
    return run_rows(t) * reps + (wants_warming(t) ? run_rows(&warm) : 0);
}

static int run_test(struct runner *r, struct bench_test *t, struct err *why)
{
    struct bench_test warm = warming(t);
    size_t n = (size_t)t->sequences * r->bench->reps;
    double *first = malloc(n * sizeof *first);
    if (!first) return fail(why, E_MEMORY, "no memory for %zu times", n);
    int code = wants_warming(t) ? run_once(r, &warm, UINT32_MAX, first, why) : 0;
    for (uint32_t rep = 0; rep < r->bench->reps && !code; rep++) code = run_once(r, t, rep, first + (size_t)rep * t->sequences, why);
    if (!code && t->prompt) t->first_seconds = median_of(first, n);
    free(first);
    return code ? code : summarize(t, r->bench->reps, why);
}

/* What asking for the counters costs on the wire: two readings with nothing between. */
static int measure_asking(struct runner *r, struct err *why)
{
    struct reading a, b;
    TRY(read_counters(&a, &r->asked, r->session->fleet, why));
    TRY(read_counters(&b, &r->asked, r->session->fleet, why));
    r->asking = (b.wire_bytes - a.wire_bytes) / (b.asked - a.asked);
    return 0;
}

int bench_run(struct bench *b, struct session *s, struct err *why)
{
    struct runner r = {.bench = b, .session = s, .pipe = s->pipe, .random = 0x9e3779b97f4a7c15ull};
    uint64_t rows = 0;
    TRY(measure_asking(&r, why));
    for (uint32_t i = 0; i < b->n; i++) rows += test_rows(&b->test[i], b->reps);
    progress_begin(&r.shown, "measuring", "tok", rows);
    int code = 0;
    for (uint32_t i = 0; i < b->n && !code; i++) {
        code = run_test(&r, &b->test[i], why);
        if (!code) log_info("%s: %.2f tok/s", b->test[i].name, b->test[i].median);
    }
    progress_end(&r.shown);
    return code;
}

/* ---- what had to be done ---- */

static bool is_float(uint32_t type)
{
    return type == T_F16 || type == T_BF16 || type == T_F32;
}

static void add_matrix(struct bench_work *w, const struct tensor *t, double rows)
{
    *(is_float(t->type) ? &w->f32_macs : &w->int8_macs) += (double)t->rows * t->cols * rows;
}

static double weights_read(const struct bench_test *t, double heads, const struct fleet *f)
{
    const struct model_shape shape = model_shape(fleet_pipe(f, 0)->model, NULL);
    const struct pipeline *p;
    double sum = 0;
    int worker;
    heads /= fleet_size(f); /* as near as it was shared out evenly */
    for (int i = 0; (p = fleet_stage(f, i, &worker)); i++) {
        const struct holding *h = &p->plan.of[worker];
        const struct part s = h->part[CHAIN_TEXT];
        double batches = (double)t->stage[i].batches, own = part_has_head(s) ? head_work(&shape, s).bytes : 0;
        sum += batches * ((double)h->bytes[CHAIN_TEXT].weights - own) + (t->prompt ? heads : batches) * own;
    }
    return sum;
}

static double kv_read(const struct bench_test *t, const struct model_shape *shape)
{
    double sum = 0;
    for (uint32_t l = 0; l < shape->config.layers; l++)
        for (uint32_t i = 0; i < t->n; i++) sum += layer_work(shape, l, rows_before(t) + i).kv_bytes;
    return sum;
}

struct bench_work bench_work(const struct bench_test *t, uint32_t reps, const struct fleet *f)
{
    struct model_shape shape = model_shape(fleet_pipe(f, 0)->model, NULL);
    struct bench_work w = {0};
    double sequences = (double)reps * t->sequences, rows = sequences * t->n, heads = t->prompt ? sequences : rows;
    for (size_t i = 0; i < (size_t)shape.config.layers * W_LAYER_ROLES; i++)
        if (!role_is_norm(shape.layer_tensors[i].role)) add_matrix(&w, &shape.layer_tensors[i], rows);
    add_matrix(&w, &shape.head, heads);
    w.bytes = weights_read(t, heads, f) + (t->prompt ? 0 : sequences * kv_read(t, &shape));
    return w;
}
