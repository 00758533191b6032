/* tests/fuzz/coordinator_epochs_fuzz.c — a coordinator and workers on simulated links, one of whom lies (liar.h), while workers are killed, stopped, and
 * started again: through as many epochs as come of it.
 *
 * The input is a program: which scene, who lies, then eight bytes for each lie or fault. Whatever comes, a run ends within bounded time of the
 * world, either with the very words of a quiet run, or with a sentence that names who lied or died; nobody else is ever lost, and no worker is told
 * what an honest coordinator would not say. Of what a worker computed nobody can tell whether it is right: where it lied about that, words may
 * be others. TELL=1 tells all that happens. */
#include "base/dice.h"
#include "base/log.h"
#include "coordinator/cluster/recover.h"
#include "coordinator/cmd/collect.h"
#include "coordinator/engine/engine.h"
#include "partition/file/gguf_hashes.h"
#include "partition/plan/plan_text.h"
#include "tests/fuzz/liar.h"
#include "tests/support/folder.h"
#include "tests/support/obedient.h"
#include "tests/support/world_things.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define WORKERS 4
#define ASKS 4
#define PROMPT 80
#define MOST 12
#define MS 1000000ull
#define STANDS_NS (400000 * MS) /* so long nothing may go on, lies or not */
#define CALM_NS (600000 * MS) /* so long after the last lie and fault all must be over: workers are missed, called again, and their work is done again */

struct scene {
    struct sim *sim;
    struct obedience obedience;
    struct obedient worker[WORKERS];
    int workers;
    uint64_t dice, begun_ns, faults_end_ns;
    struct liar liar;
    struct scheduled { struct scene *scene; struct lie of; } fault[LIES_MOST];
    uint32_t n_faults;
    bool harmed[WORKERS]; /* killed or stopped by a fault */
    struct pipeline *pipe;
    struct engine *engine;
    struct collected said[ASKS];
};

static struct world_things things;
static bool tells;

static double seconds(const struct scene *s)
{
    return (double)(clock_now(sim_clock(s->sim)) - s->begun_ns) / 1e9;
}

static void tell_note(void *user, const struct obedient *o, const char *what, uint64_t a, uint64_t b)
{
    const struct scene *s = user;
    if (tells) printf("%9.3f worker %td %s %llu %llu\n", seconds(s), o - s->worker + 1, what, (unsigned long long)a, (unsigned long long)b);
}

static void no_send(void *user, const struct obedient *o)
{
    (void)user, (void)o;
}

/* ---- faults ---- */

static void again(void *user)
{
    struct scheduled *f = user;
    (void)obedient_restart(&f->scene->worker[f->of.a % f->scene->workers], &(struct err){0});
}

static void fault_comes(void *user)
{
    struct scheduled *f = user;
    struct scene *s = f->scene;
    struct obedient *o = &s->worker[f->of.a % s->workers];
    const uint64_t now = clock_now(sim_clock(s->sim)), lasts = (1u + f->of.b) * 50 * MS;
    s->harmed[f->of.a % s->workers] = true;
    switch (f->of.c % 3) {
    case 0:
        obedient_kill(o);
        (void)sim_at(s->sim, now + lasts, again, f, NULL);
        break;
    case 1: obedient_stop(o, now + lasts, false); break;
    default: sim_break(s->sim, o->number, 0); break;
    }
}

/* A lie of an unknown kind is a fault, at its moment. */
static int take_program(struct scene *s, const struct lie *all, uint32_t n, struct lie *lies, struct err *why)
{
    uint32_t n_lies = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].what % (LIES + 3) < LIES) {
            lies[n_lies] = all[i];
            lies[n_lies++].what %= LIES + 3;
            continue;
        }
        struct scheduled *f = &s->fault[s->n_faults++];
        *f = (struct scheduled){s, all[i]};
        const uint64_t at = s->begun_ns + (all[i].at | (uint64_t)all[i].times << 8) % 12000 * MS;
        if (at + 13000 * MS > s->faults_end_ns) s->faults_end_ns = at + 13000 * MS;
        TRY(sim_at(s->sim, at, fault_comes, f, why));
    }
    s->liar.lies = lies;
    s->liar.n_lies = n_lies;
    return 0;
}

/* ---- a run ---- */

