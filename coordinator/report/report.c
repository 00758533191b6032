/* coordinator/report/report.c — see report.h.
 *
 * The workers count for themselves, and are asked once, when all is answered: nothing travels for the report while somebody waits
 * for a token, and a run without --report pays for counters alone. What only the coordinator can know is in the tally.
 *
 * Where the time of a stage went, from the first ask to the last end:
 *
 *   busy      it computed rows that were needed
 *   replay    it computed rows again that it had before and lost; its own busy time, shared out by rows
 *   blocked   it had computed, and nobody took what it had to hand over
 *   sending   it handed over, and had nothing to compute meanwhile
 *   starved   all the rest: nothing was there to compute
 *
 * The last four together are the bubble. */
#include "coordinator/report/report.h"

#include "base/json.h"
#include "base/plain_text.h"
#include "base/threads.h"
#include "base/version.h"
#include "base/whole_file.h"
#include "coordinator/cluster/speeds.h"
#include "coordinator/cluster/timeline.h"
#include "coordinator/report/expected.h"
#include "partition/model/part_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFINE_SECONDS 2 /* that every stage must have computed */
#define REFINE_STOPPED 0.01 /* part of the time: who stood still took longer than it computed */

struct run_report {
    struct tally tally;
    struct expected *expected; /* [replicas] */
    struct report_requests requests;
    bool has_requests;
    struct other_ways ways;
    struct whole_file *json; /* NULL: not wanted */
    uint64_t *wire_bytes;    /* [replicas]: that had been sent before anything was asked */
};

