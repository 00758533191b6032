/* coordinator/cluster/pipeline.c — see pipeline.h: from files and workers to a pipeline, and its end. Launching is in launch.c.
 *
 *                files open          port open, members listed         launch.c            engine, reports
 *   pipeline_new ─────────► KNOWN ──────────────────────────► GATHERED ─────────► RUNNING ────────────────►
 *                             │                                  │                   │
 *        pipeline_open_files ◄┘                                  └─────────┬─────────┘
 *        (a plan is all that is wanted)                    pipeline_close: dismiss, wait, end
 *
 * Under mpirun the two steps change places: the other ranks are there already and wait for a word, so they are listed before anything
 * can fail. In each state, also half-way, *out is set and pipeline_close undoes what was done; so nothing here cleans up after itself.
 *
 * Where workers come from (find_workers):
 *
 *   ranks of mpirun            the port comes from main.c and knows them; that of a  know_all
 *                              replica is a part of it, once all were heard
 *   --connect ADDRESS,…        they listen already, or will                          open_roster, invite
 *   --workers N, a split       processes started here, then reached like these       open_roster, local_workers_start, invite
 *   else                       threads of this process: the port knows them          local_workers_start_threads, know_all
 *
 * The end has an order: members are told first (roster_dismiss), as a process that is told ends by itself; then those started here are
 * waited for, shorter after a failure, and ended; the port is closed only then, because their last words come by it. */
#include "coordinator/cluster/pipeline.h"

#include "base/threads.h"

#include "base/limits.h"
#include "base/log.h"
#include "coordinator/cluster/joiners.h"
#include "coordinator/cluster/recover.h"
#include "partition/file/encoder_file.h"
#include "partition/file/gguf_hashes.h"
#include "partition/file/model_file.h"
#include "partition/plan/rates.h"
#include "transport/links/address.h"
#include "transport/links/keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUSY_TRIES 4
#define LISTEN_MS 50 /* to several at once, so that what brings no frame is seen */
#define BUSY_NS 200000000ull /* to twice as long between them */
#define REPORT_SECONDS 10 /* for their counters */

/* ---- opening ---- */

int pipeline_know(struct pipeline *p, const char *address, const char *said, struct err *why)
{
    return p->keys ? keys_know(p->keys, address, said, why) : 0;
}

/* A run is encrypted or it is not; one address off this machine is enough. */
static int take_keys(struct pipeline *p, struct err *why)
{
    const struct cluster_wish *w = &p->wish;
    bool wanted = w->keys || (w->accept && !address_is_near(w->accept));
    for (int i = 0; i < w->n_addresses; i++) wanted |= !address_is_near(w->addresses[i]);
    if ((!w->n_addresses && !w->accept) || w->insecure || !wanted) return 0;
    TRY(keys_open(&p->keys, w->keys, why));
    for (int i = 0; i < w->n_addresses; i++) TRY(pipeline_know(p, w->addresses[i], w->key_names ? w->key_names[i] : NULL, why));
    return 0;
}

/* A port to workers that are reached by address; none is yet. */
static int open_roster(struct pipeline *p, struct err *why)
{
    struct port *port = NULL;
    TRY(take_keys(p, why));
    TRY(port_open_dial(&port, &(struct link_options){.keys = p->keys}, why));
    return roster_open(&p->roster, port, clock_system(), why);
}

static int invite(struct pipeline *p, const char *const *addresses, int n, struct err *why)
{
    for (int i = 0; i < n; i++) TRY(roster_add(p->roster, addresses[i], why));
    return 0;
}

/* The workers behind a port that needs no addresses. */
static int know_all(struct pipeline *p, struct port *port, struct err *why)
{
    const int n = port_nodes(port) - 1;
    TRY(roster_open(&p->roster, port, clock_system(), why));
    for (int i = 0; i < n; i++) TRY(roster_add(p->roster, "", why));
    return 0;
}

