/* coordinator/simulate/invented_pipe.c — see invented_pipe.h.
 *
 * The engine sees a model of its own: as many layers, windows and pages as the real one, but rows of INVENTED_HIDDEN values and
 * INVENTED_VOCAB words, so that nothing large is copied. What a message would weigh is reckoned from the rows that are in it.
 *
 * Workers of one machine that would use more cores together than it has wait for each other: whoever comes first has them until it has done.
 * A system shares them more finely, to the same sum. */
#include "coordinator/simulate/invented_pipe.h"

#include "base/dice.h"
#include "coordinator/cluster/recover.h"
#include "coordinator/engine/engine.h"
#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"
#include "transport/links/sim.h"
#include "worker/worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INVENTED_HIDDEN 8
#define INVENTED_VOCAB 256 /* each of the head's sixteenths has some */
#define LOST_NS ((uint64_t)(LOSS_SECONDS * 1e9))
#define TURN_MS 1000
#define SHORT_BYTES 4096

struct invented_worker {
    struct invention *of;
    struct port *port;
    int index, number; /* in the plan, from 0; in the simulation */
    char address[SIM_ADDRESS];
    uint64_t busy_until_ns, busy_ns, link_free_ns;
    struct purse purse;
    uint32_t held_rows[WIRE_SEGMENTS]; /* of each slot */
    uint64_t pages;      /* the most it held at once */
    struct diary *diary; /* NULL: nobody will look */
};

struct invention {
    const struct invented_pipe *in;
    const struct invented_load *load;
    struct sim *sim;
    struct pipeline pipe;
    struct model model;
    float embedding[INVENTED_VOCAB * INVENTED_HIDDEN];
    struct invented_worker *worker; /* [pipe.workers] */
    struct engine *engine;
    uint64_t dice, begun_ns;
    uint64_t home_free_ns; /* the coordinator's link */
    int cores;             /* of the machine that workers share; 0: all have enough */
    uint64_t core_free_ns[CORES_MOST];
    double bytes;
    uint32_t asked, ended;
    uint32_t *ids; /* of a prompt that is being asked */
    struct work work; /* the one before a worker */
    struct result result;
    struct scored scored;
    struct run_chart *recorded; /* NULL: nobody will look */
    struct trace *trace;        /* the same */
    struct happened_rows rows[WIRE_SEGMENTS]; /* of what is told */
};

static uint64_t draw(struct invention *v)
{
    return dice_throw(&v->dice);
}

static double draw_unit(struct invention *v)
{
    return (double)(draw(v) >> 11) * 0x1p-53;
}

/* Around 1, with that deviation; never below a fifth. The sum of twelve even draws is near enough to a bell. */
static double draw_around_one(struct invention *v, double deviation)
{
    if (deviation <= 0) return 1;
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += draw_unit(v);
    return fmax(1 + deviation * sum, 0.2);
}

/* ---- links ---- */

/* The way between two processes; what is said of links holds for both ends. The coordinator's is as its first worker's. */
static struct cluster_link way_between(const struct invention *v, int from, int to)
{
    const struct cluster_link *links = v->in->links;
    if (!links) return (struct cluster_link){.hop = plan_hop(v->in->offers, from - 1, to - 1)};
    const struct cluster_link *a = &links[from ? from - 1 : 0], *b = &links[to ? to - 1 : 0];
    const double slow = a->hop.bytes_per_second, other = b->hop.bytes_per_second;
    struct cluster_link way = {.hop = {fmax(a->hop.delay, b->hop.delay), slow > 0 && other > 0 ? fmin(slow, other) : fmax(slow, other)},
                               .loss = fmax(a->loss, b->loss)};
    if (!a->said && !b->said && v->in->offers->measured) way.hop = plan_hop(v->in->offers, from - 1, to - 1);
    return way;
}

