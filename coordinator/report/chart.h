/* coordinator/report/chart.h — what every stage did over time, as bars, and why it waited in between. Numbers only: chart_svg.h draws it;
 * run_chart.h fills it from a run.
 *
 *     stage 0  [A1][A2][a ][b ]░░░░[a ]      A1, A2: pieces of a prompt; a, b: a token each
 *     stage 1  ....[A1][A2]▒[a ][b ]░░░      . nothing was sent yet  ▒ the stage before still had it  ░ nothing to do
 *
 * Between two bars of a stage lies a gap. It waited for the micro-batch of the next bar, and where that was tells what for: not sent yet
 * by the coordinator (too few are under way, or nobody asks), under way at stages before, or between two processes. A gap has all three
 * in this order, any of them empty. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BAR_ASKS 8     /* of a bar, the first so many are told apart */
#define CHART_LABEL 96 /* bytes */

enum bar_kind { BAR_PROMPT, BAR_ANSWER, BAR_BOTH, BAR_REPLAY, BAR_SCORES, BAR_PICTURE, BAR_KINDS };

struct bar {
    int lane; /* a stage, from 0 */
    int replica; /* whose number it has */
    enum bar_kind kind;
    uint64_t begin_ns, end_ns;
    uint64_t number;  /* of the micro-batch, or of the picture */
    uint64_t sent_ns; /* when the coordinator sent it; 0: not known */
    uint32_t rows;    /* of pictures layers */
    uint32_t asks;    /* that have rows in it */
    uint64_t ask[BAR_ASKS];
};

enum wait { WAIT_NOTHING, WAIT_STAGE, WAIT_WIRE, WAITS };

struct gap {
    int lane;
    enum wait what;
    uint64_t begin_ns, end_ns;
};

struct lane {
    char label[CHART_LABEL], detail[CHART_LABEL]; /* "worker 1", "layers 0 to 11" */
    double busy;        /* part of the chart's time */
    double wait[WAITS]; /* the same; all four make 1 */
};

struct chart {
    char title[CHART_LABEL], detail[2 * CHART_LABEL];
    uint64_t begin_ns, end_ns; /* of what is shown; 0, 0: from the first bar to the end of the last */
    int lanes;
    struct lane *lane; /* [lanes] */
    struct bar *bar;   /* [n], in any order before chart_finish */
    size_t n, room;
    struct gap *gap;   /* [gaps], once finished */
    size_t gaps;
    uint64_t *mark;    /* [marks]: moments at which all began again */
    size_t marks;
};

int chart_lanes(struct chart *c, int lanes, struct err *why); /* all that is known before the first bar; {0} to begin with */
int chart_add(struct chart *c, const struct bar *bar, struct err *why);
int chart_mark(struct chart *c, uint64_t at_ns, struct err *why);

/* Adds the stages of one replica, as many as `replicas` there are, that were drawn by themselves: `one` is not finished, and free afterwards. */
int chart_join(struct chart *all, struct chart *one, int replica, int replicas, struct err *why);

/* No bar comes any more: sorts them by stage and time, finds the gaps and the sums. */
int chart_finish(struct chart *c, struct err *why);
/* Its title and what stands below, once it is finished. */
struct chart_sums {
    int replicas, of; /* so many are shown, of so many */
    uint64_t asks, tokens;
    double seconds;
    bool forgotten; /* what was earlier */
};
void chart_entitle(struct chart *c, const char *what, const struct chart_sums *s);
double chart_bubble(const struct chart *c); /* part of all stages' time in which they did nothing */
void chart_free(struct chart *c);
