/* tests/unit/engine/engine_property_test.c — whatever is asked, cancelled, held, woken, made urgent, restarted or lost, in
 * whatever order: each ask is finished once, its tokens are those of a quiet run, and in the end nothing is left over.
 *
 * The engine, the scheduler and the roster are the real ones; workers, network and time are drawn (transport/links/sim.h). A worker
 * computes hashes (tests/support/hash_stage.h), and its pages are drawn to be few. In half of the worlds with several workers the head is divided: the
 * last one's rows travel to the others, and the token has to be found among what all of them name. In a quarter of the worlds an ask ends
 * whoever computes its token: it fails alone, and nobody else does. SEEDS=N runs N of them, SEED=S that one alone. */
#include "coordinator/cluster/recover.h"
#include "tests/support/check.h"
#include "tests/support/hash_stage.h"
#include "tests/support/leftovers.h"
#include "transport/links/sim.h"

#include <stdlib.h>

#define SEEDS 2000
#define WORKERS 3
#define VOCAB 256 /* sixteen parts of a divided head have sixteen words each */
#define HIDDEN HASH_HIDDEN
#define ASKS 24
#define TURNS_MOST 20000
#define CONTEXT 300 /* positions, at most */

#define PLAN_HASH 77
#define MS 1000000ull

/* ---- workers ---- */

struct world;
struct asked;
struct simulated { /* worker */
    struct world *world;
    struct port *port;
    int index, number; /* from 0; of the simulation */
    uint64_t busy_until_ns, computed; /* computed: the last micro-batch, and 1 */
    char address[SIM_ADDRESS];
    struct hash_stage stage;
};

/* What a worker is computing; after a restart nobody wants it, as a worker that is greeted again drops what it has before it. */
struct computing {
    struct computing *next; /* all of a world, the newest first */
    struct simulated *worker;
    struct frame *frame;
    int to;
    uint32_t epoch;
};

struct world {
    struct sim *sim;
    struct simulated worker[WORKERS];
    int workers;
    int swallows; /* what this worker sends gets lost, from 1; 0: none */
    uint32_t slots, epoch;
    bool divided; /* the head */
    bool counts;  /* the model, prompts do so too, and most asks want no biases: guesses of lookup are often right */
    struct pipeline pipe;
    struct model model;
    struct holding holding[WORKERS];
    struct member *crew[WORKERS];
    struct worker_offer offers[WORKERS];
    struct route route;
    float embedding[VOCAB * HIDDEN];
    struct engine *engine;
    struct asked *asks; /* [ASKS] */
    uint32_t n_asks;
    uint64_t reused; /* rows */
    uint64_t poison; /* key of an ask whose first token ends whoever computes it; 0: there is none */
    bool died;       /* somebody did */
    struct computing *computing;
    uint64_t dice;
    struct work work, score; /* the one a worker has before it; rows for a divided head, each with its token as a value */
    struct result result;
    struct scored scored;
};

static int answer_greeting(struct simulated *w, struct port *port, struct err *why)
{
    const struct hello hello = {.build = "b", .host = "h", .isa = "sim", .threads = 1, .numeric = worker_numeric()};
    struct frame *f = NULL;
    w->port = port;
    TRY(port_route(port, 1, PLAN_HASH, w->world->epoch, why));
    if (w->index + 1 < w->world->workers) TRY(port_reach(port, w->index + 2, w->world->worker[w->index + 1].address, why));
    TRY(hello_write(&f, &hello, why));
    return sim_send_later(port, 0, &f, 0, why);
}

static void computed(void *user)
{
    struct computing *c = user;
    struct simulated *w = c->worker;
    struct computing **at = &w->world->computing;
    while (*at != c) at = &(*at)->next;
    *at = c->next;
    if (c->epoch == w->world->epoch && sim_is_alive(w->world->sim, w->number)) (void)port_send(w->port, c->to, &c->frame, NULL);
    frame_free(c->frame);
    free(c);
}