/* As if its rows were as wide as the model's. */
static double weight(struct invention *v, struct frame *f)
{
    const double bytes = (double)(FRAME_HEAD_BYTES + f->head.body_bytes);
    const bool rows = f->head.type == M_WORK || f->head.type == M_SCORE;
    const double wider = (double)v->in->shape->config.hidden - INVENTED_HIDDEN;
    if (!rows || (f->head.type == M_WORK ? work_read(&v->work, f, NULL) : score_read(&v->work, f, NULL))) return bytes;
    return bytes + v->work.n_rows * wider * sizeof(float);
}

/* A message leaves by its sender's link, when that is free, and takes the longer of the two ways. Connections share a link evenly, so a
 * short message does not wait for the long ones of others. */
static uint64_t travel_ns(void *user, int from, int to, struct frame *f)
{
    struct invention *v = user;
    const struct cluster_link way = way_between(v, from, to);
    const uint64_t now = clock_now(sim_clock(v->sim));
    uint64_t *free_ns = from ? &v->worker[from - 1].link_free_ns : &v->home_free_ns;
    const double bytes = weight(v, f), rate = way.hop.bytes_per_second;
    v->bytes += bytes;
    const uint64_t begin = *free_ns > now && bytes > SHORT_BYTES ? *free_ns : now, leaves = rate > 0 ? (uint64_t)(bytes / rate * 1e9) : 0;
    if (bytes > SHORT_BYTES) *free_ns = begin + leaves;
    return begin - now + leaves + (uint64_t)(way.hop.delay * 1e9) + (draw_unit(v) < way.loss ? LOST_NS : 0);
}

/* ---- workers ---- */

static int join_run(struct invented_worker *w, struct port *port, struct err *why)
{
    const struct plan *p = &w->of->pipe.plan;
    struct hello hello = {.build = "invented", .isa = "invented", .threads = 1, .numeric = worker_numeric()};
    const int next = route_after(plan_text_route(p), w->index);
    struct frame *f = NULL;
    snprintf(hello.host, sizeof hello.host, "%s", w->of->in->offers[w->index].name);
    w->port = port;
    TRY(port_route(port, 1, p->hash, 1, why));
    if (next >= 0) TRY(port_reach(port, next + 1, w->of->worker[next].address, why));
    TRY(hello_write(&f, &hello, why));
    return sim_send_later(port, 0, &f, 0, why);
}

/* The core that is free last before then, so that no other is left idle; or else the first that will be. */
static int choose_core(const struct invention *v, uint64_t at_ns)
{
    int best = 0;
    for (int i = 1; i < v->cores; i++) {
        const uint64_t free = v->core_free_ns[i], known = v->core_free_ns[best];
        if (known > at_ns ? free < known : free <= at_ns && free > known) best = i;
    }
    return best;
}

/* When it can begin, from then on, with something that takes so long. */
static uint64_t take_cores(struct invention *v, const struct worker_offer *o, uint64_t at_ns, uint64_t ns)
{
    int taken[CORES_MOST], n = (int)ceil(o->uses - 0.01);
    uint64_t begin = at_ns;
    if (!v->cores || !(o->cores > 0)) return at_ns;
    if (n > v->cores) n = v->cores;
    for (int i = 0; i < n; i++) {
        taken[i] = choose_core(v, at_ns);
        uint64_t *free_ns = &v->core_free_ns[taken[i]];
        if (*free_ns > begin) begin = *free_ns;
        *free_ns = UINT64_MAX;
    }
    for (int i = 0; i < n; i++) v->core_free_ns[taken[i]] = begin + ns;
    return begin;
}

/* How long it takes to compute so long, and to stand still where its ration makes it. */
static uint64_t until_done(struct invented_worker *w, uint64_t begin_ns, uint64_t ns)
{
    const struct ration *r = &w->of->in->offers[w->index].ration;
    const double begin = (double)begin_ns / 1e9;
    return ration_share(r) < 1 ? (uint64_t)((ration_end(r, &w->purse, begin, (double)ns / 1e9) - begin) * 1e9) : ns;
}

