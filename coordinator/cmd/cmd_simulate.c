/* coordinator/cmd/cmd_simulate.c — `gemmapipe plan --simulate`: what a cluster that does not exist would do with a load.
 *
 * The cluster file says who there would be; each replica is planned as a run would be, and then lives through its share of the load
 * (coordinator/simulate/invented_pipe.h). Requests are dealt to the replicas in turn. Workers that exist and were measured (`plan --probe`) are
 * as fast as they were then, and so are the ways between them of which the file says nothing. */
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/session.h"
#include "coordinator/cmd/wish.h"
#include "coordinator/cluster/planning.h"
#include "coordinator/simulate/invented_pipe.h"
#include "partition/model/part_text.h"

#include "base/clock.h"
#include "base/plain_text.h"
#include "base/size_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_STAGES (2 * STAGES_MOST) /* of all replicas that are drawn or traced */

struct simulating {
    const struct options *o;
    struct session session; /* of the model file alone */
    struct cluster cluster;
    int workers, replicas;
    struct worker_offer *offers; /* [workers], copies counted */
    struct cluster_link *links;  /* [workers] */
    const char **addresses;      /* [workers] */
    bool measured;               /* all of them */
    struct capacity wanted;
    struct plan plan;            /* of the replica that is simulated */
    struct invented_run run;     /* the same; its tally is of all */
    struct chart chart;          /* of the first `shown` */
    int shown, shown_stages;
    struct whole_file *drawing;
    struct trace *trace;         /* of the same */
    double took; /* seconds of computing */

    /* of all replicas */
    double seconds, bytes, busy, busiest, idlest;
    uint64_t requests, tokens, prompt_rows, batches, rows, largest;
    int stages_least, stages_most;
};

/* ---- the cluster ---- */

static int count_workers(struct simulating *s, struct err *why)
{
    const struct cluster *c = &s->cluster;
    uint64_t n = 0;
    for (int i = 0; i < c->workers; i++) n += c->links[i].copies ? c->links[i].copies : 1;
    if (n > WORKERS_MOST)
        return fail(why, E_FILE, "%s: %llu workers with all copies, at most %d are possible", s->o->simulate, (unsigned long long)n, WORKERS_MOST);
    s->workers = (int)n;
    s->replicas = s->o->replicas > 0 ? s->o->replicas : c->replicas ? (int)c->replicas : 1;
    if (s->replicas > s->workers)
        return fail(why, E_FILE, "%s: %d replicas of %d workers, wanted a worker for each at least", s->o->simulate, s->replicas, s->workers);
    return c->by_hand ? fail(why, E_FILE, "%s: \"layers\" by hand cannot be simulated", s->o->simulate) : 0;
}

static int read_invented_cluster(struct simulating *s, struct err *why)
{
    const struct cluster *c = &s->cluster;
    TRY(cluster_read(&s->cluster, s->o->simulate, why));
    TRY(count_workers(s, why));
    s->offers = calloc((size_t)s->workers, sizeof *s->offers);
    s->links = calloc((size_t)s->workers, sizeof *s->links);
    s->addresses = calloc((size_t)s->workers, sizeof *s->addresses);
    if (!s->offers || !s->links || !s->addresses) return fail(why, E_MEMORY, "no memory for %d workers", s->workers);
    for (int i = 0, n = 0; i < c->workers; i++)
        for (uint32_t k = 0, copies = c->links[i].copies ? c->links[i].copies : 1; k < copies; k++, n++) {
            s->offers[n] = c->offers[i];
            s->links[n] = c->links[i];
            s->addresses[n] = c->addresses[i];
            if (copies > 1) snprintf(s->offers[n].name, sizeof s->offers[n].name, "%.110s %u", c->offers[i].name, k + 1);
        }
    return 0;
}

/* Of all of them, or of none. */
static int take_speeds(struct simulating *s, struct err *why)
{
    struct pipeline *p = s->session.pipe;
    TRY(planning_measured(p, &s->measured, why));
    memcpy(s->offers, p->offers, (size_t)s->workers * sizeof *s->offers);
    return 0;
}