static int start_own(struct pipeline *p, struct err *why)
{
    const struct cluster_wish *w = &p->wish;
    const bool processes = !w->threads_here && (w->processes || w->plan.cuts);
    const int n = wish_places(w);
    if (n > WORKERS_MOST) return fail(why, E_USAGE, "%d workers were asked for, at most %d are possible", n, WORKERS_MOST);
    const int of_text = wish_workers(w) - w->plan.vision_workers;
    if (w->model && of_text > STAGES_MOST)
        return fail(why, E_USAGE, "%d workers were asked for, at most %d can be planned for the text", of_text, STAGES_MOST);
    struct worker_options how = {.threads = wish_threads(w, wish_workers(w)), .no_file = w->send_weights, .cache = w->cache,
                                 .cache_size = w->cache_size};
    how.crowded = w->threads && (w->before ? (n + w->beside) * how.threads > cores_allowed() : threads_remark((n + w->beside) * how.threads));
    if (w->pin) {
        struct cores all;
        cores_for(&all, (n + w->beside) * how.threads);
        how.cores = cores_from(&all, w->before * how.threads, n * how.threads);
    }
    const char *const *addresses = NULL;
    struct port *port = NULL;
    if (processes) { /* what forbids us to talk to them forbids it to them: it is said once, before they are there */
        TRY(open_roster(p, why));
        TRY(local_workers_start(&p->local, n, &how, &addresses, why));
        TRY(invite(p, addresses, n, why));
    } else {
        TRY(local_workers_start_threads(&p->local, n, &how, &port, why));
        TRY(know_all(p, port, why));
    }
    roster_watch_local(p->roster, p->local);
    return 0;
}

static int find_workers(struct pipeline *p, struct port **mpi, struct err *why)
{
    const struct cluster_wish *w = &p->wish;
    if (*mpi) {
        struct port *port = *mpi;
        *mpi = NULL;
        TRY(know_all(p, port, why));
        if (w->processes || w->threads_here || w->n_addresses)
            return fail_about(why, ABOUT_WORKERS, E_USAGE, "under mpirun the ranks are the workers, and others were asked for too");
        return 0;
    }
    if (w->accept) TRY(joiners_open(&p->joiners, w->accept, why));
    if (w->accept && w->threads_here) return fail_about(why, ABOUT_WORKERS, E_USAGE, "nobody can join threads of one process");
    if (!w->n_addresses && (!w->accept || w->processes || w->plan.cuts)) return start_own(p, why);
    TRY(open_roster(p, why));
    return invite(p, w->addresses, w->n_addresses, why);
}

static int open_files(struct pipeline *p, struct err *why)
{
    const struct cluster_wish *w = &p->wish;
    if (w->model) TRY(model_open(&p->model, w->model, why));
    if (w->mmproj) TRY(vision_open(&p->encoder, w->mmproj, why));
    return w->model && w->mmproj ? vision_config_fits(&p->encoder->config, p->model->config.hidden, w->mmproj, why) : 0;
}

static int make_crew(struct pipeline *p, struct err *why)
{
    p->places = roster_places(p->roster);
    roster_compute_in(p->roster, p->wish.numbers);
    const int n = p->workers = p->workers_wanted = p->workers_named =
        !p->places ? 0 : port_by_address(roster_port(p->roster)) ? wish_workers(&p->wish) : p->places;
    if (n < 1 && !p->joiners) return fail(why, E_USAGE, "%d of %d workers to spare leaves none to compute", p->wish.spare, p->places);
    if (p->wish.plan.vision_workers >= n && n)
        return fail_about(why, ABOUT_VISION_WORKERS, E_USAGE, "%d of %d workers set apart for pictures leaves no worker for the text",
                          p->wish.plan.vision_workers, n);
    p->crew = calloc((size_t)n + 1, sizeof *p->crew);
    p->offers = calloc((size_t)n + 1, sizeof *p->offers);
    return p->crew && p->offers ? 0 : fail(why, E_MEMORY, "no memory for %d workers", n);
}

static int pipeline_new(struct pipeline **out, const struct cluster_wish *wish, struct err *why)
{
    struct pipeline *p = *out = calloc(1, sizeof *p);
    if (!p) return fail(why, E_MEMORY, "no memory to begin with");
    p->wish = *wish;
    return 0;
}

int pipeline_open_files(struct pipeline **out, const struct cluster_wish *wish, struct err *why)
{
    TRY(pipeline_new(out, wish, why));
    return open_files(*out, why);
}

int pipeline_open(struct pipeline **out, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    const int code = pipeline_new(out, wish, why);
    struct pipeline *p = *out;
    if (code) {
        port_close(&mpi);
        return code;
    }
    if (!mpi) {
        TRY(open_files(p, why));
        TRY(find_workers(p, &mpi, why));
    } else { /* the ranks first: whatever fails from here on, they are told */
        TRY(find_workers(p, &mpi, why));
        TRY(open_files(p, why));
    }
    return make_crew(p, why);
}

static bool is_launched(const struct pipeline *p, const struct capacity *wanted)
{
    return p->whole || (recover_measured(p) && !wanted);
}

static int launch_step(struct pipeline *p, int timeout_ms, struct err *why)
{
    struct event e;
    TRY(roster_next(p->roster, &e, timeout_ms, why));
    const int code = recover_event(p, &e, why);
    event_free(&e);
    if (code) return code;
    char *news = recover_news(p);
    if (*news) log_warn("%s", news);
    *news = 0;
    return 0;
}