/* Takes the frame; `seconds` on a nominal thread, or of this very worker if it was measured. */
static int send_after(struct invented_worker *w, int to, struct frame **f, double seconds, struct diary_span span, struct err *why)
{
    struct invention *v = w->of;
    const struct worker_offer *offer = &v->in->offers[w->index];
    const double full = offer_power(offer) / ration_share(&offer->ration);
    const double takes = seconds / full * draw_around_one(v, v->in->links ? v->in->links[w->index].jitter : 0);
    const uint64_t now = clock_now(sim_clock(v->sim)), idle = w->busy_until_ns > now ? w->busy_until_ns : now;
    span.begin_ns = take_cores(v, offer, idle, (uint64_t)(takes * 1e9));
    const uint64_t ns = until_done(w, span.begin_ns, (uint64_t)(takes * 1e9));
    span.end_ns = w->busy_until_ns = span.begin_ns + ns;
    w->busy_ns += ns;
    if (w->diary && ns) diary_add(w->diary, span);
    (*f)->head.route = 1;
    return sim_send_later(w->port, to, f, span.end_ns - idle, why);
}

static struct part part_of(const struct invented_worker *w)
{
    return w->of->pipe.plan.of[w->index].part[CHAIN_TEXT];
}

static uint32_t any_word(uint64_t key, uint32_t position)
{
    return (uint32_t)((key * 31 + position) % INVENTED_VOCAB);
}

/* The work that was just read: rows, where they stand in the mean, and how many want a token. */
static double rows_of(const struct work *m, double *position, uint32_t *wanted)
{
    double sum = 0;
    *wanted = 0;
    for (uint32_t i = 0; i < m->n_segments; i++) {
        sum += (m->segments[i].position + m->segments[i].rows / 2.0) * m->segments[i].rows;
        *wanted += m->segments[i].wanted;
    }
    *position = m->n_rows ? sum / m->n_rows : 0;
    return m->n_rows;
}

/* Keys and values that a worker holds at most: pages of all its layers. The prompts are drawn, so no two begin alike. */
static void count_pages(struct invented_worker *w, const struct work *m)
{
    struct invention *v = w->of;
    const struct model_config *c = &v->in->shape->config;
    const struct capacity *cap = &v->in->plan->capacity;
    const struct part p = part_of(w);
    uint64_t global = 0, local = 0, layers = 0;
    for (uint32_t i = 0; i < m->n_orders; i++)
        if (m->orders[i].kind == ORDER_FORGET || m->orders[i].kind == ORDER_BACK) w->held_rows[m->orders[i].slot] = m->orders[i].rows;
    for (uint32_t i = 0; i < m->n_segments; i++) w->held_rows[m->segments[i].slot] = m->segments[i].position + m->segments[i].rows;
    for (uint32_t i = 0; i < cap->sequences; i++) {
        const uint64_t blocks = (w->held_rows[i] + KV_PAGE - 1) / KV_PAGE, ring = kv_ring(c, cap);
        global += blocks, local += blocks < ring ? blocks : ring;
    }
    for (uint32_t i = p.first; i < p.end; i++) layers += layer_is_global(c, i);
    const uint64_t pages = layers * global + (p.end - p.first - layers) * local;
    if (pages > w->pages) w->pages = pages;
}

static void fill_result(struct result *r, const struct work *m)
{
    *r = (struct result){.batch = m->batch};
    for (uint32_t i = 0; i < m->n_segments; i++) {
        const struct segment *g = &m->segments[i];
        for (uint32_t k = g->rows - g->wanted; k < g->rows; k++)
            r->tokens[r->n_tokens++] = (struct token){.slot = g->slot, .position = g->position + k, .id = any_word(g->request, g->position + k)};
    }
}