/* After what it computes already. */
static int send_computed(struct simulated *w, int to, struct frame **f, uint64_t takes_ns, struct err *why)
{
    struct computing *c = malloc(sizeof *c);
    const uint64_t now = clock_now(sim_clock(w->world->sim));
    if (!c) return fail(why, E_MEMORY, "no memory");
    *c = (struct computing){w->world->computing, w, *f, to, w->world->epoch};
    w->world->computing = c;
    *f = NULL;
    w->busy_until_ns = (w->busy_until_ns > now ? w->busy_until_ns : now) + takes_ns;
    return sim_at(w->world->sim, w->busy_until_ns, computed, c, why);
}

struct saying {
    struct simulated *worker;
    uint64_t takes_ns;
};

static int say(void *user, struct frame **f, struct err *why)
{
    const struct saying *how = user;
    (*f)->head.route = 1;
    return send_computed(how->worker, 0, f, how->takes_ns, why);
}

static int name_candidates(struct simulated *w, uint64_t takes_ns, struct err *why)
{
    return hash_stage_score(&w->stage, &w->world->score, &w->world->scored, say, &(struct saying){w, takes_ns}, why);
}

/* As the last stage does: its wanted rows go to the coordinator, for the others, and it names its own candidates. */
static int divide(struct simulated *w, uint64_t takes_ns, struct err *why)
{
    struct work *score = &w->world->score;
    struct frame *f = NULL;
    uint8_t kept[WIRE_SEGMENTS * HIDDEN * sizeof(float)];
    TRY(hash_stage_divide(&w->world->result, score, &f, why));
    memcpy(kept, score->activations, (size_t)score->n_rows * HIDDEN * sizeof(float));
    TRY(say(&(struct saying){w, takes_ns}, &f, why));
    score->activations = kept;
    return name_candidates(w, takes_ns, why);
}

static int compute(struct simulated *w, struct frame **f, struct err *why)
{
    struct world *world = w->world;
    struct work *m = &world->work;
    const uint64_t takes = MS / 10 * (1 + dice(&world->dice, 30));
    TRY(work_read(m, *f, why));
    for (uint32_t i = 0; i < m->n_segments; i++) world->died |= m->segments[i].request == world->poison && m->segments[i].wanted;
    if (world->died) return 0;
    TRY(hash_stage_run(&w->stage, m, &world->result, &world->score, why));
    w->computed = m->batch + 1;
    if (world->swallows == w->index + 1) return 0;
    if (w->index + 1 < world->workers) return send_computed(w, w->index + 2, f, takes, why);
    if (world->divided && world->score.n_rows) return divide(w, takes, why);
    struct frame *reply = NULL;
    TRY(result_write(&reply, &world->result, why));
    return say(&(struct saying){w, takes}, &reply, why);
}

static int score_for_others(struct simulated *w, struct frame *f, struct err *why)
{
    TRY(score_read(&w->world->score, f, why));
    return name_candidates(w, MS / 10 * (1 + dice(&w->world->dice, 10)), why);
}

static int answer_ping(const struct simulated *w, struct port *port, struct frame *f, struct err *why)
{
    struct frame *pong = NULL;
    struct ping m;
    TRY(ping_read(&m, f, why));
    m.batch = w->computed;
    TRY(ping_write(&pong, M_PONG, &m, why));
    return sim_send_later(port, 0, &pong, 0, why);
}

static int worker_hears(void *user, struct port *port, struct frame **f, struct err *why)
{
    struct simulated *w = user;
    switch ((*f)->head.type) {
    case M_GREET: return answer_greeting(w, port, why);
    case M_WORK: return compute(w, f, why);
    case M_SCORE: return score_for_others(w, *f, why);
    case M_PING: return answer_ping(w, port, *f, why);
    default: return 0;
    }
}

/* ---- a world ---- */

static void describe_model(struct world *w)
{
    for (int i = 0; i < VOCAB * HIDDEN; i++) w->embedding[i] = (float)i;
    w->model.config = (struct model_config){.layers = (uint32_t)w->workers, .hidden = HIDDEN, .vocab = VOCAB, .window = dice(&w->dice, 3) ? 1 + dice(&w->dice, 150) : 0,
                                            .pattern = 1 + dice(&w->dice, 3)};
    w->model.embedding = (struct tensor){.type = T_F32, .rows = VOCAB, .cols = HIDDEN, .data = (const uint8_t *)w->embedding};
}

