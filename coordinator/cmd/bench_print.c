/* coordinator/cmd/bench_print.c — see bench_print.h. Parts of a limit: the time the work would take at that limit, over the
 * time it took. Of arithmetic and reading the larger one is what holds a test up; a test far from both waits for
 * something else. */
#include "coordinator/cmd/bench_print.h"

#include "base/version.h"
#include "base/json.h"
#include "partition/model/part_text.h"

#include <inttypes.h>

struct figures { /* of one test, as printed */
    double arithmetic, reading, bubble; /* percent */
    double rows_per_batch, wire_per_token;
    double batches; /* of one run */
};

static struct figures figures_of(const struct bench *b, const struct bench_test *t, const struct fleet *fleet,
                                 const struct worker_limits *l)
{
    struct figures f = {0};
    struct bench_work w = bench_work(t, b->reps, fleet);
    double wall = (double)t->wall_ns / 1e9, busy = 0, tokens = (double)b->reps * t->sequences * t->n;
    const int stages = fleet_stages(fleet);
    for (int i = 0; i < stages; i++) busy += (double)t->stage[i].busy_ns / 1e9;
    if (l) f.arithmetic = 100 * (w.int8_macs / l->int8_macs + w.f32_macs / l->f32_macs) / wall;
    if (l) f.reading = 100 * w.bytes / l->read_bytes / wall;
    f.bubble = 100 - 100 * busy / (wall * stages);
    if (f.bubble < 0) f.bubble = 0; /* a stage may begin before the clock that stands around it is read */
    f.batches = (double)t->batches / b->reps;
    f.rows_per_batch = t->batches ? (double)t->rows / (double)t->batches : 0;
    f.wire_per_token = (double)t->wire_bytes / tokens;
    return f;
}

static const char *way_of(const struct pipeline *p)
{
    if (p->local && !pipeline_is_one_process(p)) return "worker processes here";
    if (p->local) return p->workers == 1 ? "process" : "stages in one process";
    return "workers";
}

static double stage_percent(uint64_t ns, const struct bench_test *t)
{
    return 100 * (double)ns / (double)t->wall_ns;
}

static double waiting_percent(const struct bench_stage *s, const struct bench_test *t)
{
    return s->busy_ns < t->wall_ns ? stage_percent(t->wall_ns - s->busy_ns, t) : 0;
}

/* ---- for people ---- */

static void print_stages(FILE *to, const struct bench *b, const struct fleet *fleet)
{
    const struct pipeline *p;
    int worker;
    fprintf(to, "\n stage  layers        isa     threads  planned MiB  peak MiB  busy / waiting / sending %%\n %54s",
            "");
    for (uint32_t i = 0; i < b->n; i++) fprintf(to, " %16s", b->test[i].name);
    fputc('\n', to);
    for (int i = 0; (p = fleet_stage(fleet, i, &worker)); i++) {
        const struct member *n = p->crew[worker];
        const struct part s = p->plan.of[worker].part[CHAIN_TEXT];
        char layers[32];
        fprintf(to, " %5d  %-13s %-7.7s %7d  %11.1f  %8.1f", i + 1, show_part_briefly(layers, s), n->hello.isa, p->offers[worker].threads,
                (double)pipeline_planned(p, worker) / 1048576, (double)n->report.peak_resident / 1048576);
        for (uint32_t k = 0; k < b->n; k++) {
            const struct bench_test *t = &b->test[k];
            char cell[40];
            snprintf(cell, sizeof cell, "%.0f/%.0f/%.1f", stage_percent(t->stage[i].busy_ns, t),
                     waiting_percent(&t->stage[i], t), stage_percent(t->stage[i].send_ns, t));
            fprintf(to, " %16s", cell);
        }
        fputc('\n', to);
    }
    fprintf(to, " coordinator: peak %.1f MiB%s\n", (double)b->peak / 1048576,
            pipeline_is_one_process(fleet_pipe(fleet, 0))
                ? "; one process: the stages' memory is in it, and each stage shows the whole"
                : "");
}