/* All are let go, and invited again at a moment that nobody else has. */
static int invite_again(struct pipeline *p, struct err *why)
{
    uint32_t dice = 0;
    if (getrandom(&dice, sizeof dice, 0) != sizeof dice) dice = (uint32_t)clock_ns();
    roster_dismiss(p->roster, NULL);
    recover_close(p);
    roster_close(&p->roster);
    p->epoch = 0;
    sleep_ns(BUSY_NS + dice % BUSY_NS);
    TRY(open_roster(p, why));
    roster_compute_in(p->roster, p->wish.numbers);
    return invite(p, p->wish.addresses, p->wish.n_addresses, why);
}

/* Of two coordinators at once each may have got some of the workers: both are told that others are busy, and neither would have any. */
static int launch_on(struct pipeline *p, const struct capacity *wanted, int timeout_ms, int *tries, struct err *why)
{
    const int code = launch_step(p, timeout_ms, why);
    if (!code || why->about != ABOUT_BUSY || p->places < 2 || ++*tries >= BUSY_TRIES) return code;
    TRY(invite_again(p, why));
    return recover_open(p, wanted, why);
}

static int of_replica(int i, struct err *why)
{
    const struct err one = *why;
    return fail_about(why, one.about, one.code, "of replica %d: %s", i + 1, one.text);
}

/* Those that are whole are listened to as well: a coordinator that falls silent counts as lost. */
static int until_launched(struct pipeline *const *p, int n, const struct capacity *wanted, struct err *why)
{
    int tries[PIPELINES_MOST] = {0}, left = n;
    while (left) {
        struct port *port[PIPELINES_MOST];
        for (int i = 0; i < n; i++) port[i] = roster_port(p[i]->roster);
        const bool together = n > 1 && ports_wait(port, n, LISTEN_MS);
        left = 0;
        for (int i = 0; i < n; i++) {
            const int code = launch_on(p[i], wanted, together ? 0 : n > 1 ? 1 : 250, &tries[i], why);
            if (code) return n > 1 && code != E_INTERRUPTED ? of_replica(i, why) : code;
            left += !is_launched(p[i], wanted);
        }
    }
    return 0;
}

int pipelines_launch(struct pipeline *const *p, int n, const struct capacity *wanted, struct err *why)
{
    for (int i = 0; i < n; i++) TRY(recover_open(p[i], wanted, why));
    return until_launched(p, n, wanted, why);
}

int pipeline_hear(struct pipeline *p, struct err *why)
{
    TRY(recover_hear(p, why));
    TRY(until_launched(&p, 1, NULL, why));
    recover_close(p);
    p->wish.ranks = p->places;
    p->wish.one_machine = true;
    for (int i = 0; i < p->workers; i++) p->wish.one_machine &= is_this_host(p->crew[i]->hello.host);
    return 0;
}

int pipeline_launch(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    return pipelines_launch(&p, 1, wanted, why);
}

int pipeline_measure(struct pipeline *p, struct err *why)
{
    const uint64_t begun = clock_now(roster_clock(p->roster));
    TRY(pipeline_launch(p, NULL, why));
    p->launch_seconds = (double)(clock_now(roster_clock(p->roster)) - begun) / 1e9;
    return 0;
}

bool pipeline_is_one_process(const struct pipeline *p)
{
    return p->local && !roster_member(p->roster, 1)->address[0];
}

uint16_t pipeline_route(const struct pipeline *p, const struct route *route)
{
    return (uint16_t)(route - p->plan.route + 1);
}

int pipeline_send(struct pipeline *p, int worker, struct frame **f, struct err *why)
{
    const unsigned type = (*f)->head.type;
    if (message_has_route(type))
        (*f)->head.route = pipeline_route(p, type == M_PICTURE ? plan_picture_route(&p->plan, worker) : plan_text_route(&p->plan));
    return roster_send(p->roster, p->crew[worker], f, why);
}

/* ---- hops through here ---- */

#define APART_MOST 4096 /* of 1,000 workers all may reach all, or those that cannot are of a kind that is known beforehand */

const char *pipeline_address(const struct member *of, const struct member *caller)
{
    const bool reachable = of->reach == REACH_ANY || (of->reach == REACH_NEAR && caller->reach == REACH_NEAR);
    return reachable ? of->address : "";
}

bool pipeline_relays(const struct pipeline *p, int from, int to)
{
    return offers_apart(&p->offers[from], &p->offers[to]);
}