static void describe_plan(struct world *w)
{
    struct plan *p = &w->pipe.plan;
    w->slots = 1 + dice(&w->dice, 4);
    for (int i = 0; i < w->workers; i++) {
        const bool last = i + 1 == w->workers;
        const uint32_t from = HEAD_PARTS * (uint32_t)i / (uint32_t)w->workers, to = HEAD_PARTS * (uint32_t)(i + 1) / (uint32_t)w->workers;
        w->holding[i].part[CHAIN_TEXT] = w->divided ? (struct part){(uint32_t)i, (uint32_t)i + 1, from, to, false}
                                                    : (struct part){(uint32_t)i, (uint32_t)i + 1, 0, last ? HEAD_PARTS : 0, false};
        w->route.worker[w->route.n++] = (uint16_t)i;
        w->offers[i].threads = 1;
    }
    *p = (struct plan){.workers = w->workers, .of = w->holding, .n_routes = 1, .route = &w->route, .hash = PLAN_HASH,
                       .capacity = {.context = dice(&w->dice, 4) ? CONTEXT : 96, .sequences = w->slots, .rows = 2 + dice(&w->dice, 15),
                                    .in_flight = 1 + dice(&w->dice, 4), .blocks = 1 + dice(&w->dice, dice(&w->dice, 2) ? 12 : 40)}};
}

static int hire(struct world *w, struct err *why)
{
    for (int i = 0; i < w->workers; i++) {
        struct simulated *s = &w->worker[i];
        *s = (struct simulated){.world = w, .index = i};
        TRY(sim_process(w->sim, worker_hears, s, s->address, &s->number, why));
        TRY(roster_add(w->pipe.roster, s->address, why));
    }
    TRY(recover_open(&w->pipe, &w->pipe.plan.capacity, why));
    for (int joined = 0; joined < w->workers;) {
        struct event e;
        TRY(roster_next(w->pipe.roster, &e, 1000, why));
        if (e.kind == EVENT_JOINED) {
            joined++;
            e.who->worker = e.who->node - 1;
            e.who->standing = READY;
            w->crew[e.who->worker] = e.who;
        }
        event_free(&e);
        if (e.kind == EVENT_LOST) return *why = e.why, e.why.code;
    }
    return port_route(roster_port(w->pipe.roster), 1, PLAN_HASH, w->epoch, why);
}

static int world_open(struct world *w, uint64_t seed, struct err *why)
{
    const struct sim_links links = {.seed = seed, .delay_ns = MS / 5, .jitter_ns = 2 * MS};
    struct port *home;
    *w = (struct world){.dice = mix(seed), .epoch = 1, .pipe.crew = w->crew, .pipe.offers = w->offers, .pipe.whole = true};
    w->workers = w->pipe.workers = 1 + (int)dice(&w->dice, WORKERS);
    w->divided = w->workers > 1 && dice(&w->dice, 2);
    w->counts = dice(&w->dice, 2);
    w->pipe.model = &w->model;
    describe_model(w);
    describe_plan(w);
    TRY(sim_open(&w->sim, &links, why));
    TRY(sim_port(w->sim, &home, why));
    TRY(roster_open(&w->pipe.roster, home, sim_clock(w->sim), why));
    TRY(hire(w, why));
    const struct engine_setup setup = {.pipe = &w->pipe, .end_of_turn = -1, .eos = HASH_EOS, .lookup = w->counts, .no_prefix_reuse = seed % 8 == 0};
    TRY(engine_open(&w->engine, &setup, why));
    struct pages_stage stage[STAGES_MOST];
    const struct pages_limits limits = engine_pool(&w->pipe, stage);
    for (int i = 0; i < w->workers; i++) {
        w->worker[i].stage = (struct hash_stage){.config = &w->model.config, .part = w->holding[i].part[CHAIN_TEXT], .counts = w->counts};
        book_open(&w->worker[i].stage.book, &stage[i], &limits);
    }
    return 0;
}