/* What this worker's sixteenths of the head say of rows that were read into v->work: every one is as good as the other. */
static int say_scored(struct invented_worker *w, struct err *why)
{
    struct invention *v = w->of;
    const struct work *m = &v->work;
    const struct part p = part_of(w), words = {0, 0, p.back, p.back_end, false};
    const double each = part_seconds(v->in->offers[w->index].measured, v->in->shape, words, 0, 0, m->n_rows) / (m->n_rows ? m->n_rows : 1);
    struct scored *s = &v->scored;
    uint32_t at = 0;
    for (uint32_t i = 0; i < m->n_segments; i++)
        for (uint32_t k = 0; k < m->segments[i].rows; k++, at++) {
            struct frame *f = NULL;
            *s = (struct scored){.batch = m->batch, .slot = m->segments[i].slot, .position = m->segments[i].position + k, .part = p.back,
                                 .n_parts = part_head_parts(&v->model.config, p), .n_candidates = 1};
            for (uint32_t j = 0; j < s->n_parts; j++) s->parts[j].sum = 1;
            s->candidates[0] = (struct candidate){part_first_word(&v->model.config, p), 1, 1};
            TRY(scored_write(&f, s, why));
            TRY(send_after(w, 0, &f, each, (struct diary_span){.number = m->batch, .amount = 1, .what = DIARY_SCORES}, why));
        }
    return 0;
}

/* The last of the text, whose head is divided: the rows that want a token go home, for the others. */
static int divide(struct invented_worker *w, double seconds, struct diary_span span, struct err *why)
{
    struct work *m = &w->of->work;
    struct frame *f = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0, at = 0; i < m->n_segments; at += m->segments[i++].rows) {
        struct segment g = m->segments[i];
        for (uint32_t k = g.rows - g.wanted; k < g.rows; k++) m->rows[n + k - (g.rows - g.wanted)] = m->rows[at + k];
        n += g.wanted;
    }
    uint32_t segments = 0;
    for (uint32_t i = 0; i < m->n_segments; i++) {
        struct segment g = m->segments[i];
        if (!g.wanted) continue;
        g.position += g.rows - g.wanted;
        g.rows = g.wanted;
        g.flags &= SEG_WANT_HASH;
        m->segments[segments++] = g;
    }
    m->n_segments = segments;
    m->n_rows = n;
    m->n_orders = 0;
    TRY(score_write(&f, m, why));
    memset(m->activations, 0, (size_t)n * INVENTED_HIDDEN * sizeof(float));
    TRY(send_after(w, 0, &f, seconds, span, why));
    return part_has_head(part_of(w)) ? say_scored(w, why) : 0;
}

static int compute(struct invented_worker *w, struct frame **f, struct err *why)
{
    struct invention *v = w->of;
    struct work *m = &v->work;
    double position;
    uint32_t wanted;
    TRY(work_read(m, *f, why));
    count_pages(w, m);
    const double rows = rows_of(m, &position, &wanted);
    const struct part p = part_of(w), layers = {p.first, p.end, 0, 0, false};
    const int next = route_after(plan_text_route(&v->pipe.plan), w->index);
    const bool whole = part_has_whole_head(p);
    const double seconds = part_seconds(v->in->offers[w->index].measured, v->in->shape, next < 0 && whole && wanted ? p : layers, (uint32_t)position,
                                        rows, wanted);
    const struct diary_span span = {.number = m->batch, .amount = m->n_rows, .what = DIARY_ROWS};
    if (next >= 0) return send_after(w, next + 1, f, seconds, span, why);
    if (wanted && !whole) return divide(w, seconds, span, why);
    struct frame *reply = NULL;
    fill_result(&v->result, m);
    TRY(result_write(&reply, &v->result, why));
    return send_after(w, 0, &reply, seconds, span, why);
}