static int open_scene(struct scene *s, uint8_t shape, uint8_t other, struct err *why)
{
    const struct sim_links links = {.seed = shape, .delay_ns = (1 + shape % 8u) * MS / 2, .jitter_ns = other % 3u * MS};
    TRY(sim_open(&s->sim, &links, why));
    s->begun_ns = s->faults_end_ns = clock_now(sim_clock(s->sim));
    s->dice = shape;
    s->obedience = (struct obedience){.sim = s->sim, .model = things.model, .counts = shape & 8, .dice = &s->dice, .note = tell_note, .sends = no_send, .user = s};
    s->workers = 2 + shape / 16 % (WORKERS - 1);
    struct pipeline *p = s->pipe = calloc(1, sizeof *p);
    struct port *port;
    if (!p) abort();
    p->model = things.model;
    p->wish = (struct cluster_wish){.patience_seconds = 120, .wait_seconds = 60, .threads = 1, .send_weights = true, .spare = s->workers > 2 && shape & 128};
    if (s->workers == 2 && shape & 128) {
        struct cut *cuts;
        TRY(plan_read_split("3+6,3+10", &cuts, &p->wish.plan.n_cuts, why));
        p->wish.plan.cuts = cuts;
    }
    TRY(sim_port(s->sim, &port, why));
    TRY(roster_open(&p->roster, port, sim_clock(s->sim), why));
    s->liar.pipe = p;
    s->liar.place = other / 4 % s->workers;
    liar_speaks(&s->liar, port);
    static const char *addresses[WORKERS];
    for (int i = 0; i < s->workers; i++) {
        struct obedient *o = &s->worker[i];
        TRY(obedient_open(o, &s->obedience, why));
        snprintf(o->host, sizeof o->host, "machine%d", i);
        o->memory = 1 << 30;
        o->has_file = other / 32 >> i & 1;
        o->slow_ns = MS / 10 * (1u + i);
        addresses[i] = o->address;
        TRY(roster_add(p->roster, o->address, why));
    }
    p->wish.addresses = addresses;
    p->wish.n_addresses = p->places = s->workers;
    p->workers = p->workers_wanted = p->workers_named = s->workers - p->wish.spare;
    p->crew = calloc((size_t)s->workers + 1, sizeof *p->crew);
    p->offers = calloc((size_t)s->workers + 1, sizeof *p->offers);
    static const struct capacity wanted = {.context = 128, .sequences = 3, .rows = 12, .in_flight = 3};
    return recover_open(p, &wanted, why);
}

static int ask_all(struct scene *s, struct err *why)
{
    TRY(engine_open(&s->engine, &(struct engine_setup){.pipe = s->pipe, .end_of_turn = -1, .eos = HASH_EOS, .lookup = s->obedience.counts}, why));
    for (uint32_t i = 0; i < ASKS; i++) {
        uint32_t ids[PROMPT];
        const struct listener l = collect_into(&s->said[i]);
        const uint32_t rows = i % 2 ? PROMPT - i : 1 + 5 * i;
        for (uint32_t k = 0; k < rows; k++) ids[k] = k < 64 ? 7 : 7 + i;
        const struct ask ask = {.ids = ids, .n = rows, .most = MOST, .key = i, .sampling = {.repeat_penalty = 1}};
        TRY(engine_ask(s->engine, &ask, &l, NULL, why));
    }
    return 0;
}

/* Nobody else is to blame: neither at a moment, nor in the end. */
static void check_losses(const struct scene *s)
{
    const struct roster *r = s->pipe->roster;
    for (int i = 1; i <= roster_size(r) && !s->liar.believed; i++) {
        const struct member *m = roster_member(r, i);
        if (m->standing != LOST || m->place == s->liar.place || (s->harmed[m->place] && m->lost_by != E_WIRE)) continue;
        broken("an honest worker is lost", &(struct err){.text = "TELL=1 tells who"});
    }
}

static int step(struct scene *s, struct err *why)
{
    struct pipeline *p = s->pipe;
    struct event e;
    if (s->engine) return engine_turn(s->engine, 50, why);
    if (p->whole) return ask_all(s, why);
    TRY(roster_next(p->roster, &e, 50, why));
    const int code = recover_event(p, &e, why);
    event_free(&e);
    return code;
}

/* What has been done so far, as far as people see it. */
static uint64_t done_so_far(const struct scene *s)
{
    uint64_t n = roster_size(s->pipe->roster);
    for (int i = 1; i <= roster_size(s->pipe->roster); i++) n += roster_member(s->pipe->roster, i)->standing == LOST;
    for (int i = 0; i < ASKS; i++) n += s->said[i].ids.n;
    return hash_fold(s->pipe->epoch, n);
}

static void check_time(const struct scene *s, uint64_t *done, uint64_t *done_ns)
{
    const uint64_t now = clock_now(sim_clock(s->sim)), calm = s->liar.last_ns > s->faults_end_ns ? s->liar.last_ns : s->faults_end_ns;
    if (now > calm + CALM_NS) broken("a run does not end", &(struct err){.text = "TELL=1 tells who"});
    if (done_so_far(s) != *done) *done = done_so_far(s), *done_ns = now;
    if (now > *done_ns + STANDS_NS) broken("nothing goes on", &(struct err){.text = "TELL=1 tells who"});
}

