/* coordinator/serve/metrics.c — see metrics.h. The text format of Prometheus, version 0.0.4. */
#define _GNU_SOURCE
#include "coordinator/serve/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define BOUNDS_MOST 24
#define OURS "gemmapipe_"
#define VLLM "vllm:"

struct bounds {
    double at[BOUNDS_MOST];
    int n;
};

static const struct bounds ttft = {{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}, 14};
static const struct bounds tpot = {{0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5}, 14};
static const struct bounds whole = {{0.1, 0.3, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800}, 14};
static const struct bounds vllm_ttft = {{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}, 22};
static const struct bounds vllm_gap = {{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}, 19};
static const struct bounds vllm_whole = {{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}, 21};
static const struct bounds vllm_tokens = {{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000}, 16};

enum { TTFT, TPOT, WHOLE, V_TTFT, V_GAP, V_WHOLE, V_QUEUE, V_PREFILL, V_DECODE, V_PROMPT, V_MADE, V_MOST, HISTOGRAMS };

static const struct kind {
    const char *prefix, *name, *help;
    const struct bounds *bounds;
} kinds[HISTOGRAMS] = {
    [TTFT] = {OURS, "time_to_first_token_seconds", "From a request to its first token.", &ttft},
    [TPOT] = {OURS, "time_per_output_token_seconds", "Mean time of the tokens of a request after the first.", &tpot},
    [WHOLE] = {OURS, "request_seconds", "From a request to its last token.", &whole},
    [V_TTFT] = {VLLM, "time_to_first_token_seconds", "From a request to its first token.", &vllm_ttft},
    [V_GAP] = {VLLM, "inter_token_latency_seconds", "From one token of an answer to the next.", &vllm_gap},
    [V_WHOLE] = {VLLM, "e2e_request_latency_seconds", "From a request to its last token.", &vllm_whole},
    [V_QUEUE] = {VLLM, "request_queue_time_seconds", "From a request to its being asked.", &vllm_whole},
    [V_PREFILL] = {VLLM, "request_prefill_time_seconds", "From its being asked to its first token.", &vllm_whole},
    [V_DECODE] = {VLLM, "request_decode_time_seconds", "From its first token to its last.", &vllm_whole},
    [V_PROMPT] = {VLLM, "request_prompt_tokens", "Tokens of a request's prompt.", &vllm_tokens},
    [V_MADE] = {VLLM, "request_generation_tokens", "Tokens made for a request.", &vllm_tokens},
    [V_MOST] = {VLLM, "request_max_num_generation_tokens", "Tokens that an answer of a request may have.", &vllm_tokens},
};

struct histogram {
    uint64_t in[BOUNDS_MOST + 1], n;
    double sum;
};

enum { STOPPED, LENGTH, CANCELLED, FAILED, WAYS };
static const char *const ways[WAYS] = {"stop", "length", "abort", "error"};

struct metrics {
    bool as_vllm;
    pthread_mutex_t lock;
    struct histogram histogram[HISTOGRAMS];
    uint64_t requests[WAYS], refused, prompt_tokens, reused_tokens, made;
    uint32_t running, waiting, epoch, losses, ready;
    struct verify_counts verified;
    double pages_used;
};

int metrics_open(struct metrics **out, bool as_vllm, struct err *why)
{
    struct metrics *m = *out = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory for metrics");
    m->as_vllm = as_vllm;
    pthread_mutex_init(&m->lock, NULL);
    return 0;
}

void metrics_close(struct metrics **m)
{
    if (*m) pthread_mutex_destroy(&(*m)->lock);
    free(*m);
    *m = NULL;
}