static void world_close(struct world *w)
{
    engine_close(&w->engine);
    recover_close(&w->pipe);
    roster_close(&w->pipe.roster);
    sim_close(&w->sim);
    for (struct computing *c; (c = w->computing);) { /* what nobody waited for */
        w->computing = c->next;
        frame_free(c->frame);
        free(c);
    }
}

/* The route begins anew: what is under way is of an old epoch and comes to nothing. */
static int restart(struct world *w, struct err *why)
{
    w->epoch++;
    TRY(port_route(roster_port(w->pipe.roster), 1, PLAN_HASH, w->epoch, why));
    for (int i = 0; i < w->workers; i++) {
        TRY(port_route(w->worker[i].port, 1, PLAN_HASH, w->epoch, why));
        book_forget_all(&w->worker[i].stage.book);
    }
    w->pipe.epoch = w->epoch;
    w->pipe.losses += w->died;
    w->died = false;
    return 0;
}

/* ---- asks ---- */

struct asked {
    struct world *world;
    uint32_t ids[CONTEXT], n, most, made[CONTEXT], n_made;
    uint64_t key, number;
    int finished;
    bool cancelled, grumpy, told_late; /* grumpy: its listener is often full */
    bool biased;
    enum finish how;
};

static int ask_somebody(struct world *w, struct err *why);

/* What listeners do beside listening. Refused when the run is over. */
static void meddle(struct world *w)
{
    struct err no;
    if (w->n_asks < ASKS && dice(&w->dice, 40) == 0) (void)ask_somebody(w, &no);
    if (dice(&w->dice, 60)) return;
    struct asked *other = &w->asks[dice(&w->dice, w->n_asks)];
    other->cancelled = true;
    engine_cancel(w->engine, other->number);
}

static bool hear(void *user, const struct said *said)
{
    struct asked *a = user;
    a->told_late |= a->finished > 0;
    if (a->grumpy && dice(&a->world->dice, 3)) return false;
    a->made[a->n_made++] = said->id;
    if (dice(&a->world->dice, 60) == 0) engine_cancel(a->world->engine, said->number), a->cancelled = true;
    meddle(a->world);
    return true;
}

static void hear_end(void *user, const struct ended *ended)
{
    struct asked *a = user;
    a->finished++;
    a->how = ended->how;
    a->world->reused += ended->reused_rows;
    meddle(a->world);
}

/* A prompt of its own, one that goes on where an earlier answer ended, or one that begins as others do: with one of three texts that
 * are alike up to where they part. */
static void draw_prompt(struct world *w, struct asked *a, const struct asked *earlier)
{
    const uint32_t context = w->pipe.plan.capacity.context;
    uint32_t rows = 1 + dice(&w->dice, dice(&w->dice, 4) ? 30 : context - 20);
    if (earlier && earlier->finished && earlier->n + earlier->n_made + 24 < context) {
        memcpy(a->ids, earlier->ids, earlier->n * sizeof *a->ids);
        memcpy(a->ids + earlier->n, earlier->made, earlier->n_made * sizeof *a->ids);
        a->n = earlier->n + earlier->n_made;
        rows = 1 + dice(&w->dice, 8);
    } else if (dice(&w->dice, 2)) {
        const uint32_t text = dice(&w->dice, 3), part = 100 * (1 + dice(&w->dice, 2));
        for (const uint32_t n = dice(&w->dice, context - 40); a->n < n;) a->ids[a->n] = a->n < part ? 7 : text, a->n++;
        rows = dice(&w->dice, 3) ? 1 + dice(&w->dice, 12) : 1;
    }
    for (uint32_t i = 0; i < rows; i++, a->n++)
        a->ids[a->n] = w->counts && a->n && dice(&w->dice, 20) ? hash_counted_on(a->ids[a->n - 1]) : dice(&w->dice, rows > 1 ? VOCAB : 2);
    a->most = 1 + dice(&w->dice, w->counts ? 50 : 12);
}