/* However long its work takes, it gets on with it. */
/* At once: who answers a ping never computes. */
static int answer_ping(struct port *port, struct frame *ping, struct err *why)
{
    struct ping m;
    struct frame *pong = NULL;
    TRY(ping_read(&m, ping, why));
    m.busy = BUSY_ROWS | BUSY_PICTURE;
    m.steps = m.at_ns;
    TRY(ping_write(&pong, M_PONG, &m, why));
    const int code = port_send(port, 0, &pong, why);
    frame_free(pong);
    return code;
}

static int worker_hears(void *user, struct port *port, struct frame **f, struct err *why)
{
    struct invented_worker *w = user;
    switch ((*f)->head.type) {
    case M_GREET: return join_run(w, port, why);
    case M_WORK: return compute(w, f, why);
    case M_SCORE: TRY(score_read(&w->of->work, *f, why)); return say_scored(w, why);
    case M_PING: return answer_ping(port, *f, why);
    default: return 0;
    }
}

/* ---- the pipeline ---- */

static void describe(struct invention *v)
{
    struct pipeline *p = &v->pipe;
    v->model.config = v->in->shape->config;
    v->model.config.hidden = INVENTED_HIDDEN;
    v->model.config.vocab = INVENTED_VOCAB;
    v->model.embedding = (struct tensor){.type = T_F32, .rows = INVENTED_VOCAB, .cols = INVENTED_HIDDEN, .data = (const uint8_t *)v->embedding};
    p->model = &v->model;
    p->plan = *v->in->plan;
    p->workers = p->plan.workers;
    p->offers = (struct worker_offer *)v->in->offers;
    const double cores = plan_cores_short(p->offers, p->workers);
    if (cores > 0) v->cores = (int)fmin(fmax(cores, 1), CORES_MOST);
}

static int hire(struct invention *v, bool diaries, struct err *why)
{
    const int n = v->pipe.workers;
    v->worker = calloc((size_t)n, sizeof *v->worker);
    v->pipe.crew = calloc((size_t)n, sizeof *v->pipe.crew);
    if (!v->worker || !v->pipe.crew) return fail(why, E_MEMORY, "no memory for %d invented workers", n);
    for (int i = 0; i < n; i++) {
        struct invented_worker *w = &v->worker[i];
        *w = (struct invented_worker){.of = v, .index = i, .diary = diaries ? calloc(1, sizeof *w->diary) : NULL};
        w->purse = purse_full(&v->in->offers[i].ration, purse_phase(&v->in->offers[i].ration, i));
        if (diaries && !w->diary) return fail(why, E_MEMORY, "no memory for the diaries of %d invented workers", n);
        TRY(sim_process(v->sim, worker_hears, w, w->address, &w->number, why));
        TRY(roster_add(v->pipe.roster, w->address, why));
    }
    TRY(recover_open(&v->pipe, &v->pipe.plan.capacity, why));
    for (int joined = 0; joined < n;) {
        struct event e;
        TRY(roster_next(v->pipe.roster, &e, TURN_MS, why));
        event_free(&e);
        if (e.kind == EVENT_LOST || e.kind == EVENT_INTERRUPTED) return *why = e.why, e.why.code;
        if (e.kind != EVENT_JOINED) continue;
        snprintf(e.who->name, sizeof e.who->name, "worker %d (%.170s)", e.who->node, e.who->hello.host);
        e.who->worker = e.who->node - 1;
        e.who->standing = READY;
        v->pipe.crew[e.who->worker] = e.who;
        joined++;
    }
    v->pipe.whole = true;
    return port_route(roster_port(v->pipe.roster), 1, v->pipe.plan.hash, v->pipe.epoch, why);
}

