/* coordinator/report/trace.c — see trace.h. The format is Chrome's trace events: "b" and "e" begin and end something that may
 * overlap others of its kind, "n" is a point of it, "X" is an interval, "M" names a process, "s" and "t" are the beginning of an arrow and
 * what it leads to, "C" is a counter, "i" a moment. */
#include "coordinator/report/trace.h"

#include "base/log.h"
#include "base/whole_file.h"
#include "coordinator/cluster/timeline.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>

#define REPLICA_IDS 1000000000000u /* numbers of one are below: a double of a viewer tells them apart */
#define REPLICA_PIDS (WORKERS_MOST + 1)

struct trace {
    struct whole_file *file;
    FILE *to; /* its stream */
    const char *path;
    uint64_t zero_ns;
    bool each_alone; /* replicas */
    uint32_t asks, batches; /* under way; of each replica: */
    uint32_t batches_of[PIPELINES_MOST];
};

int trace_open(struct trace **out, const char *path, uint64_t zero_ns, bool each_alone, struct err *why)
{
    struct trace *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return fail(why, E_MEMORY, "no memory for a trace");
    int code = whole_file_open(&t->file, path, why);
    if (code) {
        free(t);
        return code;
    }
    t->path = path;
    t->to = whole_file_stream(t->file);
    t->zero_ns = zero_ns;
    t->each_alone = each_alone;
    fprintf(t->to, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
                   "{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": 0, \"args\": {\"name\": \"coordinator\"}}");
    *out = t;
    return 0;
}

void trace_abandon(struct trace **pt)
{
    struct trace *t = *pt;
    *pt = NULL;
    if (!t) return;
    whole_file_close(&t->file, E_INTERRUPTED, NULL);
    free(t);
}

static double microseconds(const struct trace *t, uint64_t ns)
{
    return (double)(int64_t)(ns - t->zero_ns) / 1e3;
}

/* ---- as it happens ---- */

static uint64_t id_of(int replica, uint64_t number)
{
    return (uint64_t)replica * REPLICA_IDS + number;
}

/* Leaves the event open for its arguments; close it with "}}". */
static FILE *event(struct trace *t, const struct happened *h, const char *phase, const char *kind, int replica, uint64_t number)
{
    fprintf(t->to, ",\n{\"ph\": \"%s\", \"cat\": \"%s\", \"name\": \"%s %" PRIu64 "\", \"id\": %" PRIu64
                        ", \"pid\": 0, \"tid\": 0, \"ts\": %.3f, \"args\": {",
            phase, kind, kind, number, id_of(replica, number), microseconds(t, h->at_ns));
    return t->to;
}

/* Of a request, which may go from replica to replica. Keys of its draws are not its own: a batch begins them anew in every line. */
static FILE *event_of_request(struct trace *t, const struct happened *h, const char *phase)
{
    return event(t, h, phase, "request", 0, h->number);
}

static FILE *event_of_replica(struct trace *t, const struct happened *h, const char *phase, const char *kind)
{
    return event(t, h, phase, kind, h->replica, h->number);
}

static void count(struct trace *t, const struct happened *h, const char *what, uint32_t n)
{
    char whose[32] = "";
    if (t->each_alone) snprintf(whose, sizeof whose, " of replica %d", h->replica + 1);
    fprintf(t->to, ",\n{\"ph\": \"C\", \"name\": \"%s%s\", \"pid\": 0, \"ts\": %.3f, \"args\": {\"under way\": %u}}", what, whose,
            microseconds(t, h->at_ns), n);
}

static void ask_came(struct trace *t, const struct happened *h)
{
    FILE *to = event_of_request(t, h, "b");
    fprintf(to, "\"rows\": %u, \"pictures\": [", h->amount);
    for (size_t i = 0; i < h->n; i++) fprintf(to, "%s%zu", i ? ", " : "", h->spans[i].picture);
    fprintf(to, "]}}");
}

static void batch_sent(struct trace *t, const struct happened *h)
{
    FILE *to = event_of_replica(t, h, "b", "batch");
    fprintf(to, "\"rows\": %u, \"of\": [", h->amount);
    for (size_t i = 0; i < h->n; i++)
        fprintf(to, "%s{\"request\": %" PRIu64 ", \"position\": %u, \"rows\": %u}", i ? ", " : "", h->rows[i].number, h->rows[i].position,
                h->rows[i].rows);
    fprintf(to, "]}}");
}

static int process_of(int replica, int worker)
{
    return replica * REPLICA_PIDS + worker + 1;
}

static void count_batches(struct trace *t, const struct happened *h, uint32_t n)
{
    uint32_t *own = &t->batches_of[h->replica];
    t->batches += n - *own;
    *own = n;
    count(t, h, "micro-batches", t->each_alone ? n : t->batches);
}

