/* coordinator/cmd/session.c — see session.h. */
#include "coordinator/cmd/session.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "coordinator/cluster/other_ways.h"
#include "coordinator/cluster/planning.h"
#include "coordinator/simulate/predicted.h"

#include <unistd.h>

#define SLOW_MS 20 /* between two looks at a reader that does not take all */

static int open_tokens(struct session *s, struct err *why)
{
    const struct model *m = s->pipe->model;
    return m ? tokenizer_open(&s->tokens, m->file, m->config.vocab, why) : 0;
}

int session_open_files(struct session *s, const struct options *o, const struct cluster_wish *wish, struct err *why)
{
    s->options = o;
    TRY(pipeline_open_files(&s->pipe, wish, why));
    return o->prompt || o->prompts_file ? open_tokens(s, why) : 0;
}

/* Which workers make which replica follows from what is asked of them, so they are looked for at the launch. */
static int open_pipeline(struct session *s, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct err no;
    s->wish = wish;
    if (mpi || !wish->replicas) TRY(pipeline_open(&s->pipe, wish, mpi, why)); /* ranks wait for a word */
    if (!wish->replicas) return 0;
    if (mpi) s->pipe->wish.ranks = s->pipe->places;
    const struct cluster_wish *all = mpi ? &s->pipe->wish : wish;
    if (wish->replicas > 0) TRY(replicas_check(all, wish->replicas, why));
    else if (replicas_check(all, 1, &no)) return mpi ? 0 : pipeline_open(&s->pipe, wish, NULL, why); /* what cannot be shared out is one pipeline */
    if (!mpi) TRY(pipeline_open_files(&s->pipe, wish, why));
    s->files = s->pipe;
    return 0;
}

int session_open(struct session *s, const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    s->options = o;
    TRY(open_pipeline(s, wish, mpi, why));
    TRY(stdout_ring_open(&s->out, STDOUT_FILENO, why));
    TRY(open_tokens(s, why));
    if (o->trace) TRY(trace_open(&s->trace, o->trace, clock_ns(), false, why));
    if (o->timeline) {
        TRY(run_chart_open(&s->chart, why));
        TRY(whole_file_open(&s->drawing, o->timeline, why));
    }
    return o->report || o->report_json ? run_report_open(&s->report, o->report_json, why) : 0;
}

int session_measure(const struct cluster_wish *wish, struct err *why)
{
    struct pipeline *p = NULL;
    int code = pipeline_open(&p, wish, NULL, why);
    if (!code) code = pipeline_measure(p, why);
    pipeline_close(&p, code ? why : NULL);
    return code;
}

/* How many are best depends on how fast the workers are, and on their memory: who is not known is measured first. */
static int choose_replicas(struct session *s, const struct capacity *c, struct replicas *out, struct err *why)
{
    const bool may = s->wish->replicas == REPLICAS_AUTO;
    bool blind;
    TRY(planning_replicas(s->files, c, out, &blind, why));
    if (may && blind && s->wish->probe) {
        replicas_free(out);
        TRY(session_measure(s->wish, why));
        TRY(planning_replicas(s->files, c, out, &blind, why));
    }
    if (may && blind) {
        replicas_free(out);
        return fail(why, E_USAGE, "how many replicas are best cannot be known where workers were never measured and nobody says how much memory they have");
    }
    if (may) log_info("%d replica%s of the pipeline: %.1f tokens/s by the plan, one of all workers %.1f", out->n, out->n == 1 ? "" : "s", out->value, out->one);
    return 0;
}

/* Under MPI with its ranks, in a port of their own. */
static int open_replica(struct session *s, const int *of, int replica, struct err *why)
{
    const struct pipeline *all = s->files;
    bool has[WORKERS_MOST + 1] = {false};
    struct port *port = NULL;
    for (int i = 0; i < all->wish.ranks; i++) has[all->crew[i]->node] = of[i] == replica;
    if (all->wish.ranks) TRY(port_part_mpi(&port, roster_port(all->roster), has, why));
    return pipeline_open(&s->replica[s->replicas++], replica_wish(s->wishes, replica), port, why);
}