static int open_invention(struct invention *v, bool diaries, struct err *why)
{
    const struct sim_links links = {.seed = v->load->seed, .travel_ns = travel_ns, .user = v};
    struct port *home;
    describe(v);
    TRY(sim_open(&v->sim, &links, why));
    TRY(sim_port(v->sim, &home, why));
    TRY(roster_open(&v->pipe.roster, home, sim_clock(v->sim), why));
    TRY(hire(v, diaries, why));
    const uint64_t widest = work_bytes_most(v->pipe.plan.capacity.sequences, v->pipe.plan.capacity.rows, INVENTED_HIDDEN, INVENTED_VOCAB);
    port_limits(roster_port(v->pipe.roster), widest + (1 << 20), 4096);
    const struct engine_setup setup = {.pipe = &v->pipe, .end_of_turn = -1, .eos = -1, .no_prefix_reuse = true};
    return engine_open(&v->engine, &setup, why);
}

static void close_invention(struct invention *v)
{
    engine_close(&v->engine);
    recover_close(&v->pipe);
    roster_close(&v->pipe.roster);
    sim_close(&v->sim);
    for (int i = 0; v->worker && i < v->pipe.workers; i++) free(v->worker[i].diary);
    free(v->worker);
    free(v->pipe.crew);
    free(v->ids);
    free(v);
}

/* ---- the load ---- */

static void ask_is_over(void *user, const struct ended *ended)
{
    struct invention *v = user;
    (void)ended;
    v->ended++;
}

static uint32_t draw_between(struct invention *v, const uint32_t limits[2])
{
    return limits[0] + (uint32_t)(draw(v) % ((uint64_t)limits[1] - limits[0] + 1));
}

static struct invented_ask draw_ask(struct invention *v, double at)
{
    const struct invented_load *l = v->load;
    if (l->asks) return l->asks[v->asked];
    struct invented_ask a = {.at = at, .number = l->first + v->asked};
    a.prompt = draw_between(v, l->prompt);
    a.answer = draw_between(v, l->answer);
    return a;
}

static int ask_one(struct invention *v, struct invented_ask a, struct err *why)
{
    for (uint32_t i = 0; i < a.prompt; i++) v->ids[i] = (uint32_t)(draw(v) % INVENTED_VOCAB);
    const struct ask ask = {.ids = v->ids, .n = a.prompt, .most = a.answer, .key = v->asked, .run_on = true, .sampling = {.repeat_penalty = 1, .top_p = 1}};
    const struct listener listener = {.finished = ask_is_over, .user = v};
    v->asked++;
    return engine_ask(v->engine, &ask, &listener, NULL, why);
}

/* As it was said, or at the moments of a Poisson process, or all at once. */
static int live(struct invention *v, struct err *why)
{
    const struct invented_load *l = v->load;
    const uint64_t begin_ns = v->begun_ns = clock_now(sim_clock(v->sim));
    if (!l->requests) return 0;
    struct invented_ask next = draw_ask(v, 0);
    v->ids = malloc(v->pipe.plan.capacity.context * sizeof *v->ids);
    if (!v->ids) return fail(why, E_MEMORY, "no memory for prompts of %u tokens", v->pipe.plan.capacity.context);
    while (v->ended < l->requests) {
        const double now = (double)(clock_now(sim_clock(v->sim)) - begin_ns) / 1e9;
        while (v->asked < l->requests && next.at <= now) {
            TRY(ask_one(v, next, why));
            if (v->asked < l->requests) next = draw_ask(v, next.at + (l->arrivals > 0 ? -log1p(-draw_unit(v)) / l->arrivals : 0));
        }
        const double left_ms = v->asked < l->requests ? (next.at - now) * 1e3 + 1 : TURN_MS;
        TRY(engine_turn(v->engine, left_ms < TURN_MS ? (int)left_ms : TURN_MS, why));
    }
    return 0;
}

/* ---- told ---- */

/* Its times are from the first request on: of several replicas each has a clock of its own. */
static uint64_t told_ns(const struct invention *v, uint64_t at_ns)
{
    return at_ns ? at_ns - v->begun_ns + INVENTED_BEGIN_NS : 0;
}

/* Requests as the load counts them, not as this replica's engine does. */
static uint64_t told_number(const struct invention *v, uint64_t number)
{
    return v->load->asks ? v->load->asks[number].number : v->load->first + number;
}