static void write_counters(struct trace *t, const struct happened *h)
{
    switch (h->what) {
    case ASK_CAME: count(t, h, "requests", ++t->asks); break;
    case ASK_ENDED: count(t, h, "requests", --t->asks); break;
    case BATCH_SENT: count_batches(t, h, t->batches_of[h->replica] + 1); break;
    case BATCH_BACK: count_batches(t, h, t->batches_of[h->replica] - 1); break;
    case EPOCH_BEGAN: count_batches(t, h, 0); break;
    default: break;
    }
}

static void new_beginning(struct trace *t, const struct happened *h)
{
    fprintf(t->to, ",\n{\"ph\": \"i\", \"s\": \"g\", \"name\": \"all begin again\", \"pid\": 0, \"tid\": 0, \"ts\": %.3f}", microseconds(t, h->at_ns));
}

void trace_watch(void *user, const struct happened *h)
{
    struct trace *t = user;
    write_counters(t, h);
    switch (h->what) {
    case ASK_CAME: ask_came(t, h); break;
    case ASK_GOES: fprintf(event_of_request(t, h, "n"), "\"what\": \"pictures are there\"}}"); break;
    case ASK_SPOKE: fprintf(event_of_request(t, h, "n"), "\"what\": \"first token\"}}"); break;
    case ASK_ENDED: fprintf(event_of_request(t, h, "e"), "\"tokens\": %u}}", h->amount); break;
    case BATCH_SENT: batch_sent(t, h); break;
    case BATCH_BACK: fprintf(event_of_replica(t, h, "e", "batch"), "}}"); break;
    case PICTURE_SENT: fprintf(event_of_replica(t, h, "b", "picture"), "\"to\": %d}}", process_of(h->replica, (int)h->amount)); break;
    case PICTURE_BACK: fprintf(event_of_replica(t, h, "e", "picture"), "}}"); break;
    case EPOCH_BEGAN: new_beginning(t, h); break;
    }
}

/* ---- at the end ---- */

struct told { /* by the workers of one replica */
    const struct pipeline *pipe;
    int replica, replicas;
};

static void write_worker(struct trace *t, const struct told *of, int worker)
{
    char name[256] = "";
    if (of->replicas > 1) snprintf(name, sizeof name, "replica %d, %.200s", of->replica + 1, of->pipe->crew[worker]->name);
    fprintf(t->to, ",\n{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %d, \"args\": {\"name\": ", process_of(of->replica, worker));
    json_print_text(t->to, *name ? name : of->pipe->crew[worker]->name);
    fprintf(t->to, "}}");
}

static void write_moment(struct trace *t, const struct told *of, const struct moment *m)
{
    const struct diary_span *s = &m->span;
    const bool picture = s->what == DIARY_PICTURE;
    const char *kind = picture ? "picture" : "batch", *name = s->what == DIARY_SCORES ? "scores of batch" : kind;
    fprintf(t->to,
            ",\n{\"ph\": \"X\", \"cat\": \"%s\", \"name\": \"%s %" PRIu64 "\", \"pid\": %d, \"tid\": 0, \"ts\": %.3f, \"dur\": %.3f, "
            "\"args\": {\"%s\": %" PRIu64 ", \"%s\": %u}}",
            kind, name, s->number, process_of(of->replica, m->worker), microseconds(t, s->begin_ns), (double)(s->end_ns - s->begin_ns) / 1e3, kind,
            s->number, picture ? "layers" : "rows", s->amount);
}

/* An arrow from stage to stage, for each micro-batch. */
static void write_arrow(struct trace *t, const struct told *of, const struct moment *m)
{
    const struct diary_span *s = &m->span;
    const struct route *route = plan_text_route(&of->pipe->plan);
    if (s->what != DIARY_ROWS || route->n < 2) return;
    fprintf(t->to, ",\n{\"ph\": \"%s\", \"cat\": \"way\", \"name\": \"way\", \"id\": %" PRIu64 ", \"pid\": %d, \"tid\": 0, \"ts\": %.3f}",
            m->worker == route_first(route) ? "s" : "t", id_of(of->replica, s->number), process_of(of->replica, m->worker), microseconds(t, s->begin_ns));
}

void trace_add(struct trace *t, const struct pipeline *p, const struct timeline *line, int replica, int replicas)
{
    const struct told of = {p, replica, replicas};
    for (int i = 0; i < p->workers; i++) write_worker(t, &of, i);
    for (size_t i = 0; i < line->n; i++) {
        write_moment(t, &of, &line->moment[i]);
        write_arrow(t, &of, &line->moment[i]);
    }
    if (line->forgotten)
        log_warn("%" PRIu64 " intervals of the beginning are not in %s: a worker remembers its last %d", line->forgotten, t->path,
                 DIARY_SPANS);
}

int trace_finish(struct trace **pt, struct err *why)
{
    struct trace *t = *pt;
    if (!t) return 0;
    fprintf(t->to, "\n]}\n");
    int code = whole_file_close(&t->file, 0, why);
    free(t);
    *pt = NULL;
    return code;
}