void bench_print(FILE *to, const struct bench *b, const struct fleet *fleet, const struct worker_limits *limits)
{
    const struct pipeline *p = fleet_pipe(fleet, 0);
    const struct capacity *c = &p->plan.capacity;
    char replicas[48] = "";
    const int workers = fleet_stages(fleet);
    if (fleet_size(fleet) > 1) snprintf(replicas, sizeof replicas, " in %d replicas", fleet_size(fleet));
    fprintf(to, "%s: %d %s%s, micro-batches of at most %u rows, %u in flight, %u repetition%s\n", p->wish.model,
            workers, way_of(p), replicas, c->rows, c->in_flight, b->reps, b->reps == 1 ? "" : "s");
    fprintf(to, "ready %.2f s after the start\n", b->ready_seconds);
    fprintf(to, "\n %-14s %10s %8s %10s %10s  %11s %9s %8s %14s %12s\n", "test", "tok/s", "+-", "least", "most",
            "arithmetic", "reading", "bubble", "batches x rows", "wire B/token");
    for (uint32_t i = 0; i < b->n; i++) {
        const struct bench_test *t = &b->test[i];
        struct figures f = figures_of(b, t, fleet, limits);
        char part[2][24] = {"-", "-"}, batches[40];
        if (limits)
            snprintf(part[0], sizeof part[0], "%.1f %%", f.arithmetic),
                snprintf(part[1], sizeof part[1], "%.1f %%", f.reading);
        snprintf(batches, sizeof batches, "%.4g x %.4g", f.batches, f.rows_per_batch);
        fprintf(to, " %-14s %10.2f %8.2f %10.2f %10.2f  %11s %9s %6.1f %% %14s %12.0f\n", t->name, t->median, t->stddev,
                t->least, t->most, part[0], part[1], f.bubble, batches, f.wire_per_token);
    }
    print_stages(to, b, fleet);
    for (uint32_t i = 0; i < b->n; i++)
        if (b->test[i].prompt)
            fprintf(to, " %s: first token after %.3f s\n", b->test[i].name, b->test[i].first_seconds);
    if (limits)
        fprintf(
            to,
            "\nlimits of this machine, %s, %d thread%s: memory read at %.1f GB/s, int8 %.1f GMAC/s, f32 %.1f GMAC/s\n",
            limits->isa, limits->threads, limits->threads == 1 ? "" : "s", limits->read_bytes / 1e9,
            limits->int8_macs / 1e9, limits->f32_macs / 1e9);
    else fprintf(to, "\nlimits were not measured: not all workers are on this machine\n");
}

/* ---- for scripts ---- */

static void json_test(FILE *to, const struct bench *b, const struct bench_test *t, const struct fleet *fleet,
                      const struct worker_limits *l)
{
    struct figures f = figures_of(b, t, fleet, l);
    struct bench_work w = bench_work(t, b->reps, fleet);
    int worker;
    fprintf(to,
            "{\"test\": \"%s\", \"tok_s\": %.6g, \"stddev\": %.6g, \"mean\": %.6g, \"least\": %.6g, \"most\": %.6g, "
            "\"runs\": [",
            t->name, t->median, t->stddev, t->mean, t->least, t->most);
    for (uint32_t i = 0; i < b->reps; i++) fprintf(to, "%s%.6g", i ? ", " : "", t->tok_s[i]);
    fprintf(to, "],\n   \"tokens\": %u, \"sequences\": %u, \"depth\": %u, \"seconds\": %.6g, ", t->n, t->sequences,
            t->depth, (double)t->wall_ns / 1e9);
    if (t->prompt) fprintf(to, "\"first_token_s\": %.6g, ", t->first_seconds);
    fprintf(to,
            "\"micro_batches\": %" PRIu64 ", \"rows\": %" PRIu64 ", \"wire_bytes\": %" PRIu64
            ", \"wire_bytes_per_token\": %.6g,\n",
            t->batches, t->rows, t->wire_bytes, f.wire_per_token);
    fprintf(to, "   \"bubble\": %.4g, \"int8_macs\": %.6g, \"f32_macs\": %.6g, \"bytes_read\": %.6g, ", f.bubble / 100,
            w.int8_macs, w.f32_macs, w.bytes);
    if (l) fprintf(to, "\"of_arithmetic\": %.4g, \"of_reading\": %.4g, ", f.arithmetic / 100, f.reading / 100);
    fprintf(to, "\"stages\": [");
    for (int i = 0; fleet_stage(fleet, i, &worker); i++) {
        const struct bench_stage *s = &t->stage[i];
        const double waiting = waiting_percent(s, t) / 100, blocked = stage_percent(s->blocked_ns, t) / 100;
        const double sending = stage_percent(s->send_ns, t) / 100, starved = waiting - blocked - sending;
        fprintf(to, "%s{\"busy\": %.4g, \"waiting\": %.4g, \"starved\": %.4g, \"blocked\": %.4g, \"sending\": %.4g, \"micro_batches\": %" PRIu64
                    "}", i ? ", " : "", stage_percent(s->busy_ns, t) / 100, waiting, starved > 0 ? starved : 0, blocked, sending, s->batches);
    }
    fprintf(to, "]}");
}

