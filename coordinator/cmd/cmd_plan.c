/* coordinator/cmd/cmd_plan.c — `gemmapipe plan`: who would get what, from the files' headers alone.
 *
 * It takes the words of `run`, makes the same wish of them, prepares for the same prompts, and asks the same planner: what it
 * shows is what `run` with these words would do. What it had to assume for that, because nobody said it and no worker was
 * asked, it says too. */
#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/prompts.h"
#include "coordinator/cmd/wish.h"
#include "coordinator/cluster/other_ways.h"
#include "coordinator/cluster/replica_wishes.h"
#include "coordinator/cluster/planning.h"
#include "coordinator/cluster/speeds.h"
#include "partition/plan/plan_json.h"
#include "partition/plan/rates.h"

#include "base/plain_text.h"
#include "base/size_text.h"
#include "base/threads.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#define PLAN_CONTEXT 4096 /* where there is no prompt to measure */
#define ASSUMED_TEXT OTHER_WAYS_TEXT

struct sketch { /* of a run: all that the plan follows from */
    struct options options; /* completed from the cluster file */
    struct cluster_wish wish;
    struct wish_lists *lists;
    struct session session; /* without workers and engine */
    struct prompts prompts;
    struct foresight foresight;
    int best_replicas;      /* of one pipeline: as many would be faster; 0, 1: none, or nobody looked */
    double of_replicas, of_one;
    struct plan_files files;
    char assumed[ASSUMED_MOST][ASSUMED_TEXT];
};