static int prepare(struct simulating *s, struct err *why)
{
    const struct options *o = s->o;
    const struct model_config *c = &s->session.pipe->model->config;
    struct options asked = *o;
    const struct load load = {.prompt = o->prompt_tokens.at[o->prompt_tokens.n - 1], .answer = o->answer_tokens.at[o->answer_tokens.n - 1],
                              .prompts = o->requests};
    if (!asked.context) asked.context = s->cluster.context;
    if (!asked.sequences) asked.sequences = s->cluster.sequences;
    if (!asked.kv_positions) asked.kv_positions = s->cluster.kv_positions;
    return capacity_for(&s->wanted, &asked, c, &load, why);
}

/* ---- replicas ---- */

static void add_up(struct simulating *s)
{
    const struct invented_run *r = &s->run;
    s->seconds = fmax(s->seconds, r->seconds);
    s->requests += r->requests;
    s->tokens += r->tokens;
    s->prompt_rows += r->prompt_rows;
    s->batches += r->batches;
    s->rows += r->rows;
    s->bytes += r->bytes;
    const int stages = plan_stages(&s->plan);
    for (int i = 0; i < stages; i++) {
        s->busy += r->busy[i];
        s->busiest = fmax(s->busiest, r->busy[i]);
        s->idlest = s->idlest > 0 ? fmin(s->idlest, r->busy[i]) : r->busy[i];
        if (s->plan.of[i].total > s->largest) s->largest = s->plan.of[i].total;
    }
    if (!s->stages_least || stages < s->stages_least) s->stages_least = stages;
    if (stages > s->stages_most) s->stages_most = stages;
}

static void print_stages(const struct simulating *s, FILE *to)
{
    char part[64], memory[24];
    fprintf(to, "  %-26s %-34s %10s  %5s  %6s\n", "stage of the first replica", "has", "planned", "busy", "bubble");
    for (int i = 0; i < plan_stages(&s->plan); i++)
        fprintf(to, "  %-26.26s %-34s %10s  %3.0f %%   %3.0f %%\n", s->offers[i].name, show_part(part, s->plan.of[i].part[CHAIN_TEXT]),
                show_bytes(memory, s->plan.of[i].total), 100 * s->run.busy[i], 100 * (1 - s->run.busy[i]));
}

/* A run of measured workers takes those that are worth it, in the order that is fastest. */
static int put_in_order(struct simulating *s, int first, struct err *why)
{
    const int n = s->plan.workers;
    struct worker_offer *offers = calloc((size_t)n, sizeof *offers);
    struct cluster_link *links = calloc((size_t)n, sizeof *links);
    const int code = offers && links ? 0 : fail(why, E_MEMORY, "no memory to plan for %d workers", n);
    for (int i = 0; i < n && !code; i++) offers[i] = s->offers[first + s->plan.offer[i]], links[i] = s->links[first + s->plan.offer[i]];
    if (!code) {
        memcpy(s->offers + first, offers, (size_t)n * sizeof *offers);
        memcpy(s->links + first, links, (size_t)n * sizeof *links);
    }
    free(offers);
    free(links);
    return code;
}

/* A picture of a thousand stages shows nothing. */
static bool is_shown(struct simulating *s, int replica)
{
    if (s->shown < replica || replica >= PIPELINES_MOST || (s->shown && s->shown_stages + s->plan.workers > SHOWN_STAGES)) return false;
    s->shown++;
    s->shown_stages += s->plan.workers;
    return true;
}