static void json_stage(FILE *to, const struct pipeline *p, int i)
{
    const struct member *n = p->crew[i];
    const struct holding *h = &p->plan.of[i];
    fputc('{', to);
    part_write_json(to, h->part[CHAIN_TEXT]);
    fprintf(to, ", \"isa\": ");
    json_print_text(to, n->hello.isa);
    fprintf(to,
            ", \"threads\": %d, \"pid\": %u, \"planned_bytes\": %" PRIu64 ", \"peak_bytes\": %" PRIu64
            ", \"weight_bytes\": %" PRIu64 "}",
            p->offers[i].threads, n->hello.pid, pipeline_planned(p, i), n->report.peak_resident, h->bytes[CHAIN_TEXT].weights);
}

void bench_print_json(FILE *to, const struct bench *b, const struct fleet *fleet, const struct worker_limits *l)
{
    const struct pipeline *p = fleet_pipe(fleet, 0);
    const int workers = fleet_stages(fleet);
    int worker;
    const struct capacity *c = &p->plan.capacity;
    char hex[33];
    fprintf(to, "{\"engine\": \"gemmapipe %s\", \"model\": ", GEMMAPIPE_VERSION);
    json_print_text(to, p->wish.model);
    fprintf(to,
            ", \"fingerprint\": \"%s\",\n \"workers\": %d, \"replicas\": %d, \"link\": \"%s\", \"micro_batch\": %u, \"in_flight\": %u, "
            "\"context\": %u, "
            "\"sequences\": %u, \"reps\": %u,\n \"ready_s\": %.6g, \"peak_bytes\": %" PRIu64 ",\n \"stages\": [",
            show_hash128(hex, p->model->fingerprint), workers, fleet_size(fleet), port_kind(roster_port(p->roster)), c->rows, c->in_flight, c->context,
            c->sequences, b->reps, b->ready_seconds, b->peak);
    for (int i = 0; (p = fleet_stage(fleet, i, &worker)); i++) {
        fputs(i ? ",\n  " : "\n  ", to);
        json_stage(to, p, worker);
    }
    fputs("],\n \"tests\": [", to);
    for (uint32_t i = 0; i < b->n; i++) {
        fputs(i ? ",\n  " : "\n  ", to);
        json_test(to, b, &b->test[i], fleet, l);
    }
    fputs("],\n \"limits\": ", to);
    if (l)
        fprintf(to,
                "{\"isa\": \"%s\", \"threads\": %d, \"read_bytes_s\": %.6g, \"int8_macs_s\": %.6g, \"f32_macs_s\": "
                "%.6g}}\n",
                l->isa, l->threads, l->read_bytes, l->int8_macs, l->f32_macs);
    else fputs("null}\n", to);
}