static int open_replicas(struct session *s, const struct capacity *c, struct err *why)
{
    struct replicas r;
    uint64_t memory[WORKERS_MOST];
    struct cluster_wish all = s->files->wish;
    int code = choose_replicas(s, c, &r, why);
    if (all.ranks && s->wish->replicas == REPLICAS_AUTO && (code == E_MEMORY || r.n == 1)) { /* as without --replicas, also in what is refused */
        if (!code) replicas_free(&r);
        s->replica[s->replicas++] = s->files;
        s->files = NULL;
        return 0;
    }
    if (code) return code;
    if (all.ranks) all.memory = memory, all.n_memory = all.ranks;
    for (int i = 0; i < all.ranks; i++) memory[i] = s->files->offers[i].memory;
    code = replica_wishes_open(&s->wishes, &all, r.of, r.n, why);
    for (int i = 0; i < r.n && !code; i++) code = open_replica(s, r.of, i, why);
    replicas_free(&r);
    if (s->replicas) s->pipe = s->replica[0];
    return code;
}

/* All of the capacity in one pipeline, or a share of it in each. */
static int launch(struct session *s, const struct capacity *c, struct err *why)
{
    if (s->files && s->files->roster) TRY(pipeline_hear(s->files, why));
    if (s->files) TRY(open_replicas(s, c, why));
    else s->replica[s->replicas++] = s->pipe;
    const struct capacity each = replica_capacity(c, s->replicas);
    return pipelines_launch(s->replica, s->replicas, &each, why);
}

int session_launch(struct session *s, const struct capacity *c, struct err *why)
{
    struct engine_setup setup = {.end_of_turn = -1, .eos = -1, .exact_embed_scale = s->options->exact_embed_scale,
                                 .lookup = s->options->lookup, .verify = s->options->verify,
                                 .verify_idle_ms = s->verify_idle_ms, .no_prefix_reuse = s->options->no_prefix_reuse};
    s->wanted = *c;
    TRY(launch(s, c, why));
    if (s->tokens) {
        const struct specials special = tokenizer_specials(s->tokens);
        setup.end_of_turn = special.end_of_turn;
        setup.eos = special.eos;
        s->words = (struct shaped_words){.tokens = s->tokens, .words = s->pipe->model->embedding.rows, .ends = {special.end_of_turn, special.eos}};
    }
    TRY(fleet_open(&s->fleet, s->replica, s->replicas, &setup, why));
    if (s->replicas == 1) verify_say_how(fleet_engine(s->fleet, 0));
    if (s->trace) fleet_watch(s->fleet, trace_watch, s->trace);
    if (s->chart) fleet_watch(s->fleet, run_chart_watch, s->chart);
    return s->report && s->tokens ? run_report_begin(s->report, s->fleet, why) : 0;
}

int session_turn(struct session *s, int timeout_ms, struct err *why)
{
    TRY(fleet_turn(s->fleet, stdout_ring_empty(s->out) || timeout_ms < SLOW_MS ? timeout_ms : SLOW_MS, why));
    return stdout_ring_flush(s->out, why);
}

int session_answer(struct session *s, struct err *why)
{
    while (fleet_is_busy(s->fleet)) TRY(session_turn(s, TURN_MS, why));
    return 0;
}

int session_deliver(struct session *s, struct err *why)
{
    TRY(stdout_ring_flush(s->out, why));
    while (!stdout_ring_empty(s->out)) TRY(session_turn(s, TURN_MS, why));
    return 0;
}