static int simulate_replica(struct simulating *s, int replica, FILE *to, struct err *why)
{
    const struct model_shape shape = model_shape(s->session.pipe->model, NULL);
    const int first = (int)((int64_t)s->workers * replica / s->replicas), end = (int)((int64_t)s->workers * (replica + 1) / s->replicas);
    const struct options *o = s->o;
    const uint64_t begin = (uint64_t)o->requests * (uint64_t)replica / (uint64_t)s->replicas;
    const uint64_t stop = (uint64_t)o->requests * (uint64_t)(replica + 1) / (uint64_t)s->replicas;
    const struct plan_wish wish = {.capacity = s->wanted, .whole_head = o->whole_head, .order = s->measured ? ORDER_FEWER : ORDER_GIVEN};
    TRY(plan_make(&s->plan, &shape, s->offers + first, end - first, &wish, why));
    int code = put_in_order(s, first, why);
    const struct invented_pipe pipe = {.shape = &shape, .plan = &s->plan, .offers = s->offers + first, .links = s->links + first,
                                       .replica = replica, .replicas = s->replicas};
    const struct invented_load load = {
        .requests = (uint32_t)(stop - begin), .first = begin, .arrivals = (double)o->arrivals / s->replicas, .seed = o->sampling.seed + (uint64_t)replica,
        .prompt = {o->prompt_tokens.at[0], o->prompt_tokens.at[o->prompt_tokens.n - 1]},
        .answer = {o->answer_tokens.at[0], o->answer_tokens.at[o->answer_tokens.n - 1]}};
    if (!code && load.requests) {
        const bool shown = is_shown(s, replica);
        code = invented_run(&s->run, &pipe, &load, shown && s->drawing ? &s->chart : NULL, shown ? s->trace : NULL, why);
    }
    if (!code && load.requests) add_up(s);
    if (!code && !replica && to) print_stages(s, to);
    plan_free(&s->plan);
    return code;
}

/* ---- telling ---- */

static double part_busy(const struct simulating *s)
{
    return s->stages_most ? s->busy / (s->stages_least == s->stages_most ? (double)s->stages_most * s->replicas : s->workers) : 0;
}

static void print_times(FILE *to, const char *what, const struct times *t)
{
    fprintf(to, "  %-26s median %.3f s, 90 %% within %.3f s, 99 %% within %.3f s\n", what, times_below(t, 0.5), times_below(t, 0.9), times_below(t, 0.99));
}

static void print_sums(const struct simulating *s, FILE *to)
{
    char memory[24], bytes[24];
    const struct tally *t = &s->run.tally;
    fprintf(to, "  %-26s %.1f tok/s of answers, %.1f rows/s of prompts, in %.2f s\n", "rates", (double)s->tokens / s->seconds,
            (double)s->prompt_rows / s->seconds, s->seconds);
    print_times(to, "to the first token", &t->first);
    print_times(to, "from token to token", &t->between);
    print_times(to, "of a whole request", &t->whole);
    fprintf(to, "  %-26s %.0f %% of the time; the busiest %.0f %%, the idlest %.0f %%; bubble %.0f %%\n", "stages computed", 100 * part_busy(s),
            100 * s->busiest, 100 * s->idlest, 100 * (1 - part_busy(s)));
    fprintf(to, "  %-26s %s a token of answers; %.1f rows in a micro-batch\n", "over the links", show_bytes(bytes, (uint64_t)(s->bytes / (double)s->tokens)),
            (double)s->rows / (double)s->batches);
    fprintf(to, "  %-26s %s, of the largest stage\n", "memory planned", show_bytes(memory, s->largest));
    fprintf(to, "  %-26s %.2f s\n", "simulated in", s->took);
}

static void print_json_times(const char *name, const struct times *t)
{
    printf("  \"mean_%s_ms\": %.3f, \"median_%s_ms\": %.3f, \"p90_%s_ms\": %.3f, \"p99_%s_ms\": %.3f,\n", name, 1e3 * times_mean(t), name,
           1e3 * times_below(t, 0.5), name, 1e3 * times_below(t, 0.9), name, 1e3 * times_below(t, 0.99));
}

