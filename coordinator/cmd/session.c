/* coordinator/cmd/session.c — see session.h. */
#include "coordinator/cmd/session.h"

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

int session_open(struct session *s, const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    s->options = o;
    TRY(pipeline_open(&s->pipe, wish, mpi, why));
    TRY(stdout_ring_open(&s->out, STDOUT_FILENO, why));
    TRY(open_tokens(s, why));
    if (o->trace) TRY(trace_open(&s->trace, o->trace, why));
    if (o->timeline) {
        TRY(run_chart_open(&s->chart, why));
        TRY(whole_file_open(&s->drawing, o->timeline, why));
    }
    return o->report || o->report_json ? run_report_open(&s->report, o->report_json, why) : 0;
}

int session_launch(struct session *s, const struct capacity *c, struct err *why)
{
    struct engine_setup setup = {.pipe = s->pipe, .end_of_turn = -1, .eos = -1, .exact_embed_scale = s->options->exact_embed_scale,
                                 .lookup = s->options->lookup, .no_prefix_reuse = s->options->no_prefix_reuse};
    TRY(pipeline_launch(s->pipe, c, why));
    if (s->tokens) {
        const struct specials special = tokenizer_specials(s->tokens);
        setup.end_of_turn = special.end_of_turn;
        setup.eos = special.eos;
        s->words = (struct shaped_words){.tokens = s->tokens, .words = s->pipe->model->embedding.rows, .ends = {special.end_of_turn, special.eos}};
    }
    TRY(engine_open(&s->engine, &setup, why));
    if (s->trace) engine_watch(s->engine, trace_watch, s->trace);
    if (s->chart) engine_watch(s->engine, run_chart_watch, s->chart);
    return s->report && s->tokens ? run_report_begin(s->report, s->pipe, s->engine, why) : 0;
}

int session_turn(struct session *s, int timeout_ms, struct err *why)
{
    TRY(engine_turn(s->engine, stdout_ring_empty(s->out) || timeout_ms < SLOW_MS ? timeout_ms : SLOW_MS, why));
    return stdout_ring_flush(s->out, why);
}

int session_answer(struct session *s, struct err *why)
{
    while (engine_unanswered(s->engine)) TRY(session_turn(s, TURN_MS, why));
    return 0;
}

int session_deliver(struct session *s, struct err *why)
{
    TRY(stdout_ring_flush(s->out, why));
    while (!stdout_ring_empty(s->out)) TRY(session_turn(s, TURN_MS, why));
    return 0;
}

/* What happened, below what was expected where that can be said. */
static int draw(struct session *s, const struct timeline *line, struct err *why)
{
    struct chart measured = {0}, predicted = {0};
    bool both = false;
    if (!s->chart) return 0;
    int code = run_chart_fill(&measured, s->chart, s->pipe, line, "measured", why);
    if (!code) code = predicted_chart(&predicted, &both, s->pipe, s->chart, why);
    const struct chart *const all[] = {both ? &predicted : &measured, &measured};
    if (!code) charts_print(whole_file_stream(s->drawing), all, both ? 2 : 1);
    chart_free(&measured);
    chart_free(&predicted);
    return whole_file_close(&s->drawing, code, why);
}

/* Diaries are fetched once, whoever wants them. */
static int show_times(struct session *s, struct err *why)
{
    struct timeline line;
    if (!s->trace && !s->chart) return 0;
    TRY(timeline_fetch(&line, s->pipe, why));
    int code = trace_finish(&s->trace, s->pipe, &line, why);
    if (!code) code = draw(s, &line, why);
    timeline_free(&line);
    return code;
}

int session_finish(struct session *s, struct err *why)
{
    if (s->report && s->tokens) TRY(run_report_finish(s->report, s->pipe, s->engine, s->options->report, why));
    else if (s->report) TRY(report_pictures(s->pipe, why));
    return show_times(s, why);
}

void session_close(struct session *s, const struct err *failure)
{
    engine_close(&s->engine);
    trace_abandon(&s->trace);
    run_chart_close(&s->chart);
    whole_file_close(&s->drawing, E_INTERRUPTED, NULL);
    run_report_close(&s->report);
    shaped_words_close(&s->words);
    tokenizer_close(&s->tokens);
    pipeline_close(&s->pipe, failure);
    stdout_ring_close(&s->out);
}