__attribute__((format(printf, 2, 3))) static void assume(struct sketch *k, const char *format, ...)
{
    va_list arguments;
    if (k->files.n_assumed == ASSUMED_MOST) return;
    char *line = k->assumed[k->files.n_assumed];
    va_start(arguments, format);
    vsnprintf(line, ASSUMED_TEXT, format, arguments);
    va_end(arguments);
    k->files.assumed[k->files.n_assumed++] = line;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- what it is for ---- */

static int open_sketch(struct sketch *k, const struct options *o, struct err *why)
{
    k->options = *o;
    TRY(wish_read(&k->wish, &k->lists, o, why));
    wish_complete(&k->options, k->lists);
    return session_open_files(&k->session, &k->options, &k->wish, why);
}

/* For any prompt. */
static int capacity_unprompted(struct sketch *k, struct capacity *out, struct err *why)
{
    const struct model_config *c = &k->session.pipe->model->config;
    struct options asked = k->options;
    if (!asked.context) asked.context = PLAN_CONTEXT < c->context ? PLAN_CONTEXT : c->context;
    if (!k->options.context) assume(k, "a context of %u positions, as there is no prompt to measure", asked.context);
    if (!k->options.sequences) assume(k, "one sequence at a time");
    const struct load load = {.prompts = 1, .whole = k->options.n_images ? typed_prompt_picture_rows(&k->session) : 0};
    return capacity_for(out, &asked, c, &load, why);
}

/* As `run` does. */
static int capacity_prompted(struct sketch *k, struct capacity *out, struct err *why)
{
    const struct prompts *p = &k->prompts;
    TRY(prompts_read(&k->prompts, &k->session, why));
    TRY(prompts_capacity(out, p, &k->session, why));
    const unsigned long long longest = prompts_longest(p);
    const uint32_t answer = k->options.most;
    if (!k->options.context)
        assume(k, "a context of %u positions: %llu tokens of the longest prompt and %u of its answer%s", out->context, longest, answer,
               longest + answer > out->context ? ", but the model was trained for no more" : "");
    if (!k->options.sequences)
        assume(k, "%u sequence%s at a time, of %zu prompt%s", out->sequences, plural(out->sequences), p->n, plural(p->n));
    return 0;
}

static int make_capacity(struct sketch *k, struct capacity *out, struct err *why)
{
    const struct options *o = &k->options;
    return o->prompt || o->prompts_file ? capacity_prompted(k, out, why) : capacity_unprompted(k, out, why);
}

/* ---- what was assumed of the workers ---- */

static void assume_here(struct sketch *k)
{
    const struct pipeline *p = k->session.pipe;
    const size_t n = (size_t)p->workers, threads = (size_t)p->offers[0].threads, cores = (size_t)cores_allowed();
    char memory[24];
    show_bytes(memory, memory_allowed());
    if (!k->wish.threads)
        assume(k, "%zu worker%s on this machine with %zu thread%s%s, of its %zu core%s", n, plural(n), threads, plural(threads),
               n > 1 ? " each" : "", cores, plural(cores));
    if (k->foresight.too_small)
        assume(k, "as much memory as was said, on machines of their own: here it would not fit, %s", k->foresight.lack.text);
    else
        assume(k, "%s of memory, which this machine has, for all workers together", memory);
}

static void assume_elsewhere(struct sketch *k)
{
    const struct pipeline *p = k->session.pipe;
    size_t threads = 0, memory = 0;
    for (int i = 0; i < p->workers; i++) {
        const bool said = k->wish.said && k->wish.said[i].threads;
        threads += !said && !k->wish.threads && !p->offers[i].measured;
        memory += !p->offers[i].memory;
    }
    assume(k, "what was said of %d worker%s, none of which was asked", p->workers, plural((size_t)p->workers));
    if (threads) assume(k, "one thread each of %zu worker%s, of whose threads nothing was said", threads, plural(threads));
    if (memory) assume(k, "no limit of memory of %zu worker%s, of whose memory nothing was said", memory, plural(memory));
}

static void assume_head(struct sketch *k)
{
    if (k->wish.plan.whole_head) assume(k, "the head in one piece, as asked for");
    else if (k->wish.plan.all_scores) assume(k, "all scores of a row at home where the head is divided, because tokens are drawn from all words");
}

/* ---- showing it ---- */

static void print(struct sketch *k)
{
    const struct pipeline *p = k->session.pipe;
    const struct model_shape shape = model_shape(p->model, p->encoder);
    k->files.model = k->options.model;
    k->files.fingerprint = p->model->fingerprint;
    k->files.layers = p->model->config.layers;
    k->files.shape = &shape;
    if (p->encoder) k->files.mmproj = k->options.mmproj, k->files.encoder = p->encoder->fingerprint;
    if (k->options.json) {
        plan_write_json(stdout, &p->plan, p->offers, &k->files);
        return;
    }
    struct plain_page page;
    FILE *to = plain_page_open(&page, stdout);
    plan_print(to, &p->plan, &shape, p->offers);
    for (int i = 0; i < k->files.n_assumed; i++) fprintf(to, "assumed: %s\n", k->files.assumed[i]);
    plain_page_close(&page);
}

/* What the rates follow from. */
static void assume_speeds(struct sketch *k)
{
    const struct pipeline *p = k->session.pipe;
    uint64_t oldest = UINT64_MAX;
    for (int i = 0; i < p->workers && p->offers[i].measured; i++)
        if (p->known[i].at < oldest) oldest = p->known[i].at;
    if (oldest == UINT64_MAX) {
        assume(k, "nominal speeds, of which only ratios mean something: nobody was measured (--probe)");
        return;
    }
    const uint64_t now = (uint64_t)time(NULL), minutes = now > oldest ? (now - oldest) / 60 : 0;
    if (minutes < 120) assume(k, "speeds as they were measured %llu minute%s ago", (unsigned long long)minutes, plural(minutes));
    else assume(k, "speeds as they were measured %llu hours ago", (unsigned long long)minutes / 60);
    for (int i = 0; i < p->workers; i++) {
        char remark[SPEED_REMARK];
        speed_remark(remark, &p->known[p->plan.offer[i]], i);
        if (*remark) assume(k, "%s", remark);
    }
}

/* ---- replicas ---- */

/* One of them, as a pipeline of its own. */
static int plan_replica(struct sketch *k, const struct cluster_wish *wish, const struct capacity *each, struct err *why)
{
    struct pipeline *all = k->session.pipe;
    int code = pipeline_open_files(&k->session.pipe, wish, why);
    k->files.n_assumed = 0;
    if (!code) code = planning_foresees(k->session.pipe, each, &k->foresight, why);
    if (!code) print(k);
    pipeline_close(&k->session.pipe, NULL);
    k->session.pipe = all;
    return code;
}

static int plan_replicas(struct sketch *k, const struct capacity *wanted, const struct replicas *r, struct err *why)
{
    struct replica_wishes *wishes;
    const struct capacity each = replica_capacity(wanted, r->n);
    const bool json = k->options.json;
    TRY(replica_wishes_open(&wishes, &k->wish, r->of, r->n, why));
    int code = 0;
    if (json) printf("{\"replicas\": [\n");
    for (int i = 0; i < r->n && !code; i++) {
        if (json) printf(i ? ",\n" : "");
        else printf("%sreplica %d of %d, of %u sequence%s:\n\n", i ? "\n" : "", i + 1, r->n, each.sequences, plural(each.sequences));
        code = plan_replica(k, replica_wish(wishes, i), &each, why);
    }
    replica_wishes_close(&wishes);
    if (code) return code;
    if (json) printf("], \"tokens_s\": %.6g, \"one_pipeline_tokens_s\": %.6g}\n", r->value, r->one);
    else if (r->one > 0) printf("\nall replicas: %.1f tokens/s; one pipeline of all workers: %.1f\n", r->value, r->one);
    else printf("\nall replicas: %.1f tokens/s\n", r->value);
    return 0;
}

/* By nominal speeds nothing is advised, and trying all ways to share out many workers takes a second. */
static bool may_advise(struct sketch *k)
{
    struct err no;
    bool measured;
    return !k->wish.plan.cuts && !replicas_check(&k->wish, 1, &no) && !planning_measured(k->session.pipe, &measured, &no) && measured;
}

/* Planned as several pipelines, or as one: *done if that is printed. */
static int plan_several(struct sketch *k, const struct capacity *wanted, bool *done, struct err *why)
{
    struct replicas r;
    struct err no;
    bool blind;
    *done = false;
    if (k->wish.replicas > 0) TRY(replicas_check(&k->wish, k->wish.replicas, why));
    else if (k->wish.replicas == REPLICAS_AUTO ? replicas_check(&k->wish, 1, &no) != 0 : !may_advise(k)) return 0;
    const int code = planning_replicas(k->session.pipe, wanted, &r, &blind, k->wish.replicas > 0 ? why : &no);
    if (code) return k->wish.replicas > 0 ? code : 0; /* the plan of one says what is wrong */
    *done = k->wish.replicas && r.n > 1;
    const int printed = *done ? plan_replicas(k, wanted, &r, why) : 0;
    if (!*done) k->best_replicas = r.n, k->of_replicas = r.value, k->of_one = r.one;
    replicas_free(&r);
    return printed;
}

/* Of workers here: whether one process would be faster. Of one pipeline: whether several would be. */
static void advise(struct sketch *k, const struct capacity *wanted)
{
    struct other_ways o;
    char said[OTHER_WAYS_TEXT];
    const double gain = k->of_one > 0 ? k->of_replicas / k->of_one : 0;
    other_ways_find(&o, &k->wish, wanted);
    if (k->best_replicas > 1) o.best_replicas = k->best_replicas, o.of_replicas = k->of_replicas;
    other_ways_say(said, &o);
    if (k->best_replicas == 1 && k->wish.replicas) assume(k, "one pipeline: no number of replicas is faster by the plan");
    if (*said) assume(k, "%s", said);
    else if (k->best_replicas > 1 && gain > 0)
        assume(k, "one pipeline; %d replicas of it (--replicas %d) would answer %.2f times as much%s", k->best_replicas, k->best_replicas, gain,
               gain < 1 + RATES_ERROR ? ", within the error of the prediction" : "");
}

/* Workers here beside the one process that they might be. */
static int measure_first(const struct sketch *k, struct err *why)
{
    struct cluster_wish one;
    TRY(session_measure(&k->wish, why));
    return one_process_wish(&one, &k->wish) && !one.beside ? session_measure(&one, why) : 0;
}

static int plan(struct sketch *k, const struct options *o, struct err *why)
{
    struct capacity wanted;
    bool done;
    TRY(open_sketch(k, o, why));
    if (o->probe) TRY(measure_first(k, why));
    TRY(make_capacity(k, &wanted, why));
    TRY(plan_several(k, &wanted, &done, why));
    if (done) return 0;
    advise(k, &wanted);
    TRY(planning_foresees(k->session.pipe, &wanted, &k->foresight, why));
    char memory[24];
    if (k->session.pipe->encoder) assume(k, "at most %s of the coordinator while it reads a picture", show_bytes(memory, o->picture_memory));
    if (k->foresight.here) assume_here(k);
    else assume_elsewhere(k);
    assume_head(k);
    assume_speeds(k);
    print(k);
    return 0;
}

int command_plan(const struct options *o, struct err *why)
{
    if (o->simulate) return command_simulate(o, why);
    struct sketch k = {0};
    const int code = plan(&k, o, why);
    prompts_free(&k.prompts);
    session_close(&k.session, NULL);
    wish_free(&k.lists);
    return code;
}