/* What happened, below what was expected where that can be said. */
static int draw(struct session *s, struct chart *measured, bool forgotten, struct err *why)
{
    struct chart predicted = {0};
    struct chart_sums sums = run_chart_sums(s->chart);
    bool both = false;
    int left = 0;
    for (int k = 0; k < s->replicas; k++) left += !fleet_lost(s->fleet, k);
    sums.replicas = left, sums.of = s->replicas, sums.forgotten = forgotten;
    int code = run_chart_mark(measured, s->chart, why);
    if (!code) code = chart_finish(measured, why);
    if (!code) chart_entitle(measured, "measured", &sums);
    if (!code && left == s->replicas) code = predicted_chart(&predicted, &both, s->replica, s->replicas, s->chart, why);
    const struct chart *const all[] = {both ? &predicted : measured, measured};
    if (!code) charts_print(whole_file_stream(s->drawing), all, both ? 2 : 1);
    chart_free(&predicted);
    return whole_file_close(&s->drawing, code, why);
}

/* Diaries are fetched once, whoever wants them. */
static int show_times_of(struct session *s, int replica, struct chart *all, bool *forgotten, struct err *why)
{
    struct pipeline *p = s->replica[replica];
    struct timeline line;
    struct chart own = {0};
    int code = 0;
    TRY(timeline_fetch(&line, p, why));
    *forgotten |= line.forgotten > 0;
    if (s->trace) trace_add(s->trace, p, &line, replica, s->replicas);
    if (s->chart) code = run_chart_fill(&own, s->chart, p, &line, replica, why);
    if (s->chart && !code) code = chart_join(all, &own, replica, s->replicas, why);
    chart_free(&own);
    timeline_free(&line);
    return code;
}

/* A replica that is lost has nobody to ask. */
static int show_times(struct session *s, struct err *why)
{
    struct chart measured = {0};
    bool forgotten = false;
    int code = 0;
    if (!s->trace && !s->chart) return 0;
    for (int k = 0; k < s->replicas && !code; k++)
        if (!fleet_lost(s->fleet, k)) code = show_times_of(s, k, &measured, &forgotten, why);
    if (!code) code = trace_finish(&s->trace, why);
    if (!code && s->chart) code = draw(s, &measured, forgotten, why);
    chart_free(&measured);
    return code;
}

/* What is computed again may not be at home yet; who ended the program does not wait for it. */
static int finish_verifying(struct session *s, struct err *why)
{
    if (!s->options->verify || !s->fleet) return 0;
    if (!interrupt_seen()) TRY(session_answer(s, why));
    if (s->report && s->tokens) return 0; /* which says it */
    const struct verify_counts n = fleet_totals(s->fleet).verified;
    log_info("verified: %u answer%s computed again, all weights were looked at %u times, %u times a worker was wrong", n.answers,
             n.answers == 1 ? " was" : "s were", n.checks, n.wrong);
    return 0;
}

static int finish_report(struct session *s, struct err *why)
{
    struct other_ways o;
    other_ways_find(&o, s->wish, &s->wanted);
    other_ways_try_replicas(&o, s->wish, &s->wanted);
    run_report_other_ways(s->report, &o);
    return run_report_finish(s->report, s->fleet, s->options->report, why);
}

int session_finish(struct session *s, struct err *why)
{
    TRY(finish_verifying(s, why));
    if (s->report && s->tokens) TRY(finish_report(s, why));
    else if (s->report) TRY(report_pictures(s->pipe, why));
    return show_times(s, why);
}

void session_close(struct session *s, const struct err *failure)
{
    fleet_close(&s->fleet);
    trace_abandon(&s->trace);
    run_chart_close(&s->chart);
    whole_file_close(&s->drawing, E_INTERRUPTED, NULL);
    run_report_close(&s->report);
    shaped_words_close(&s->words);
    tokenizer_close(&s->tokens);
    if (s->replicas) s->pipe = NULL;
    else pipeline_close(&s->pipe, failure);
    for (int i = 0; i < s->replicas; i++) pipeline_close(&s->replica[i], failure);
    if (s->replicas && s->files) pipeline_close(&s->files, failure);
    replica_wishes_close(&s->wishes);
    stdout_ring_close(&s->out);
}