static int run(struct scene *s, struct err *why)
{
    int code = 0;
    uint32_t epoch = 0;
    uint64_t done = 0, done_ns = 0;
    for (;;) {
        check_time(s, &done, &done_ns);
        if ((code = step(s, why)) != 0) return code;
        if (s->pipe->epoch < epoch) broken("epochs fall", why);
        epoch = s->pipe->epoch;
        check_losses(s);
        if (s->obedience.broken.code && !s->liar.believed) broken("a worker heard what should never be said", &s->obedience.broken);
        if (s->engine && !engine_unanswered(s->engine)) return 0;
    }
}

static void close_scene(struct scene *s, const struct err *failure)
{
    engine_close(&s->engine);
    struct pipeline *p = s->pipe;
    free((void *)p->wish.plan.cuts);
    gguf_hashes_close(&p->hashes[CHAIN_TEXT]);
    p->model = NULL;
    pipeline_close(&s->pipe, failure);
    for (int i = 0; i < s->workers; i++) obedient_kill(&s->worker[i]);
    obedience_end(&s->obedience);
    sim_close(&s->sim);
    for (int i = 0; i < ASKS; i++) collected_free(&s->said[i]);
}

/* ---- what it must come to ---- */

static uint64_t words_of(const struct scene *s, int i)
{
    const struct ids *ids = &s->said[i].ids;
    return hash64(ids->id, ids->n * sizeof *ids->id);
}

static bool names_culprit(const struct scene *s, const char *text)
{
    const struct roster *r = s->pipe->roster;
    for (int i = 1; i <= roster_size(r); i++) {
        char name[24];
        snprintf(name, sizeof name, "worker %d", i);
        const char *at = strstr(text, name);
        const int place = roster_member(r, i)->place;
        if (at && (at[strlen(name)] < '0' || at[strlen(name)] > '9') && (place == s->liar.place || s->harmed[place])) return true;
    }
    return false;
}

/* An ask may fail alone if it was computed whenever workers were lost. */
static void check_words(const struct scene *s, const uint64_t *quiet)
{
    for (int i = 0; i < ASKS; i++) {
        const struct collected *c = &s->said[i];
        if (c->ended.how == FINISH_FAILED && s->pipe->losses > SUSPECTED_MOST) check_sentence(E_WORKER, &c->why);
        else if (c->ended.how == FINISH_FAILED || c->ended.how == FINISH_NOT) broken("an ask is not answered", &c->why);
        else if (!s->liar.believed && words_of(s, i) != quiet[i]) broken("an answer has other words", &c->why);
    }
}

static const uint64_t *quiet_words(uint8_t shape, uint8_t other)
{
    static uint64_t words[256][ASKS];
    static bool there[256];
    struct scene *s = calloc(1, sizeof *s);
    struct err why = {0};
    if (!s) abort();
    if (!there[shape]) {
        if (open_scene(s, shape, other, &why) || run(s, &why)) broken("a quiet run failed", &why);
        for (int i = 0; i < ASKS; i++) words[shape][i] = words_of(s, i);
        close_scene(s, NULL);
    }
    there[shape] = true;
    free(s);
    return words[shape];
}

static void open_model(void)
{
    struct err why;
    if (things.model) return;
    struct folder folder = folder_new();
    if (world_things_open(&things, folder.path, &why)) broken("no model", &why);
    folder_end(&folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct lie all[LIES_MOST], lies[LIES_MOST];
    struct err why = {0};
    if (n < 2 + LIE_BYTES) return 0;
    tells = getenv("TELL");
    log_open("fuzz", tells ? LOG_DEBUG : LOG_QUIET);
    open_model();
    const uint64_t *quiet = quiet_words(bytes[0], bytes[1]);
    const uint32_t k = (uint32_t)((n - 2) / LIE_BYTES < LIES_MOST ? (n - 2) / LIE_BYTES : LIES_MOST);
    memcpy(all, bytes + 2, k * LIE_BYTES);
    struct scene *s = calloc(1, sizeof *s);
    if (!s || open_scene(s, bytes[0], bytes[1], &why) || take_program(s, all, k, lies, &why)) broken("no scene", &why);
    const int code = run(s, &why);
    if (tells) printf("%9.3f ends with %d %s\n", seconds(s), code, why.text);
    check_sentence(code, &why);
    if (!code) check_words(s, quiet);
    else if (!names_culprit(s, why.text)) broken("the sentence names nobody who did it", &why);
    close_scene(s, code ? &why : NULL);
    free(s);
    return 0;
}