static int ask_somebody(struct world *w, struct err *why)
{
    struct asked *a = &w->asks[w->n_asks];
    const struct asked *earlier = w->n_asks && dice(&w->dice, 2) ? &w->asks[dice(&w->dice, w->n_asks)] : NULL;
    const struct listener l = {hear, NULL, hear_end, a, NULL};
    *a = (struct asked){.world = w, .key = 1000 + w->n_asks, .grumpy = dice(&w->dice, 4) == 0, .biased = !w->counts || dice(&w->dice, 4) == 0};
    draw_prompt(w, a, earlier);
    const struct ask ask = {.ids = a->ids, .n = a->n, .most = a->most, .key = a->key, .priority = (int)dice(&w->dice, 3),
                            .deadline_ns = dice(&w->dice, 40) ? 0 : clock_now(sim_clock(w->sim)) + 30 * MS,
                            .salt = dice(&w->dice, 8) == 0, .sampling = {.repeat_penalty = 1}, .wish.frequency = a->biased};
    TRY(engine_ask(w->engine, &ask, &l, &a->number, why));
    w->n_asks++;
    return 0;
}

/* What a quiet run says: the model itself, row after row. */
static uint32_t quiet_answer(const struct asked *a, uint32_t *out, bool *ended)
{
    uint64_t history = HISTORY_EMPTY, said = 0;
    uint32_t n = 0, position = 0, last = a->ids[a->n - 1];
    for (; position < a->n; position++) history = history_after(history, a->ids[position]);
    for (*ended = false; n < a->most && a->n + n <= a->world->pipe.plan.capacity.context; position++) {
        const uint32_t id = hash_token(&a->world->model.config, a->world->counts, history, 0, last, a->key + said, position - 1);
        if (id == HASH_EOS) {
            *ended = true;
            break;
        }
        out[n++] = last = id;
        said += a->biased ? id + 1 : 0;
        history = history_after(history, id);
    }
    return n;
}

static bool is_right(const struct asked *a)
{
    uint32_t want[CONTEXT];
    bool ended;
    const uint32_t n = quiet_answer(a, want, &ended);
    const bool whole = a->how == FINISH_STOP || a->how == FINISH_LENGTH || a->how == FINISH_CONTEXT;
    if (a->finished != 1 || a->told_late || a->n_made > n || memcmp(a->made, want, a->n_made * sizeof *want)) return false;
    return !whole || (a->n_made == n && (a->how == FINISH_STOP) == ended);
}

/* ---- a history ---- */

static int turn(struct world *w, int timeout_ms, struct err *why)
{
    if (w->died) TRY(restart(w, why));
    return engine_turn(w->engine, timeout_ms, why);
}

static int one_turn(struct world *w, bool losses, struct err *why)
{
    switch (dice(&w->dice, 12)) {
    case 0:
    case 1:
    case 2: /* somebody asks */
        if (w->n_asks < ASKS) TRY(ask_somebody(w, why));
        break;
    case 3: /* somebody cancels, perhaps what is over */
        if (!w->n_asks || dice(&w->dice, 3)) break;
        {
            struct asked *a = &w->asks[dice(&w->dice, w->n_asks)];
            a->cancelled = true;
            engine_cancel(w->engine, a->number);
        }
        break;
    case 4: engine_wake(w->engine); break;
    case 5:
        if (dice(&w->dice, 10) == 0) TRY(restart(w, why));
        break;
    case 6:
        if (losses && dice(&w->dice, 25) == 0) sim_end(w->sim, w->worker[dice(&w->dice, (uint32_t)w->workers)].number);
        break;
    default: break;
    }
    return turn(w, 1 + (int)dice(&w->dice, 4), why);
}

struct sums {
    uint64_t guessed, right, reused, poisoned;
};