static double seconds(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static double over(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* ---- opening and beginning ---- */

int run_report_open(struct run_report **out, const char *json, struct err *why)
{
    struct run_report *r = *out = calloc(1, sizeof *r);
    if (!r) return fail(why, E_MEMORY, "no memory for the report");
    const int code = json ? whole_file_open(&r->json, json, why) : 0;
    if (code) run_report_close(out);
    return code;
}

void run_report_close(struct run_report **pr)
{
    struct run_report *r = *pr;
    *pr = NULL;
    if (!r) return;
    whole_file_close(&r->json, E_INTERRUPTED, NULL);
    tally_free(&r->tally);
    free(r->expected);
    free(r->wire_bytes);
    free(r);
}

/* From process to process, or from thread to thread, heads included. */
static uint64_t wire_bytes(const struct pipeline *p)
{
    uint64_t sum = port_counters(roster_port(p->roster)).bytes_out;
    for (int i = 0; i < p->workers; i++) sum += p->crew[i]->report.bytes_out;
    return sum;
}

int run_report_begin(struct run_report *r, struct fleet *fleet, struct err *why)
{
    const int n = fleet_size(fleet);
    r->expected = calloc((size_t)n, sizeof *r->expected);
    r->wire_bytes = calloc((size_t)n, sizeof *r->wire_bytes);
    if (!r->expected || !r->wire_bytes) return fail(why, E_MEMORY, "no memory for the report");
    fleet_watch(fleet, tally_watch, &r->tally);
    for (int i = 0; i < n; i++) {
        struct pipeline *p = fleet_pipe(fleet, i);
        TRY(pipeline_reports(p, why));
        r->wire_bytes[i] = wire_bytes(p);
        expected_begin(&r->expected[i], p);
        engine_watch(fleet_engine(fleet, i), expected_watch, &r->expected[i]);
    }
    return 0;
}

const struct tally *run_report_tally(const struct run_report *r)
{
    return &r->tally;
}

void run_report_requests(struct run_report *r, const struct report_requests *n)
{
    r->requests = *n;
    r->has_requests = true;
}

void run_report_other_ways(struct run_report *r, const struct other_ways *o)
{
    r->ways = *o;
}

/* ---- figures ---- */

struct stage_figures { /* parts of the wall's time, 1 in all */
    double busy, starved, blocked, sending, replay;
    double stopped; /* whatever it did then */
};

struct figures {
    const struct tally *tally;
    const struct expected *expected;
    struct report_requests requests;
    struct engine_totals totals;
    double wall, bubble, wire_per_token;
    uint64_t wire_bytes;
};

static struct stage_figures stage_figures(const struct figures *f, const struct report *n)
{
    struct stage_figures s = {0};
    if (f->wall <= 0) return s;
    const double computing = (double)n->busy_ns / 1e9 / f->wall, seeing = (double)n->picture_ns / 1e9 / f->wall;
    s.replay = (computing - seeing) * over((double)f->tally->rows_again, (double)f->tally->rows);
    s.busy = computing - s.replay;
    s.blocked = (double)n->blocked_ns / 1e9 / f->wall;
    s.sending = (double)n->send_ns / 1e9 / f->wall;
    s.stopped = (double)n->stopped_ns / 1e9 / f->wall;
    if (s.stopped > 1) s.stopped = 1;
    s.starved = 1 - computing - s.blocked - s.sending;
    if (s.starved < 0) s.starved = 0; /* a stage may begin before the clock around it is read */
    return s;
}

/* Of replicas first..end-1; their time is that of all together. */
static struct figures figures_of(const struct run_report *r, const struct fleet *fleet, int first, int end)
{
    const struct tally *t = &r->tally;
    const bool one = end == first + 1;
    struct figures f = {.tally = t, .expected = &r->expected[first], .requests = r->requests};
    const struct engine_totals all = fleet_totals(fleet);
    const int workers = one ? fleet_pipe(fleet, first)->workers : fleet_stages(fleet);
    double busy = 0;
    if (!r->has_requests) f.requests = (struct report_requests){.completed = t->ended, .prompt_tokens = t->asked_rows};
    f.totals = one ? engine_totals(fleet_engine(fleet, first)) : all;
    f.wall = seconds(all.begun_ns, all.ended_ns);
    for (int k = first; k < end; k++) {
        const struct pipeline *p = fleet_pipe(fleet, k);
        for (int i = 0; i < p->workers; i++) busy += stage_figures(&f, &p->crew[i]->report).busy;
        f.wire_bytes += wire_bytes(p) - r->wire_bytes[k];
    }
    f.bubble = f.wall > 0 && busy < workers ? 1 - busy / workers : 0;
    f.wire_per_token = over((double)f.wire_bytes, (double)f.totals.made);
    return f;
}

/* Each stage of the text as it was expected and as it was. */
static int compare_all(struct compared out[STAGES_MOST], const struct pipeline *p, const struct figures *f)
{
    const struct expected *x = f->expected;
    const double wall = expected_wall(x);
    const int n = plan_stages(&p->plan);
    for (int i = 0; i < n; i++) {
        const struct report *r = &p->crew[i]->report;
        const struct stage_figures s = stage_figures(f, r);
        const double computed = (double)(r->busy_ns - r->picture_ns) / 1e9;
        out[i] = (struct compared){
            .row = {x->busy[i] / x->rows, over(computed, (double)r->rows)}, .waiting = {1 - over(x->busy[i], wall), s.starved + s.blocked},
            .sending = {0, s.sending}, .memory = {(double)pipeline_planned(p, i), (double)r->peak_resident},
            .beside = p->plan.of[i].bytes[CHAIN_TEXT].runtime, .busy = s.busy + s.replay,
            .stopped = s.stopped - (1 - ration_share(&p->offers[i].ration)),
        };
        if (out[i].stopped < 0) out[i].stopped = 0;
        const double line = over(x->lines[i], wall);
        out[i].sending[0] = line < out[i].waiting[0] ? line : out[i].waiting[0];
        out[i].waiting[0] -= out[i].sending[0];
    }
    return n;
}

static void say_difference(char said[400], const struct compared *all, int n, const struct pipeline *p, const struct figures *f)
{
    const struct compared_run run = {.wall = {expected_wall(f->expected), f->wall}, .in_flight = expected_in_flight(f->expected),
                                     .in_flight_most = p->plan.capacity.in_flight, .few_cores = expected_few_cores(f->expected)};
    difference_say(said, all, n, &run);
}

/* ---- for people ---- */

static void print_expected(FILE *to, const struct pipeline *p, const struct figures *f)
{
    struct compared all[STAGES_MOST];
    char said[400];
    const double wall = expected_wall(f->expected);
    if (!expected_known(f->expected)) {
        fprintf(to, " nothing was expected: %s\n", p->epoch > 1 ? "a worker was lost meanwhile" : "the workers' speeds were not "
                "measured (gemmapipe plan --probe)");
        return;
    }
    const int n = compare_all(all, p, f);
    fprintf(to, "\n stage   ms a row: expected  measured     off   waiting %%: expected  measured   sending %%: expected  measured   "
            "memory MiB: planned  measured     off\n");
    for (int i = 0; i < n; i++) {
        const struct compared *c = &all[i];
        fprintf(to, " %5d  %19.4g  %8.4g  %+5.0f %%  %20.1f  %8.1f  %20.1f  %8.1f  %20.1f  %8.1f  %+5.0f "
                "%%\n", i + 1, 1e3 * c->row[0], 1e3 * c->row[1],
                100 * over(c->row[1] - c->row[0], c->row[0]), 100 * c->waiting[0], 100 * c->waiting[1], 100 * c->sending[0], 100 * c->sending[1],
                c->memory[0] / 1048576, c->memory[1] / 1048576, 100 * over(c->memory[1] - c->memory[0], c->memory[0]));
    }
    fprintf(to, " expected: %.2f s for all of this, %.1f tok/s; it was %.2f s, %.1f "
            "tok/s\n", wall, over((double)f->totals.made, wall), f->wall,
            over((double)f->totals.made, f->wall));
    say_difference(said, all, n, p, f);
    fprintf(to, " the largest difference: %s\n", said);
}

/* Of each plan that ended with a loss: what was planned and what its workers took. */
static void print_past(FILE *to, const struct pipeline *p)
{
    if (p->losses)
        fprintf(to, " %u worker%s lost; %.1f s until all were there again, in all; the stages above are as in epoch %u, the "
                "last\n", p->losses, p->losses == 1 ? " was" : "s were",
                p->lost_seconds, p->epoch);
    for (size_t i = 0; i < p->n_past; i++) {
        const struct past_stage *s = &p->past[i];
        const bool first = !i || s->epoch != s[-1].epoch, last = i + 1 == p->n_past || s->epoch != s[1].epoch;
        if (first) fprintf(to, " epoch %u, MiB measured of MiB planned:", s->epoch);
        fprintf(to, " worker %d %.1f of %.1f%s", s->node, (double)s->measured / 1048576, (double)s->planned / 1048576, last ? "\n" : ",");
    }
}

static void print_stages(FILE *to, const struct pipeline *p, const struct figures *f)
{
    char held[96], numbers[NUMERIC_TEXT];
    fprintf(to, "\n stage  layers         isa     threads   planned MiB  measured MiB   busy %%  starved %%  blocked %%  sending %%"
                "  replay %%   sent MiB  micro-batches\n");
    for (int i = 0; i < p->workers; i++) {
        const struct member *n = p->crew[i];
        const struct part text = p->plan.of[i].part[CHAIN_TEXT];
        const struct stage_figures s = stage_figures(f, &n->report);
        char layers[32];
        if (part_is_empty(text)) snprintf(layers, sizeof layers, "pictures");
        else show_part_briefly(layers, text);
        fprintf(to, " %5d  %-13s  %-7.7s %7u  %12.1f  %12.1f  %7.1f  %9.1f  %9.1f  %9.1f  %8.1f  %9.2f  %13llu\n", i + 1, layers,
                n->hello.isa, n->hello.threads, (double)pipeline_planned(p, i) / 1048576, (double)n->report.peak_resident / 1048576,
                100 * s.busy, 100 * s.starved, 100 * s.blocked, 100 * s.sending, 100 * s.replay, (double)n->report.bytes_out / 1048576,
                (unsigned long long)n->report.batches);
    }
    fprintf(to, " coordinator: peak %.1f MiB%s\n", (double)peak_resident_bytes() / 1048576,
            pipeline_is_one_process(p) ? " (one process: the stages' memory is in it, and each stage shows the whole)" : "");
    plan_print_relayed(to, &p->plan, p->offers);
    print_past(to, p);
    if (plan_stages(&p->plan)) fprintf(to, " keys and values of %s\n", show_capacity(held, &p->plan.capacity));
    if (numeric_number(p->plan.capacity.mode)) fprintf(to, " %s\n", numeric_show(numbers, p->plan.capacity.mode));
    fprintf(to, " bubble: %.1f %% of the stages' time was not spent computing what was needed\n", 100 * f->bubble);
    fprintf(to, " plan %016" PRIx64 ", made from %016" PRIx64 "\n", p->plan.hash, p->plan.made_from); /* as `gemmapipe plan` shows it */
}

static void print_encoder_stage(const struct member *n, struct part s, int stage)
{
    char part[64];
    fprintf(stderr, " %5d  %-24s %9llu  %9.2f  %15.1f\n", stage, show_vision_part(part, s), (unsigned long long)n->report.pictures,
            (double)n->report.picture_ns / 1e9, n->report.busy_ns ? 100 * (double)n->report.picture_ns / (double)n->report.busy_ns : 0);
}

static int print_pictures(struct pipeline *p, struct err *why)
{
    struct timeline t;
    struct overlap o;
    TRY(timeline_fetch(&t, p, why));
    int code = timeline_overlap(&o, &t, why);
    timeline_free(&t);
    if (code) return code;
    fprintf(stderr, "\n stage  encoder                   pictures  seeing s  %% of its busy time\n");
    for (int i = 0; i < p->workers; i++)
        if (plan_picture_route(&p->plan, i)) print_encoder_stage(p->crew[i], p->plan.of[i].part[CHAIN_VISION], i + 1);
    fprintf(stderr, " pictures were in the encoder's layers for %.2f s", o.seeing);
    if (o.seeing > 0)
        fprintf(stderr, "; for %.0f %% of that another stage saw another picture, for %.0f %% another stage computed text",
                100 * o.with_picture / o.seeing, 100 * o.with_rows / o.seeing);
    fprintf(stderr, "\n");
    return 0;
}

int report_pictures(struct pipeline *p, struct err *why)
{
    TRY(pipeline_reports(p, why));
    return print_pictures(p, why);
}

static void print_times(FILE *to, const char *what, const struct times *t)
{
    if (t->n) fprintf(to, "\n %s: %.4g ms mean, %.4g median, %.4g for 99 of 100, %.4g most", what, 1e3 * times_mean(t),
                      1e3 * times_below(t, 0.5), 1e3 * times_below(t, 0.99), 1e3 * t->most);
}

static void print_rates(FILE *to, const struct figures *f)
{
    const struct tally *t = f->tally;
    const struct engine_totals *e = &f->totals;
    const double wall = f->wall, prefill = seconds(e->begun_ns, e->last_first_ns), decode = seconds(e->last_first_ns, e->ended_ns);
    const uint64_t later = t->made > t->spoke ? t->made - t->spoke : 0;
    fprintf(to, " requests: %" PRIu64 " completed", f->requests.completed);
    if (f->requests.failed) fprintf(to, ", %" PRIu64 " failed", f->requests.failed);
    fprintf(to, ", %.3g a second, in %.1f s\n", over((double)f->requests.completed, wall), wall);
    fprintf(to, " prompt: %" PRIu64 " tokens", t->asked_rows - t->reused_rows);
    if (t->reused_rows) fprintf(to, " and %" PRIu64 " that were there already", t->reused_rows);
    if (prefill > 0) fprintf(to, ", %.1f tok/s until the last first token", (double)(t->asked_rows - t->reused_rows) / prefill);
    fprintf(to, "\n answer: %" PRIu64 " tokens", t->made);
    if (t->spoke == 1 && decode > 0) fprintf(to, ", %.1f tok/s after the first", (double)later / decode);
    else if (wall > 0) fprintf(to, ", %.1f tok/s over all", (double)t->made / wall);
    if (t->pictures) fprintf(to, "\n pictures: %" PRIu64 ", %.3g a second", t->pictures, over((double)t->pictures, wall));
    if (e->guessed) fprintf(to, "\n lookup: %" PRIu64 " guesses, %" PRIu64 " of them right", e->guessed, e->guessed_right);
    if (e->verified.checks)
        fprintf(to, "\n verified: %u answers, %u looks at all weights; %u workers were wrong", e->verified.answers, e->verified.checks, e->verified.wrong);
    if (t->rows_again) fprintf(to, "\n computed again: %" PRIu64 " of %" PRIu64 " rows", t->rows_again, t->rows);
    fprintf(to, "\n wire: %.0f bytes for each token of an answer", f->wire_per_token);
    if (e->home_bytes) fprintf(to, "; %.1f MiB of scores went home from the parts of the head", (double)e->home_bytes / 1048576);
    print_times(to, "time to first token", &t->first);
    print_times(to, "time to each further token", &t->between);
    fputc('\n', to);
}

static int print_table(struct pipeline *p, const struct figures *f, struct err *why)
{
    struct plain_page page;
    FILE *to = plain_page_open(&page, stderr);
    print_stages(to, p, f);
    if (plan_stages(&p->plan)) print_expected(to, p, f);
    plain_page_close(&page);
    if (p->encoder) TRY(print_pictures(p, why));
    fprintf(stderr, " %" PRIu64 " micro-batches of %.1f rows in the mean; ready after %.2f s\n", f->totals.batches,
            over((double)f->totals.rows, (double)f->totals.batches), p->launch_seconds);
    return 0;
}

/* ---- for scripts: what `vllm bench throughput` and `vllm bench serve` have has their names ---- */

static void json_times(FILE *to, const char *name, const struct times *t)
{
    fprintf(to, "  \"mean_%s_ms\": %.6g, \"median_%s_ms\": %.6g, \"p99_%s_ms\": %.6g,\n", name, 1e3 * times_mean(t), name,
            1e3 * times_below(t, 0.5), name, 1e3 * times_below(t, 0.99));
}

static void json_rates(FILE *to, const struct figures *f)
{
    const struct tally *t = f->tally;
    const uint64_t input = f->requests.prompt_tokens, both = input + t->made;
    const double wall = f->wall, requests = over((double)f->requests.completed, wall);
    fprintf(to, "  \"elapsed_time\": %.6g, \"duration\": %.6g, \"num_requests\": %" PRIu64 ", \"completed\": %" PRIu64
                ", \"failed\": %" PRIu64 ",\n",
            wall, wall, f->requests.completed + f->requests.failed, f->requests.completed, f->requests.failed);
    fprintf(to, "  \"total_num_tokens\": %" PRIu64 ", \"total_input_tokens\": %" PRIu64 ", \"total_output_tokens\": %" PRIu64 ",\n", both,
            input, t->made);
    fprintf(to, "  \"requests_per_second\": %.6g, \"tokens_per_second\": %.6g, \"request_throughput\": %.6g,\n", requests,
            over((double)both, wall), requests);
    fprintf(to, "  \"input_throughput\": %.6g, \"output_throughput\": %.6g, \"total_token_throughput\": %.6g,\n", over((double)input, wall),
            over((double)t->made, wall), over((double)both, wall));
    json_times(to, "ttft", &t->first);
    json_times(to, "tpot", &t->between);
    json_times(to, "e2el", &t->whole);
    fprintf(to, "  \"pictures\": %" PRIu64 ", \"pictures_per_second\": %.6g,\n", t->pictures, over((double)t->pictures, wall));
    fprintf(to, "  \"answers\": %" PRIu64 ", \"prompt_rows\": %" PRIu64 ", \"reused_rows\": %" PRIu64 ", \"rows\": %" PRIu64
                ", \"rows_again\": %" PRIu64 ", \"micro_batches\": %" PRIu64 ",\n",
            t->ended, t->asked_rows, t->reused_rows, t->rows, t->rows_again, f->totals.batches);
    fprintf(to, "  \"lookup_drafted\": %" PRIu64 ", \"lookup_accepted\": %" PRIu64 ",\n", f->totals.guessed, f->totals.guessed_right);
    fprintf(to, "  \"verified_answers\": %u, \"verified_weights\": %u, \"wrong_workers\": %u,\n", f->totals.verified.answers,
            f->totals.verified.checks, f->totals.verified.wrong);
    fprintf(to, "  \"wire_bytes\": %" PRIu64 ", \"wire_bytes_per_token\": %.6g, \"score_bytes\": %" PRIu64 ",\n", f->wire_bytes,
            f->wire_per_token, f->totals.home_bytes);
}

static bool is_relayed(const struct pipeline *p, int worker)
{
    const int next = route_after(plan_text_route(&p->plan), worker);
    return next >= 0 && pipeline_relays(p, worker, next);
}

static void json_stage(FILE *to, const struct pipeline *p, int i, const struct figures *f)
{
    const struct member *n = p->crew[i];
    const struct stage_figures s = stage_figures(f, &n->report);
    const struct part text = p->plan.of[i].part[CHAIN_TEXT];
    fprintf(to, "    {\"name\": ");
    json_print_text(to, n->name);
    if (!part_is_empty(text)) fputs(", ", to), part_write_json(to, text);
    fprintf(to, ", \"isa\": ");
    json_print_text(to, n->hello.isa);
    fprintf(to, ", \"threads\": %u,\n     \"busy\": %.4f, \"starved\": %.4f, \"blocked\": %.4f, \"sending\": %.4f, \"replay\": %.4f, \"stopped\": %.4f,\n",
            n->hello.threads, s.busy, s.starved, s.blocked, s.sending, s.replay, s.stopped);
    fprintf(to, "     \"planned_bytes\": %" PRIu64 ", \"measured_bytes\": %" PRIu64 ", \"sent_bytes\": %" PRIu64
                ", \"relayed\": %s, \"micro_batches\": %" PRIu64 ", \"pictures\": %" PRIu64 "}",
            pipeline_planned(p, i), n->report.peak_resident, n->report.bytes_out, is_relayed(p, i) ? "true" : "false", n->report.batches,
            n->report.pictures);
}

static void json_expected(FILE *to, const struct pipeline *p, const struct figures *f)
{
    struct compared all[STAGES_MOST];
    char said[400];
    if (!expected_known(f->expected)) return;
    const int n = compare_all(all, p, f);
    const double wall = expected_wall(f->expected);
    say_difference(said, all, n, p, f);
    fprintf(to, "  \"expected\": {\"elapsed_time\": %.6g, \"output_throughput\": %.6g, \"difference\": "
            "", wall, over((double)f->totals.made, wall));
    json_print_text(to, said);
    fprintf(to, ",\n   \"stages\": [");
    for (int i = 0; i < n; i++)
        fprintf(to, "%s\n    {\"row_s\": [%.6g, %.6g], \"waiting\": [%.4f, %.4f], \"sending\": [%.4f, %.4f]}", i ? "," : "", all[i].row[0],
                all[i].row[1], all[i].waiting[0], all[i].waiting[1], all[i].sending[0], all[i].sending[1]);
    fprintf(to, "]},\n");
}

static void json_replica(FILE *to, const struct pipeline *p, const struct figures *f)
{
    fprintf(to, "  \"epoch\": %u, \"lost_workers\": %u, \"lost_s\": %.6g,\n", p->epoch, p->losses, p->lost_seconds);
    json_expected(to, p, f);
    fprintf(to, "  \"ready_s\": %.6g, \"coordinator_bytes\": %" PRIu64 ", \"bubble\": %.4f,\n  \"stages\": [\n", p->launch_seconds,
            peak_resident_bytes(), f->bubble);
    for (int i = 0; i < p->workers; i++) {
        if (i) fputs(",\n", to);
        json_stage(to, p, i, f);
    }
    fputs("]", to);
}

static void json_other_ways(FILE *to, const struct run_report *r)
{
    char said[OTHER_WAYS_TEXT];
    other_ways_say(said, &r->ways);
    if (!*said) return;
    fputs("  \"other_ways\": ", to);
    json_print_text(to, said);
    fputs(",\n", to);
}

/* One pipeline has its stages beside the rates; of replicas each has its own. */
static void write_json(FILE *to, const struct run_report *r, const struct fleet *fleet)
{
    const int n = fleet_size(fleet);
    const struct pipeline *p = fleet_pipe(fleet, 0);
    const struct figures all = figures_of(r, fleet, 0, n);
    fprintf(to, "{ \"engine\": \"gemmapipe %s\", \"model\": ", GEMMAPIPE_VERSION);
    json_print_text(to, p->wish.model);
    fprintf(to, ", \"link\": \"%s\", \"plan\": \"%016" PRIx64 "\",\n", port_kind(roster_port(p->roster)), p->plan.hash);
    json_rates(to, &all);
    json_other_ways(to, r);
    if (n > 1) fprintf(to, "  \"bubble\": %.4f, \"replicas\": [\n", all.bubble);
    for (int k = 0; k < n; k++) {
        const struct figures f = figures_of(r, fleet, k, k + 1);
        if (n > 1) fprintf(to, "%s{\"lost\": %s, \"micro_batches\": %" PRIu64 ", \"output_tokens\": %" PRIu64 ",\n", k ? ",\n" : "",
                           fleet_lost(fleet, k) ? "true" : "false", f.totals.batches, f.totals.made);
        json_replica(to, fleet_pipe(fleet, k), &f);
        if (n > 1) fputs("}", to);
    }
    fprintf(to, n > 1 ? "] }\n" : " }\n");
}

static int ask_all(const struct fleet *fleet, struct err *why)
{
    for (int k = 0; k < fleet_size(fleet); k++)
        if (!fleet_lost(fleet, k)) TRY(pipeline_reports(fleet_pipe(fleet, k), why));
    return 0;
}

int run_report_sum(struct run_report *r, const struct fleet *fleet, struct report_sum *out, struct err *why)
{
    TRY(ask_all(fleet, why));
    const struct figures f = figures_of(r, fleet, 0, fleet_size(fleet));
    *out = (struct report_sum){f.wall, f.bubble, f.wire_per_token};
    return 0;
}

/* What a run took is the better measure, where it was long enough: it is kept for the next plan. */
static void refine(struct pipeline *p, const struct figures *f)
{
    struct compared all[STAGES_MOST];
    double ratio[STAGES_MOST];
    if (!expected_known(f->expected) || plan_stages(&p->plan) != p->workers) return;
    const int n = compare_all(all, p, f);
    for (int i = 0; i < n; i++) {
        if (all[i].busy * f->wall < REFINE_SECONDS || p->crew[i]->report.pictures || all[i].stopped > REFINE_STOPPED) return;
        ratio[i] = ration_share(&p->offers[i].ration) < 1 ? 1 : over(all[i].row[1], all[i].row[0]); /* how long it stood still is not told */
    }
    speeds_refine(p, ratio);
}

static int print_all(const struct run_report *r, const struct fleet *fleet, struct err *why)
{
    char said[OTHER_WAYS_TEXT];
    const int n = fleet_size(fleet);
    for (int k = 0; k < n; k++) {
        const struct figures f = figures_of(r, fleet, k, k + 1);
        if (n > 1) fprintf(stderr, "\n replica %d of %d%s: %" PRIu64 " tokens of answers, %.1f tok/s\n", k + 1, n, fleet_lost(fleet, k) ? ", which was lost" : "",
                           f.totals.made, over((double)f.totals.made, f.wall));
        TRY(print_table(fleet_pipe(fleet, k), &f, why));
    }
    const struct figures all = figures_of(r, fleet, 0, n);
    if (n > 1) fprintf(stderr, "\n all replicas, bubble %.1f %%\n", 100 * all.bubble);
    print_rates(stderr, &all);
    other_ways_say(said, &r->ways);
    if (*said) fprintf(stderr, " %s\n", said);
    return 0;
}

int run_report_finish(struct run_report *r, const struct fleet *fleet, bool table, struct err *why)
{
    TRY(ask_all(fleet, why));
    if (table) TRY(print_all(r, fleet, why));
    for (int k = 0; k < fleet_size(fleet); k++) {
        const struct figures f = figures_of(r, fleet, k, k + 1);
        if (!fleet_lost(fleet, k)) refine(fleet_pipe(fleet, k), &f);
    }
    if (!r->json) return 0;
    write_json(whole_file_stream(r->json), r, fleet);
    return whole_file_close(&r->json, 0, why);
}
