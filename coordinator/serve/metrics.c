/* coordinator/serve/metrics.c — see metrics.h. The text format of Prometheus, version 0.0.4. */
#define _GNU_SOURCE
#include "coordinator/serve/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define BOUNDS 14

static const double ttft_bounds[BOUNDS] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
static const double tpot_bounds[BOUNDS] = {0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5};
static const double whole_bounds[BOUNDS] = {0.1, 0.3, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800};

struct histogram {
    const char *name, *help;
    const double *bound;
    uint64_t in[BOUNDS + 1], n;
    double sum;
};

enum { TTFT, TPOT, WHOLE, HISTOGRAMS };
enum { STOPPED, LENGTH, CANCELLED, FAILED, WAYS };
static const char *const ways[WAYS] = {"stop", "length", "abort", "error"};

struct metrics {
    pthread_mutex_t lock;
    struct histogram histogram[HISTOGRAMS];
    uint64_t requests[WAYS], refused, prompt_tokens, reused_tokens, made;
    uint32_t running, waiting, epoch, losses;
};

int metrics_open(struct metrics **out, struct err *why)
{
    struct metrics *m = *out = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory for metrics");
    pthread_mutex_init(&m->lock, NULL);
    m->histogram[TTFT] = (struct histogram){.name = "time_to_first_token_seconds", .help = "From a request to its first token.", .bound = ttft_bounds};
    m->histogram[TPOT] = (struct histogram){.name = "time_per_output_token_seconds", .help = "Mean time of the tokens of a request after the first.", .bound = tpot_bounds};
    m->histogram[WHOLE] = (struct histogram){.name = "request_seconds", .help = "From a request to its last token.", .bound = whole_bounds};
    return 0;
}

void metrics_close(struct metrics **m)
{
    if (*m) pthread_mutex_destroy(&(*m)->lock);
    free(*m);
    *m = NULL;
}

static void note(struct histogram *h, double value)
{
    int i = 0;
    while (i < BOUNDS && value > h->bound[i]) i++;
    h->in[i]++;
    h->n++;
    h->sum += value;
}

void metrics_count(struct metrics *m, const struct call_numbers *n)
{
    const double whole = (double)(n->done_ns - n->asked_ns) / 1e9, first = n->first_ns ? (double)(n->first_ns - n->asked_ns) / 1e9 : 0;
    pthread_mutex_lock(&m->lock);
    m->requests[n->failed ? FAILED : n->cancelled ? CANCELLED : n->length ? LENGTH : STOPPED]++;
    m->prompt_tokens += n->prompt_tokens;
    m->reused_tokens += n->reused_tokens;
    m->made += n->made;
    if (n->first_ns) {
        note(&m->histogram[TTFT], first);
        if (n->made > 1) note(&m->histogram[TPOT], (whole - first) / (double)(n->made - 1));
        note(&m->histogram[WHOLE], whole);
    }
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

void metrics_pipeline(struct metrics *m, uint32_t epoch, uint32_t losses)
{
    pthread_mutex_lock(&m->lock);
    m->epoch = epoch;
    m->losses = losses;
    pthread_mutex_unlock(&m->lock);
}

/* A label's value: quotes, backslashes and line ends are escaped. */
static void print_label(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') fputs("\\n", to);
        else if (*text == '"' || *text == '\\') fprintf(to, "\\%c", *text);
        else fputc(*text, to);
    }
}

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP gemmapipe_%s %s\n# TYPE gemmapipe_%s %s\n", name, help, name, type);
}

static void print_number(FILE *to, const char *name, const char *type, const char *help, const char *model, uint64_t value)
{
    head(to, name, type, help);
    fprintf(to, "gemmapipe_%s{model_name=\"", name);
    print_label(to, model);
    fprintf(to, "\"} %" PRIu64 "\n", value);
}

static void print_histogram(FILE *to, const struct histogram *h, const char *model)
{
    uint64_t sum = 0;
    head(to, h->name, "histogram", h->help);
    for (int i = 0; i <= BOUNDS; i++) {
        sum += h->in[i];
        fprintf(to, "gemmapipe_%s_bucket{model_name=\"", h->name);
        print_label(to, model);
        if (i < BOUNDS) fprintf(to, "\",le=\"%g\"} %" PRIu64 "\n", h->bound[i], sum);
        else fprintf(to, "\",le=\"+Inf\"} %" PRIu64 "\n", sum);
    }
    fprintf(to, "gemmapipe_%s_sum{model_name=\"", h->name);
    print_label(to, model);
    fprintf(to, "\"} %.9g\ngemmapipe_%s_count{model_name=\"", h->sum, h->name);
    print_label(to, model);
    fprintf(to, "\"} %" PRIu64 "\n", h->n);
}

static void print_requests(FILE *to, const struct metrics *m, const char *model)
{
    head(to, "requests_total", "counter", "Requests that are over, by how they ended.");
    for (int i = 0; i < WAYS; i++) {
        fputs("gemmapipe_requests_total{model_name=\"", to);
        print_label(to, model);
        fprintf(to, "\",finished_reason=\"%s\"} %" PRIu64 "\n", ways[i], m->requests[i]);
    }
}

char *metrics_page(struct metrics *m, const char *model, size_t *n)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, n);
    if (!to) return NULL;
    pthread_mutex_lock(&m->lock);
    print_requests(to, m, model);
    print_number(to, "requests_refused_total", "counter", "Requests that were not begun.", model, m->refused);
    print_number(to, "requests_running", "gauge", "Requests that have a place in the pipeline.", model, m->running);
    print_number(to, "requests_waiting", "gauge", "Requests that wait for one.", model, m->waiting);
    print_number(to, "prompt_tokens_total", "counter", "Tokens of prompts.", model, m->prompt_tokens);
    print_number(to, "prompt_tokens_reused_total", "counter", "Of these, tokens that were computed before.", model, m->reused_tokens);
    print_number(to, "generation_tokens_total", "counter", "Tokens made.", model, m->made);
    print_number(to, "pipeline_epoch", "gauge", "New beginnings of the pipeline, the first one included.", model, m->epoch);
    print_number(to, "workers_lost_total", "counter", "Workers that were lost while they had a part of the model.", model, m->losses);
    for (int i = 0; i < HISTOGRAMS; i++) print_histogram(to, &m->histogram[i], model);
    pthread_mutex_unlock(&m->lock);
    const bool bad = ferror(to);
    if (!fclose(to) && !bad) return text;
    free(text);
    return NULL;
}