/* 0: it held; else says why not. */
static int live_through(uint64_t seed, struct sums *out, struct err *why)
{
    static struct world w;
    static struct asked asks[ASKS];
    const bool losses = seed % 10 == 0;
    int turns = 0, code = world_open(&w, seed, why);
    if (code) return code;
    w.asks = asks;
    w.poison = seed % 4 == 1 ? 1000 + dice(&w.dice, 4) : 0;
    while (!code && turns++ < 400) code = one_turn(&w, losses, why);
    while (!code && engine_unanswered(w.engine) && turns++ < TURNS_MOST) code = turn(&w, 50, why);
    const bool lost = code == E_WORKER && losses;
    if (lost) code = 0;
    if (!code && turns >= TURNS_MOST) code = fail(why, E_INTERNAL, "%u asks are never answered", engine_unanswered(w.engine));
    if (!code && !lost && !nothing_is_left(w.engine)) code = fail(why, E_INTERNAL, "something is left over");
    for (uint32_t i = 0; i < w.n_asks && !code; i++) {
        const struct asked *a = &asks[i];
        if (!is_right(a)) code = fail(why, E_INTERNAL, "ask %u: finished %d times as %d with %u tokens", i, a->finished, a->how, a->n_made);
        else if (a->how == FINISH_CANCELLED && !a->cancelled) code = fail(why, E_INTERNAL, "ask %u was cancelled by nobody", i);
        else if (a->how == FINISH_FAILED && !lost && a->key != w.poison) code = fail(why, E_INTERNAL, "ask %u failed alone", i);
    }
    for (int i = 0; i < w.workers && code == E_WORKER; i++)
        if (sim_why(w.sim, w.worker[i].number)->code) *why = *sim_why(w.sim, w.worker[i].number);
    out->poisoned += w.poison && w.n_asks > w.poison - 1000 && asks[w.poison - 1000].how == FINISH_FAILED;
    out->guessed += engine_totals(w.engine).guessed;
    out->right += engine_totals(w.engine).guessed_right;
    out->reused += w.reused;
    world_close(&w);
    return code;
}

TEST(whatever_happens_in_whatever_order_each_ask_ends_once_and_says_what_a_quiet_run_says)
{
    const char *some = getenv("SEEDS"), *one = getenv("SEED");
    const uint64_t first = one ? strtoull(one, NULL, 10) : 0, end = one ? first + 1 : some ? strtoull(some, NULL, 10) : SEEDS;
    struct sums sums = {0};
    for (uint64_t seed = first; seed < end; seed++) {
        struct err e = {0};
        const int code = live_through(seed, &sums, &e);
        CHECK(code == 0, "seed %llu: %s", (unsigned long long)seed, e.text);
        if (code) break;
    }
    CHECK(one || (sums.right && sums.guessed > sums.right), "%llu guesses, %llu right", (unsigned long long)sums.guessed,
          (unsigned long long)sums.right);
    CHECK(one || sums.poisoned > (end - first) / 8, "%llu asks that end workers failed", (unsigned long long)sums.poisoned);
    CHECK(one || sums.reused > 20 * (end - first), "%llu rows were reused", (unsigned long long)sums.reused);
}

/* All live and answer, and none of them is at work. */
TEST(rows_that_get_lost_between_two_workers_are_missed_and_both_are_named)
{
    static struct world w;
    static struct asked asks[ASKS];
    int of[WORKERS + 1] = {0};
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct err no = {0};
        char named[80] = "awaited of it";
        int code = 0;
        NEED(world_open(&w, seed, why));
        w.asks = asks;
        w.swallows = 1 + (int)(seed % (uint64_t)w.workers);
        NEED(ask_somebody(&w, why));
        for (int turns = 0; !code && turns < TURNS_MOST && engine_unanswered(w.engine); turns++) code = engine_turn(w.engine, 50, &no);
        if (w.swallows < w.workers) snprintf(named, sizeof named, "did not get to worker %d", w.swallows + 1);
        if (code) CHECK(code == E_WORKER && strstr(no.text, named), "seed %llu: %s", (unsigned long long)seed, no.text);
        if (code) of[w.swallows]++;
        world_close(&w);
    }
    CHECK(of[1] > 5 && of[2] > 5, "%d and %d were missed", of[1], of[2]);
}