/* Under the lock. */
static void note(struct metrics *m, int which, double value)
{
    const struct bounds *b = kinds[which].bounds;
    struct histogram *h = &m->histogram[which];
    int i = 0;
    while (i < b->n && value > b->at[i]) i++;
    h->in[i]++;
    h->n++;
    h->sum += value;
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

void metrics_count(struct metrics *m, const struct call_numbers *n)
{
    const double all = seconds(n->came_ns, n->done_ns), first = seconds(n->came_ns, n->first_ns);
    pthread_mutex_lock(&m->lock);
    m->requests[n->failed ? FAILED : n->cancelled ? CANCELLED : n->length ? LENGTH : STOPPED]++;
    m->prompt_tokens += n->prompt_tokens;
    m->reused_tokens += n->reused_tokens;
    m->made += n->made;
    if (n->first_ns) {
        note(m, TTFT, first), note(m, V_TTFT, first);
        if (n->made > 1) note(m, TPOT, (all - first) / (double)(n->made - 1));
        note(m, WHOLE, all), note(m, V_WHOLE, all);
        note(m, V_QUEUE, seconds(n->came_ns, n->asked_ns));
        note(m, V_PREFILL, seconds(n->asked_ns, n->first_ns));
        note(m, V_DECODE, seconds(n->first_ns, n->done_ns));
        note(m, V_PROMPT, (double)n->prompt_tokens);
        note(m, V_MADE, (double)n->made);
        note(m, V_MOST, (double)n->most);
    }
    pthread_mutex_unlock(&m->lock);
}

void metrics_gap(struct metrics *m, uint64_t ns)
{
    pthread_mutex_lock(&m->lock);
    note(m, V_GAP, (double)ns / 1e9);
    pthread_mutex_unlock(&m->lock);
}

void metrics_refused(struct metrics *m)
{
    pthread_mutex_lock(&m->lock);
    m->refused++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_state(struct metrics *m, uint32_t running, uint32_t waiting)
{
    pthread_mutex_lock(&m->lock);
    m->running = running;
    m->waiting = waiting;
    pthread_mutex_unlock(&m->lock);
}

void metrics_pipeline(struct metrics *m, const struct engine_totals *now)
{
    pthread_mutex_lock(&m->lock);
    m->epoch = now->epoch;
    m->losses = now->losses;
    m->ready = now->ready;
    m->verified = now->verified;
    m->pages_used = now->pages_used;
    pthread_mutex_unlock(&m->lock);
}

/* ---- the page ---- */

struct metrics_page {
    FILE *to;
    const char *model;
};

/* A label's value: quotes, backslashes and line ends are escaped. */
static void print_label(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') fputs("\\n", to);
        else if (*text == '"' || *text == '\\') fprintf(to, "\\%c", *text);
        else fputc(*text, to);
    }
}

static void head(const struct metrics_page *p, const char *prefix, const char *name, const char *type, const char *help)
{
    fprintf(p->to, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, type);
}

/* One line but its value; `more`: further labels, each with a comma before it. */
static void begin_line(const struct metrics_page *p, const char *prefix, const char *name, const char *ending, const char *more)
{
    fprintf(p->to, "%s%s%s{model_name=\"", prefix, name, ending);
    print_label(p->to, p->model);
    fprintf(p->to, "\"%s%s} ", prefix[0] == 'v' ? ",engine=\"0\"" : "", more);
}

static void print_number(const struct metrics_page *p, const char *prefix, const char *name, const char *type, const char *help, double value)
{
    head(p, prefix, name, type, help);
    begin_line(p, prefix, name, "", "");
    fprintf(p->to, "%.17g\n", value);
}

static void print_histogram(const struct metrics_page *p, const struct kind *k, const struct histogram *h)
{
    uint64_t sum = 0;
    head(p, k->prefix, k->name, "histogram", k->help);
    for (int i = 0; i <= k->bounds->n; i++) {
        char le[40];
        sum += h->in[i];
        if (i < k->bounds->n) snprintf(le, sizeof le, ",le=\"%g\"", k->bounds->at[i]);
        begin_line(p, k->prefix, k->name, "_bucket", i < k->bounds->n ? le : ",le=\"+Inf\"");
        fprintf(p->to, "%" PRIu64 "\n", sum);
    }
    begin_line(p, k->prefix, k->name, "_sum", "");
    fprintf(p->to, "%.9g\n", h->sum);
    begin_line(p, k->prefix, k->name, "_count", "");
    fprintf(p->to, "%" PRIu64 "\n", h->n);
}

static void print_requests(const struct metrics_page *p, const char *prefix, const char *name, const struct metrics *m, int n)
{
    head(p, prefix, name, "counter", "Requests that are over, by how they ended.");
    for (int i = 0; i < n; i++) {
        char reason[40];
        snprintf(reason, sizeof reason, ",finished_reason=\"%s\"", ways[i]);
        begin_line(p, prefix, name, "", reason);
        fprintf(p->to, "%" PRIu64 "\n", m->requests[i]);
    }
}

static void print_ours(const struct metrics_page *p, const struct metrics *m)
{
    print_requests(p, OURS, "requests_total", m, WAYS);
    print_number(p, OURS, "requests_refused_total", "counter", "Requests that were not begun.", (double)m->refused);
    print_number(p, OURS, "requests_running", "gauge", "Requests that have a place in the pipeline.", m->running);
    print_number(p, OURS, "requests_waiting", "gauge", "Requests that wait for one.", m->waiting);
    print_number(p, OURS, "prompt_tokens_total", "counter", "Tokens of prompts.", (double)m->prompt_tokens);
    print_number(p, OURS, "prompt_tokens_reused_total", "counter", "Of these, tokens that were computed before.", (double)m->reused_tokens);
    print_number(p, OURS, "generation_tokens_total", "counter", "Tokens made.", (double)m->made);
    print_number(p, OURS, "kv_used_ratio", "gauge", "Part of the keys' and values' memory that is held, of the stage where it is most.", m->pages_used);
    print_number(p, OURS, "pipeline_epoch", "gauge", "New beginnings of the pipeline, the first one included.", m->epoch);
    print_number(p, OURS, "replicas_ready", "gauge", "Pipelines that hold the model and lack no worker.", m->ready);
    print_number(p, OURS, "workers_lost_total", "counter", "Workers that were lost while they had a part of the model.", m->losses);
    print_number(p, OURS, "answers_verified_total", "counter", "Answers that were computed again and compared.", m->verified.answers);
    print_number(p, OURS, "weights_verified_total", "counter", "Times that all workers of a pipeline compared their weights with what was loaded.", m->verified.checks);
    print_number(p, OURS, "workers_wrong_total", "counter", "Workers put aside because they computed wrongly or their weights had changed.", m->verified.wrong);
    for (int i = 0; i < V_TTFT; i++) print_histogram(p, &kinds[i], &m->histogram[i]);
}

static void print_as_vllm(const struct metrics_page *p, const struct metrics *m)
{
    print_number(p, VLLM, "num_requests_running", "gauge", "Requests that have a place in the pipeline.", m->running);
    print_number(p, VLLM, "num_requests_waiting", "gauge", "Requests that wait for one.", m->waiting);
    print_number(p, VLLM, "kv_cache_usage_perc", "gauge", "Part of the keys' and values' memory that is held; 1 is all.", m->pages_used);
    print_number(p, VLLM, "prompt_tokens_total", "counter", "Tokens of prompts.", (double)m->prompt_tokens);
    print_number(p, VLLM, "generation_tokens_total", "counter", "Tokens made.", (double)m->made);
    print_requests(p, VLLM, "request_success_total", m, FAILED);
    for (int i = V_TTFT; i < HISTOGRAMS; i++) print_histogram(p, &kinds[i], &m->histogram[i]);
}

char *metrics_page(struct metrics *m, const char *model, size_t *n)
{
    char *text = NULL;
    const struct metrics_page p = {open_memstream(&text, n), model};
    if (!p.to) return NULL;
    pthread_mutex_lock(&m->lock);
    print_ours(&p, m);
    if (m->as_vllm) print_as_vllm(&p, m);
    pthread_mutex_unlock(&m->lock);
    const bool bad = ferror(p.to);
    if (!fclose(p.to) && !bad) return text;
    free(text);
    return NULL;
}
