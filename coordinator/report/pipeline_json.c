/* coordinator/report/pipeline_json.c — see pipeline_json.h. */
#define _GNU_SOURCE
#include "coordinator/report/pipeline_json.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_text_part(FILE *to, struct part s)
{
    if (s.end == s.first + 1) fprintf(to, "layer %u", s.first);
    else if (s.end > s.first) fprintf(to, "layers %u to %u", s.first, s.end - 1);
    if (s.back_end == s.back) return;
    fputs(s.end > s.first ? ", " : "", to);
    if (part_has_whole_head(s)) fputs("the head", to);
    else fprintf(to, "%u of %d parts of the head", s.back_end - s.back, HEAD_PARTS);
}

/* "layers 0 to 11, pictures": in words, as the reader sees them. */
static void print_holds(FILE *to, const struct holding *h)
{
    char *text = NULL;
    size_t n = 0;
    FILE *words = open_memstream(&text, &n);
    if (!words) return;
    const bool has_text = !part_is_empty(h->part[CHAIN_TEXT]), sees = !part_is_empty(h->part[CHAIN_VISION]);
    if (has_text) print_text_part(words, h->part[CHAIN_TEXT]);
    const uint32_t seen = h->part[CHAIN_VISION].end - h->part[CHAIN_VISION].first;
    if (sees) fprintf(words, "%s%u layer%s of the encoder", has_text ? ", " : "", seen, seen == 1 ? "" : "s");
    if (fclose(words)) return;
    json_print_text(to, text);
    free(text);
}

static void print_stage(FILE *to, const struct pipeline *p, int worker, int replica)
{
    const struct member *m = p->crew[worker];
    const struct report *r = &m->report;
    fprintf(to, "%s{\"replica\":%d,\"name\":", worker || replica ? "," : "", replica + 1);
    json_print_text(to, m->name);
    fputs(",\"isa\":", to);
    json_print_text(to, m->hello.isa);
    fputs(",\"holds\":", to);
    print_holds(to, &p->plan.of[worker]);
    fprintf(to, ",\"threads\":%u,\"planned\":%" PRIu64 ",\"resident\":%" PRIu64 ",\"busy_ns\":%" PRIu64 ",\"blocked_ns\":%" PRIu64 ",\"send_ns\":%" PRIu64
            ",\"batches\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"pictures\":%" PRIu64 ",\"bytes_out\":%" PRIu64 "}",
            m->hello.threads, pipeline_planned(p, worker), r->peak_resident ? r->peak_resident : m->ready_bytes, r->busy_ns, r->blocked_ns, r->send_ns,
            r->batches, r->rows, r->pictures, r->bytes_out);
}

char *pipeline_json(const struct fleet *f, const struct tally *t, const struct pipeline_moment *m, size_t *n)
{
    const struct engine_totals totals = fleet_totals(f);
    const int replicas = fleet_size(f);
    char *text = NULL;
    struct err ignored;
    uint32_t epochs = 0;
    bool whole = true;
    for (int k = 0; k < replicas; k++) epochs += fleet_pipe(f, k)->epoch, whole &= fleet_pipe(f, k)->whole || fleet_lost(f, k);
    FILE *to = open_memstream(&text, n);
    if (!to) return NULL;
    fputs("{\"model\":", to);
    json_print_text(to, m->model);
    fprintf(to, ",\"epoch\":%u,\"whole\":%s,\"lost\":%u,\"wrong\":%u", epochs, whole ? "true" : "false", totals.losses, totals.verified.wrong);
    fprintf(to, ",\"sees\":%s,\"now_ns\":%" PRIu64 ",\"running\":%u,\"in_flight\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"prompts\":%" PRIu64
            ",\"reused\":%" PRIu64 ",\"generated\":%" PRIu64 ",\"pictures\":%" PRIu64 ",\"stages\":[",
            fleet_pipe(f, 0)->encoder ? "true" : "false", m->now_ns, m->running, t->batches - t->batches_back, t->ended, t->asked_rows, t->reused_rows, totals.made, t->pictures);
    for (int k = 0; k < replicas; k++)
        for (int i = 0; i < fleet_pipe(f, k)->workers; i++) print_stage(to, fleet_pipe(f, k), i, k);
    fprintf(to, "],\"replicas\":%d}", replicas);
    for (int k = 0; k < replicas; k++) pipeline_ask_reports(fleet_pipe(f, k), &ignored); /* a worker that cannot be asked is noticed elsewhere */
    const bool bad = ferror(to);
    if (!fclose(to) && !bad) return text;
    free(text);
    return NULL;
}
