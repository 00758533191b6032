/* coordinator/report/report.c — see report.h.
 *
 * The workers count for themselves, and are asked once, when all is answered: nothing travels for the report while somebody waits
 * for a token, and a run without --report pays for counters alone. What only the coordinator can know, when a first token came,
 * is noted as it happens, eight bytes an answer, because a median needs them all. Their times are on the coordinator's
 * clock from asking to telling: waiting for a slot counts. */
#include "coordinator/report/report.h"

#include "base/plain_text.h"
#include "base/threads.h"
#include "coordinator/cluster/timeline.h"
#include "partition/model/part_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static double seconds(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static double percent(uint64_t part, double whole_seconds)
{
    return whole_seconds > 0 ? (double)part / 1e7 / whole_seconds : 0;
}

static void print_stages(const struct pipeline *p, double wall)
{
    double busy_sum = 0;
    struct plain_page page;
    FILE *to = plain_page_open(&page, stderr);
    fprintf(to, "\n stage  layers         isa     threads   planned MiB  measured MiB   busy %%  waiting %%  sending %%   sent MiB"
                    "  micro-batches\n");
    for (int i = 0; i < p->workers; i++) {
        const struct member *n = p->crew[i];
        const struct part text = p->plan.of[i].part[CHAIN_TEXT];
        char layers[32];
        if (part_is_empty(text)) snprintf(layers, sizeof layers, "pictures");
        else show_part_briefly(layers, text);
        fprintf(to, " %5d  %-13s  %-7.7s %7u  %12.1f  %12.1f  %7.1f  %9.1f  %9.2f  %9.2f  %13llu\n", i + 1, layers, n->hello.isa,
                n->hello.threads, (double)pipeline_planned(p, i) / 1048576, (double)n->report.peak_resident / 1048576,
                percent(n->report.busy_ns, wall), percent(n->report.wait_ns, wall), percent(n->report.send_ns, wall),
                (double)n->report.bytes_out / 1048576, (unsigned long long)n->report.batches);
        busy_sum += (double)n->report.busy_ns / 1e9;
    }
    fprintf(to, " coordinator: peak %.1f MiB%s\n", (double)peak_resident_bytes() / 1048576,
            pipeline_is_one_process(p) ? " (one process: the stages' memory is in it, and each stage shows the whole)" : "");
    if (wall > 0 && p->workers > 0)
        fprintf(to, " bubble: %.1f %% of the stages' time was not spent computing\n", 100 - 100 * busy_sum / (p->workers * wall));
    fprintf(to, " plan %016" PRIx64 ", made from %016" PRIx64 "\n", p->plan.hash, p->plan.made_from); /* as `gemmapipe plan` shows it */
    plain_page_close(&page);
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

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- what the answers took ---- */

struct run_report {
    double *first; /* [n] seconds to the first token */
    size_t n, room, lost; /* lost: no memory to keep them */
};

int run_report_open(struct run_report **out, struct err *why)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory for the report");
}

void run_report_close(struct run_report **r)
{
    if (!*r) return;
    free((*r)->first);
    free(*r);
    *r = NULL;
}

void run_report_watch(void *user, const struct happened *h)
{
    struct run_report *r = user;
    if (h->what != ASK_SPOKE) return;
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        double *more = realloc(r->first, room * sizeof *more);
        if (!more) {
            r->lost++;
            return;
        }
        r->first = more;
        r->room = room;
    }
    r->first[r->n++] = seconds(h->asked_ns, h->at_ns);
}

static void print_rates(struct run_report *r, const struct engine_totals *t)
{
    const size_t k = r->n;
    double *first = r->first;
    if (k) qsort(first, k, sizeof *first, by_size);
    double prefill = seconds(t->begun_ns, t->last_first_ns), decode = seconds(t->last_first_ns, t->ended_ns);
    double wall = seconds(t->begun_ns, t->ended_ns);
    uint64_t later = t->made > k ? t->made - k : 0;
    fprintf(stderr, " prompt: %llu tokens", (unsigned long long)t->prompt_rows);
    if (prefill > 0) fprintf(stderr, ", %.1f tok/s until the last first token", (double)t->prompt_rows / prefill);
    fprintf(stderr, "\n answer: %llu tokens", (unsigned long long)t->made);
    if (k == 1 && decode > 0) fprintf(stderr, ", %.1f tok/s after the first", (double)later / decode);
    else if (wall > 0) fprintf(stderr, ", %.1f tok/s over all", (double)t->made / wall);
    if (k) fprintf(stderr, "\n time to first token: %.3f s least, %.3f s median, %.3f s most", first[0], first[k / 2], first[k - 1]);
    fprintf(stderr, "\n");
}

int run_report_print(struct run_report *r, struct pipeline *p, const struct engine *e, struct err *why)
{
    struct engine_totals t = engine_totals(e);
    TRY(pipeline_reports(p, why));
    print_stages(p, seconds(t.begun_ns, t.ended_ns));
    if (p->encoder) TRY(print_pictures(p, why));
    fprintf(stderr, " %llu micro-batches of %.1f rows in the mean; ready after %.2f s\n", (unsigned long long)t.batches,
            t.batches ? (double)t.rows / (double)t.batches : 0, p->launch_seconds);
    print_rates(r, &t);
    return 0;
}