static void print_as_json(const struct simulating *s)
{
    const struct tally *t = &s->run.tally;
    printf("{\n  \"simulated\": true, \"workers\": %d, \"replicas\": %d, \"sequences\": %u, \"completed\": %llu,\n"
           "  \"measured\": %s, \"stages\": %d, \"prompt_rows\": %llu, \"rows\": %llu, \"rows_again\": %llu,\n",
           s->workers, s->replicas, s->wanted.sequences, (unsigned long long)s->requests, s->measured ? "true" : "false", s->stages_most,
           (unsigned long long)s->prompt_rows, (unsigned long long)s->rows, (unsigned long long)t->rows_again);
    printf("  \"micro_batches\": %llu, \"wire_bytes\": %.0f, \"duration\": %.6f, \"output_throughput\": %.3f, \"prompt_throughput\": %.3f,\n"
           "  \"total_output_tokens\": %llu,\n",
           (unsigned long long)s->batches, s->bytes, s->seconds, (double)s->tokens / s->seconds, (double)s->prompt_rows / s->seconds,
           (unsigned long long)s->tokens);
    print_json_times("ttft", &t->first);
    print_json_times("tpot", &t->between);
    print_json_times("e2el", &t->whole);
    printf("  \"bubble\": %.4f, \"busiest\": %.4f, \"idlest\": %.4f, \"bytes_per_token\": %.0f, \"largest_stage_bytes\": %llu\n}\n", 1 - part_busy(s), s->busiest,
           s->idlest, s->bytes / (double)s->tokens, (unsigned long long)s->largest);
}

static void print_heading(const struct simulating *s, FILE *to)
{
    const struct options *o = s->o;
    fprintf(to, "simulated: %d worker%s in %d replica%s, up to %u sequences each; %u requests", s->workers, s->workers == 1 ? "" : "s", s->replicas,
            s->replicas == 1 ? "" : "s", s->wanted.sequences, o->requests);
    if (o->arrivals > 0) fprintf(to, ", %g a second\n", (double)o->arrivals);
    else fprintf(to, ", all at once\n");
    fprintf(to, "  %s\n", s->measured ? "by the speeds of these workers and the ways between them, as they were measured" :
            "by nominal speeds: these workers were not measured (gemmapipe plan --probe --cluster)");
}

static int simulate_all(struct simulating *s, struct err *why)
{
    struct plain_page page;
    FILE *to = NULL;
    const uint64_t begun = clock_ns();
    if (!s->o->json) {
        to = plain_page_open(&page, stdout);
        print_heading(s, to);
    }
    int code = 0;
    for (int i = 0; i < s->replicas && !code; i++) code = simulate_replica(s, i, to, why);
    s->took = (double)(clock_ns() - begun) / 1e9;
    if (!code && to) print_sums(s, to);
    else if (!code) print_as_json(s);
    if (to) plain_page_close(&page);
    return code;
}

static int draw(struct simulating *s, struct err *why)
{
    const struct chart *const all[] = {&s->chart};
    const struct chart_sums sums = {.replicas = s->shown, .of = s->replicas, .asks = s->requests, .tokens = s->tokens, .seconds = s->seconds};
    if (!s->drawing) return 0;
    TRY(chart_finish(&s->chart, why));
    chart_entitle(&s->chart, "simulated", &sums);
    charts_print(whole_file_stream(s->drawing), all, 1);
    return whole_file_close(&s->drawing, 0, why);
}

static int simulate(struct simulating *s, struct err *why)
{
    TRY(read_invented_cluster(s, why));
    const struct cluster_wish wish = {.model = s->o->model, .numbers = s->o->numbers, .addresses = s->addresses, .n_addresses = s->workers, .said = s->offers,
                                      .threads = s->o->threads, .probe = wish_by_measure(s->o)};
    TRY(session_open_files(&s->session, s->o, &wish, why));
    TRY(take_speeds(s, why));
    TRY(prepare(s, why));
    if (s->o->timeline) TRY(whole_file_open(&s->drawing, s->o->timeline, why));
    if (s->o->trace) TRY(trace_open(&s->trace, s->o->trace, INVENTED_BEGIN_NS, s->replicas > 1, why));
    TRY(simulate_all(s, why));
    TRY(trace_finish(&s->trace, why));
    return draw(s, why);
}

int command_simulate(const struct options *o, struct err *why)
{
    struct simulating *s = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for a simulation");
    s->o = o;
    const int code = simulate(s, why);
    whole_file_close(&s->drawing, code ? code : E_INTERNAL, NULL);
    trace_abandon(&s->trace);
    session_close(&s->session, NULL);
    chart_free(&s->chart);
    tally_free(&s->run.tally);
    free(s->offers);
    free(s->links);
    free(s->addresses);
    free(s);
    return code;
}
