/* coordinator/cluster/timeline.c — see timeline.h.
 *
 * The distance between two clocks is learnt from the fetching itself: a worker puts its clock into every part of its
 * diary, and the exchange that took the least time bounds it best. A distance that is no more than the error of measuring
 * it is none: processes of one machine have one clock, and their order should be exact. */
#include "coordinator/cluster/timeline.h"

#include "base/clock.h"
#include "coordinator/cluster/recover.h"

#include <stdlib.h>

#define PATIENCE_NS 10000000000ull /* for one answer */
#define SPANS_MOST (1u << 20)      /* of one worker: 32 MiB; ours remember 8192 */

struct exchange {
    uint64_t trip;   /* of the quickest so far */
    int64_t ahead;   /* the worker's clock less ours */
};

struct awaited { /* one part of one worker's diary */
    struct member *from;
    struct diary_part *part;
    const struct clock *clock;
    uint64_t end_ns;
    bool came;
    struct pipeline *pipe;
    uint32_t epoch; /* in which it was asked for */
};

static bool part_came(void *user)
{
    const struct awaited *a = user;
    return a->came || a->epoch != a->pipe->epoch;
}

static int take_part(void *user, struct event *e, struct err *why)
{
    struct awaited *a = user;
    struct err mine = {0};
    if (e->kind != EVENT_FRAME || e->frame->head.type != M_DIARY || e->who != a->from) {
        TRY(recover_event(a->pipe, e, why));
        return clock_now(a->clock) > a->end_ns ? fail(why, E_WORKER, "%s did not send its diary", a->from->name) : 0;
    }
    const int code = diary_part_read(a->part, e->frame, &mine);
    a->came = !code;
    return code ? roster_judge(a->pipe->roster, a->from, code, &mine, why) : 0;
}

static int await_part(struct pipeline *p, int worker, struct diary_part *part, struct err *why)
{
    const struct clock *clock = roster_clock(p->roster);
    struct awaited a = {.from = p->crew[worker], .part = part, .clock = clock, .end_ns = clock_now(clock) + PATIENCE_NS,
                        .pipe = p, .epoch = p->epoch};
    const struct consumer c = {take_part, part_came, &a};
    return roster_until(p->roster, &c, 1000, why);
}

int64_t timeline_ahead(uint64_t sent_ns, uint64_t heard_ns, uint64_t theirs_ns)
{
    const uint64_t half = (heard_ns - sent_ns) / 2;
    const int64_t ahead = (int64_t)(theirs_ns - (sent_ns + half));
    const int64_t doubt = (int64_t)half + 1;
    return ahead <= doubt && ahead >= -doubt ? 0 : ahead;
}

static int ask(struct pipeline *p, int worker, uint64_t from, struct diary_part *part, struct exchange *x, struct err *why)
{
    struct frame *f = 0;
    TRY(diary_ask_write(&f, &(struct diary_ask){from}, why));
    const uint64_t sent = clock_ns();
    TRY(pipeline_send(p, worker, &f, why));
    *part = (struct diary_part){.first = from, .written = from};
    const uint32_t epoch = p->epoch;
    TRY(await_part(p, worker, part, why));
    if (p->epoch != epoch) return 0;
    const uint64_t trip = clock_ns() - sent;
    if (part->first < from || part->n > part->written || part->first > part->written - part->n)
        return fail(why, E_WIRE, "%s sent intervals %llu+%u of %llu, from %llu on were asked for", p->crew[worker]->name,
                    (unsigned long long)part->first, part->n, (unsigned long long)part->written, (unsigned long long)from);
    if (trip >= x->trip) return 0;
    *x = (struct exchange){trip, timeline_ahead(sent, sent + trip, part->now_ns)};
    return 0;
}

static int keep(struct timeline *t, int worker, const struct diary_part *part, struct err *why)
{
    while (t->n + part->n > t->room) {
        size_t room = t->room ? 2 * t->room : 1024;
        struct moment *more = realloc(t->moment, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for the diaries of the workers");
        t->moment = more;
        t->room = room;
    }
    for (uint32_t i = 0; i < part->n; i++) t->moment[t->n++] = (struct moment){worker, part->spans[i]};
    return 0;
}

static int fetch(struct timeline *t, struct pipeline *p, int worker, struct diary_part *part, struct err *why)
{
    struct exchange x = {.trip = UINT64_MAX};
    const size_t begin = t->n;
    uint64_t next = 0;
    do {
        TRY(ask(p, worker, next, part, &x, why));
        if (t->n - begin + part->n > SPANS_MOST)
            return fail(why, E_WIRE, "%s sent more than %u intervals", p->crew[worker]->name, SPANS_MOST);
        TRY(keep(t, worker, part, why));
        t->forgotten += part->first - next;
        next = part->first + part->n;
    } while (part->n && next < part->written);
    for (size_t i = begin; i < t->n; i++) {
        t->moment[i].span.begin_ns -= (uint64_t)x.ahead;
        t->moment[i].span.end_ns -= (uint64_t)x.ahead;
    }
    return 0;
}

int timeline_fetch(struct timeline *out, struct pipeline *p, struct err *why)
{
    struct diary_part *part = malloc(sizeof *part);
    *out = (struct timeline){0};
    if (!part) return fail(why, E_MEMORY, "no memory for the diaries of the workers");
    int code = 0;
    for (int i = 0; p->whole && i < p->workers && !code; i++) /* not whole: a worker was just lost, and its diary with it */
        if (pipeline_computes(p, i)) code = fetch(out, p, i, part, why);
    free(part);
    if (code) timeline_free(out);
    return code;
}

void timeline_free(struct timeline *t)
{
    free(t->moment);
    *t = (struct timeline){0};
}

/* ---- overlap ---- */

struct edge {
    uint64_t at;
    int step; /* 1 begins, -1 ends */
    uint32_t what;
};

static int by_time(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->step - y->step; /* what ends makes room first */
}

/* A stage computes one thing at a time, so two at once are two stages. */
int timeline_overlap(struct overlap *out, const struct timeline *t, struct err *why)
{
    struct edge *edge = malloc((2 * t->n + 1) * sizeof *edge);
    if (!edge) return fail(why, E_MEMORY, "no memory to look for what overlapped");
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct diary_span *s = &t->moment[i].span;
        const uint32_t what = s->what == DIARY_PICTURE ? DIARY_PICTURE : DIARY_ROWS;
        edge[n++] = (struct edge){s->begin_ns, 1, what};
        edge[n++] = (struct edge){s->end_ns, -1, what};
    }
    qsort(edge, n, sizeof *edge, by_time);
    int now[2] = {0};
    *out = (struct overlap){0};
    for (size_t i = 0; i < n; i++) {
        double since = i ? (double)(edge[i].at - edge[i - 1].at) / 1e9 : 0;
        if (now[DIARY_PICTURE]) out->seeing += since;
        if (now[DIARY_PICTURE] > 1) out->with_picture += since;
        if (now[DIARY_PICTURE] && now[DIARY_ROWS]) out->with_rows += since;
        now[edge[i].what] += edge[i].step;
    }
    free(edge);
    return 0;
}