int pipeline_note_apart(struct pipeline *p, const struct member *a, const struct member *b, bool *known, struct err *why)
{
    *known = apart_noted(p->apart, p->n_apart, a->node, b->node);
    if (*known) return 0;
    if (!p->apart) p->apart = malloc(APART_MOST * sizeof *p->apart);
    if (!p->apart || p->n_apart == APART_MOST) return fail(why, E_MEMORY, "no memory to note that %s cannot reach %s", a->name, b->name);
    p->apart[p->n_apart++] = (struct apart){{a->node, b->node}};
    return 0;
}

int pipeline_pass_on(struct pipeline *p, struct event *e, bool *done, struct err *why)
{
    const unsigned type = e->frame->head.type;
    const int from = e->who->worker;
    *done = false;
    if (from < 0 || (type != M_WORK && type != M_PICTURE)) return 0;
    const int to = route_after(type == M_WORK ? plan_text_route(&p->plan) : plan_picture_route(&p->plan, from), from);
    if (to < 0 || !pipeline_relays(p, from, to)) return 0;
    *done = true;
    return pipeline_send(p, to, &e->frame, why);
}

int pipeline_embedding(const struct pipeline *p, uint32_t id, uint8_t *row, struct err *why)
{
    const struct tensor *e = &p->model->embedding;
    const size_t n = block_row_bytes(e->type, e->cols);
    if (p->model->file) return gguf_read(p->model->file, e->data + id * n, row, n, why);
    memcpy(row, e->data + id * n, n); /* invented: it is in memory */
    return 0;
}

int pipeline_files_unchanged(const struct pipeline *p, struct err *why)
{
    if (p->model && p->model->file) TRY(gguf_unchanged(p->model->file, why));
    return p->encoder ? gguf_unchanged(p->encoder->file, why) : 0;
}

bool pipeline_computes(const struct pipeline *p, int worker)
{
    return p->plan.of[worker].total > 0;
}

/* ---- counters ---- */

struct round { /* of asking all for their counters */
    struct pipeline *pipe;
    uint64_t end_ns;
    uint32_t epoch; /* who is asked in one has forgotten it in the next */
};

static bool all_reported(void *user)
{
    const struct round *r = user;
    if (r->epoch != r->pipe->epoch) return true;
    for (int i = 0; i < r->pipe->workers; i++)
        if (r->pipe->crew[i]->reports < r->pipe->crew[i]->asked) return false;
    return true;
}

static int wait_for_reports(void *user, struct event *e, struct err *why)
{
    const struct round *r = user;
    TRY(recover_event(r->pipe, e, why));
    if (clock_now(roster_clock(r->pipe->roster)) <= r->end_ns) return 0;
    return fail(why, E_WORKER, "not every worker sent its report within %d s", REPORT_SECONDS);
}

static int ask_for_report(struct pipeline *p, int worker, struct err *why)
{
    struct frame *ask = NULL;
    p->crew[worker]->asked++;
    TRY(empty_write(&ask, M_REPORT_ASK, why));
    return pipeline_send(p, worker, &ask, why);
}

int pipeline_ask_reports(struct pipeline *p, struct err *why)
{
    for (int i = 0; p->whole && i < p->workers; i++)
        if (pipeline_computes(p, i) && p->crew[i]->reports >= p->crew[i]->asked) TRY(ask_for_report(p, i, why));
    return 0;
}

int pipeline_reports(struct pipeline *p, struct err *why)
{
    struct round r = {.pipe = p, .end_ns = clock_now(roster_clock(p->roster)) + REPORT_SECONDS * 1000000000ull, .epoch = p->epoch};
    const struct consumer c = {wait_for_reports, all_reported, &r};
    for (int i = 0; p->whole && i < p->workers; i++)
        if (pipeline_computes(p, i)) TRY(ask_for_report(p, i, why));
    return roster_until(p->roster, &c, 100, why);
}

/* ---- closing ---- */

void pipeline_close(struct pipeline **pp, const struct err *failure)
{
    struct pipeline *p = *pp;
    if (!p) return;
    *pp = NULL;
    if (p->roster) roster_dismiss(p->roster, failure);
    /* Processes that were never greeted were told nothing: they are not waited for. */
    local_workers_finish(&p->local, failure ? 500 : p->whole ? 5000 : p->epoch ? 500 : 0);
    recover_close(p);
    roster_close(&p->roster);
    joiners_close(&p->joiners);
    keys_close(&p->keys);
    for (int i = 0; i < CHAINS; i++) {
        if (p->hashes[i]) gguf_hashes_keep(p->hashes[i]);
        gguf_hashes_close(&p->hashes[i]);
    }
    model_close(&p->model);
    vision_close(&p->encoder);
    plan_free(&p->plan);
    free(p->crew);
    free(p->offers);
    free(p->known);
    free(p->past);
    free(p->apart);
    free(p);
}