static void retell(void *user, const struct happened *h)
{
    struct invention *v = user;
    struct happened told = *h;
    told.at_ns = told_ns(v, h->at_ns), told.asked_ns = told_ns(v, h->asked_ns), told.first_ns = told_ns(v, h->first_ns);
    if (h->what <= ASK_ENDED) told.number = told_number(v, h->number);
    for (size_t i = 0; h->rows && i < h->n; i++) v->rows[i] = h->rows[i], v->rows[i].number = told_number(v, h->rows[i].number);
    if (h->rows) told.rows = v->rows;
    if (v->recorded) run_chart_watch(v->recorded, &told);
    told.replica = v->in->replica;
    if (v->trace) trace_watch(v->trace, &told);
}

static int collect_diaries(const struct invention *v, struct timeline *line, struct err *why)
{
    size_t n = 0;
    for (int i = 0; i < v->pipe.workers; i++) n += (size_t)(v->worker[i].diary->n - diary_oldest(v->worker[i].diary));
    line->moment = malloc((n + 1) * sizeof *line->moment);
    if (!line->moment) return fail(why, E_MEMORY, "no memory for the diaries of %d invented workers", v->pipe.workers);
    for (int i = 0; i < v->pipe.workers; i++) {
        const struct diary *d = v->worker[i].diary;
        line->forgotten += diary_oldest(d);
        for (uint64_t k = diary_oldest(d); k < d->n; k++) {
            struct moment *m = &line->moment[line->n++];
            *m = (struct moment){i, *diary_at(d, k)};
            m->span.begin_ns = told_ns(v, m->span.begin_ns), m->span.end_ns = told_ns(v, m->span.end_ns);
        }
    }
    return 0;
}

static void sum_up(struct invented_run *out, const struct invention *v)
{
    const struct engine_totals t = engine_totals(v->engine);
    out->seconds = (double)(t.ended_ns - t.begun_ns) / 1e9;
    out->requests = v->ended;
    out->prompt_rows = t.prompt_rows;
    out->tokens = t.made;
    out->batches = t.batches;
    out->rows = t.rows;
    out->bytes = v->bytes;
    for (int i = 0; i < v->pipe.workers; i++) out->pages[i] = v->worker[i].pages;
    for (int i = 0; i < v->pipe.workers; i++) out->busy[i] = out->seconds > 0 ? (double)v->worker[i].busy_ns / 1e9 / out->seconds : 0;
}

static int show(const struct invention *v, struct chart *chart, struct err *why)
{
    struct timeline line = {0};
    struct chart own = {0};
    int code = collect_diaries(v, &line, why);
    if (!code && v->trace) trace_add(v->trace, &v->pipe, &line, v->in->replica, v->in->replicas);
    if (!code && chart) code = run_chart_fill(&own, v->recorded, &v->pipe, &line, 0, why);
    if (!code && chart) code = chart_join(chart, &own, v->in->replica, v->in->replicas, why);
    chart_free(&own);
    timeline_free(&line);
    return code;
}

int invented_run(struct invented_run *out, const struct invented_pipe *pipe, const struct invented_load *load, struct chart *chart, struct trace *trace,
                 struct err *why)
{
    struct invention *v = calloc(1, sizeof *v);
    const bool told = chart || trace;
    if (!v) return fail(why, E_MEMORY, "no memory for an invented pipeline");
    v->in = pipe;
    v->load = load;
    v->dice = load->seed;
    v->trace = trace;
    int code = open_invention(v, told, why);
    if (!code && chart) code = run_chart_open(&v->recorded, why);
    if (!code) {
        engine_watch(v->engine, tally_watch, &out->tally);
        if (told) engine_watch(v->engine, retell, v);
        code = live(v, why);
    }
    if (!code) sum_up(out, v);
    if (!code && told) code = show(v, chart, why);
    run_chart_close(&v->recorded);
    close_invention(v);
    return code;
}
