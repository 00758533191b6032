/* coordinator/report/job_progress.c — see job_progress.h. */
#define _GNU_SOURCE
#include "coordinator/report/job_progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ASK_NS 1000000000ull

static double over(double a, double b)
{
    return b > 0 ? a / b : 0;
}

double rows_left(const struct job_counts *n, const struct tally *t, const struct engine_totals *e)
{
    if (!t->ended || !n->asked) return -1;
    const double made = t->made > t->ended ? (double)(t->made - t->ended) : 0; /* the last token of an answer is no row */
    const double answer = made / (double)t->ended, under_way = (double)(t->came - t->ended);
    const double unread_prompts = (double)n->unread_bytes * over((double)e->prompt_rows, (double)n->asked_bytes);
    const double unread_answers = (double)n->unread * (double)t->came / (double)n->asked;
    const double left = (double)e->prompt_rows + unread_prompts + made + (under_way + unread_answers) * answer - (double)e->rows;
    return left > 0 ? left : 0;
}

/* ---- how busy the stages are ---- */

static bool all_answered(const struct job_progress *p)
{
    for (int k = 0; k < fleet_size(p->fleet); k++) {
        const struct pipeline *pipe = fleet_pipe(p->fleet, k);
        for (int i = 0; i < pipe->workers && !fleet_lost(p->fleet, k); i++)
            if (pipe->crew[i]->reports < pipe->crew[i]->asked) return false;
    }
    return true;
}

/* What came since they were asked is of the moment of asking, as near as matters. */
static void read_counters(struct job_progress *p)
{
    const struct pipeline *pipe;
    int worker;
    if (p->said_ns == p->asked_ns || !all_answered(p)) return;
    for (int i = 0; i < WORKERS_MOST && (pipe = fleet_stage(p->fleet, i, &worker)); i++) {
        const uint64_t busy = pipe->crew[worker]->report.busy_ns;
        const double part = over((double)(busy - p->busy_ns[i]), (double)(p->asked_ns - p->said_ns));
        p->busy[i] = !p->said_ns ? -1 : part < 1 ? part : 1;
        p->busy_ns[i] = busy;
    }
    p->said_ns = p->asked_ns;
}

static bool shows_blocks(void)
{
    const char *word = getenv("LC_ALL");
    if (!word || !*word) word = getenv("LC_CTYPE");
    if (!word || !*word) word = getenv("LANG");
    return word && (strcasestr(word, "UTF-8") || strcasestr(word, "UTF8"));
}

/* A block for each stage, the higher the busier; a digit where there are no blocks, 9 for 90 % and more. */
static void print_bars(FILE *to, const struct job_progress *p)
{
    static const char *const block[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const bool blocks = shows_blocks();
    const int n = fleet_stages(p->fleet);
    double sum = 0;
    fprintf(to, ", stages ");
    for (int i = 0; i < n; i++) {
        const double busy = p->busy[i];
        if (blocks) fputs(block[busy < 0.999 ? (int)(busy * 8) : 7], to);
        else fprintf(to, "%d", busy < 0.999 ? (int)(busy * 10) : 9);
        sum += busy;
    }
    fprintf(to, " %.0f %% busy", 100 * sum / n);
}

static void print_percents(FILE *to, const struct job_progress *p)
{
    const int n = fleet_stages(p->fleet);
    double least = p->busy[0], most = p->busy[0];
    for (int i = 1; i < n; i++) {
        if (p->busy[i] < least) least = p->busy[i];
        if (p->busy[i] > most) most = p->busy[i];
    }
    fprintf(to, ", stages %.0f to %.0f %% busy", 100 * least, 100 * most);
}

/* ---- the line ---- */

static void print_left(FILE *to, double seconds)
{
    if (seconds < 100) fprintf(to, ", %.0f s left", seconds);
    else if (seconds < 100 * 60) fprintf(to, ", %.0f min left", seconds / 60);
    else fprintf(to, ", %.1f h left", seconds / 3600);
}

static void print_line(FILE *to, const struct job_progress *p, const struct job_counts *n, const struct engine_totals *e)
{
    const double passed = (double)(clock_ns() - e->begun_ns) / 1e9, left = rows_left(n, p->tally, e);
    fprintf(to, "answering %" PRIu64 "/%" PRIu64, n->done, n->lines);
    if (n->failed) fprintf(to, ", %" PRIu64 " failed", n->failed);
    if (!e->begun_ns) return;
    fprintf(to, ", %.1f tok/s", over((double)e->made, passed));
    if (left >= 0 && e->rows) print_left(to, left * passed / (double)e->rows);
    if (p->said_ns && p->busy[0] >= 0) (p->shown.terminal ? print_bars : print_percents)(to, p);
}

void job_progress_begin(struct job_progress *p, const struct fleet *fleet, const struct tally *tally)
{
    p->fleet = fleet;
    p->tally = tally;
    progress_begin(&p->shown, "answering", "lines", 0);
}

int job_progress_at(struct job_progress *p, const struct job_counts *n, struct err *why)
{
    if (!p->tally || !progress_due(&p->shown)) return 0;
    const struct engine_totals totals = fleet_totals(p->fleet);
    const uint64_t now = clock_ns();
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    if (!to) return 0;
    read_counters(p);
    print_line(to, p, n, &totals);
    if (!fclose(to)) progress_say(&p->shown, text);
    free(text);
    if (now - p->asked_ns < ASK_NS || !all_answered(p)) return 0;
    p->asked_ns = now;
    for (int k = 0; k < fleet_size(p->fleet); k++) TRY(pipeline_ask_reports(fleet_pipe(p->fleet, k), why));
    return 0;
}

void job_progress_end(struct job_progress *p)
{
    if (p->tally) progress_end(&p->shown);
}
