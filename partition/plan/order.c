/* partition/plan/order.c — see order.h. Cost of a limit: sets * workers * parts^2 / 2 * log(layers); twenty limits find the answer. Twelve
 * unlike workers with the head divided take about a second, eight a tenth of that, with the head whole a hundredth. */
#include "partition/plan/order.h"

#include "partition/plan/text_cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS (HEAD_PARTS + 1)
#define SETS_MOST (1u << UNLIKE_MOST)
#define CLOSE_ENOUGH 1e-6 /* of a limit */
#define NO_CLASS UINT16_MAX

/* Where the last of a set's workers began. */
struct came {
    uint16_t class, layer;
    uint8_t part;
};

struct sets {
    const struct order_job *job;
    uint32_t layers, parts;
    int classes;
    uint16_t *class_of;          /* [workers] */
    int count[WORKERS_MOST];     /* of each class */
    uint32_t stride[WORKERS_MOST];
    uint16_t speaks[WORKERS_MOST]; /* the first of a class, for all of it */
    uint32_t n;                  /* sets: of each class none to all */
    int stages;
    bool divided;
    int16_t *reach;    /* [n][COLUMNS] layers; -1: not to be had */
    double *sum;       /* [n][layers + 1], of the least sum */
    struct came *came; /* for either */
    /* the set before the last worker, and he */
    uint32_t final_set;
    struct came final;
};

/* ---- classes ---- */

static bool alike(const struct order_job *job, int a, int b)
{
    const struct stretch layer = {0, 1, 0, 0}, part = {0, 0, 0, 1}, deep = {0, search_layers(job->search), 0, 0};
    const struct search *s = job->search;
    return job->offers[a].memory == job->offers[b].memory && job->offers[a].threads == job->offers[b].threads &&
           search_time(s, (uint32_t)a, layer) == search_time(s, (uint32_t)b, layer) &&
           search_time(s, (uint32_t)a, part) == search_time(s, (uint32_t)b, part) &&
           search_time(s, (uint32_t)a, deep) == search_time(s, (uint32_t)b, deep) &&
           (!job->line || job->line[a] == job->line[b]) && (!job->hop || job->hop[a] == job->hop[b]);
}

/* Of workers whose layers take longer than `slow` none is used. */
static void sort_into_classes(struct sets *s, double slow)
{
    const struct order_job *job = s->job;
    uint64_t n = 1;
    s->classes = 0;
    for (int w = 0; w < job->workers; w++) {
        int c = 0;
        s->class_of[w] = NO_CLASS;
        if (search_time(job->search, (uint32_t)w, (struct stretch){0, 1, 0, 0}) > slow) continue;
        while (c < s->classes && !alike(job, s->speaks[c], w)) c++;
        if (c == s->classes) s->speaks[s->classes++] = (uint16_t)w, s->count[c] = 0;
        s->class_of[w] = (uint16_t)c;
        s->count[c]++;
    }
    for (int c = 0; c < s->classes; c++) {
        s->stride[c] = (uint32_t)n;
        if (n <= SETS_MOST) n *= (uint64_t)s->count[c] + 1;
    }
    s->n = n <= SETS_MOST ? (uint32_t)n : 0;
}

/* Of more unlike workers than sets can be made of the fastest only. */
static void leave_out_the_slowest(struct sets *s)
{
    double slow = INFINITY;
    while (!s->n) {
        double slowest = 0;
        for (int c = 0; c < s->classes; c++)
            slowest = fmax(slowest, search_time(s->job->search, s->speaks[c], (struct stretch){0, 1, 0, 0}));
        slow = slowest * (1 - 1e-9);
        sort_into_classes(s, slow);
    }
}

static bool sets_open(struct sets **out, const struct order_job *job, bool sums)
{
    struct sets *s = *out = calloc(1, sizeof *s);
    if (!s) return false;
    s->job = job;
    s->layers = search_layers(job->search), s->parts = search_parts(job->search);
    s->class_of = calloc((size_t)job->workers, sizeof *s->class_of);
    if (!s->class_of) return false;
    sort_into_classes(s, INFINITY);
    if (!s->n && sums) leave_out_the_slowest(s);
    if (!s->n) return true;
    const size_t cells = sums ? (size_t)s->n * (s->layers + 1) : (size_t)s->n * COLUMNS;
    s->came = calloc(cells, sizeof *s->came);
    if (sums) s->sum = calloc(cells, sizeof *s->sum);
    else s->reach = calloc(cells, sizeof *s->reach);
    return s->came && (sums ? s->sum != NULL : s->reach != NULL);
}

static void sets_close(struct sets *s)
{
    if (!s) return;
    free(s->class_of);
    free(s->reach);
    free(s->sum);
    free(s->came);
    free(s);
}

static int used_of(const struct sets *s, uint32_t set, int c)
{
    return (int)(set / s->stride[c] % ((uint32_t)s->count[c] + 1));
}

static int size_of(const struct sets *s, uint32_t set)
{
    int n = 0;
    for (int c = 0; c < s->classes; c++) n += used_of(s, set, c);
    return n;
}

/* ---- the most layers within a limit ---- */

static bool has(const struct order_job *job, uint32_t w, struct stretch r, double limit)
{
    return search_time(job->search, w, r) <= limit && search_fits(job->search, w, r);
}

static bool slow_line(const struct order_job *job, uint32_t w, double limit)
{
    return job->line && job->line[w] * PICOSECONDS > limit;
}

/* The end of the longest run from layer i with the parts q..p-1, at most `most`; i: none. */
static uint32_t furthest(const struct order_job *job, uint32_t w, uint32_t i, uint32_t most, uint32_t q, uint32_t p, double limit)
{
    uint32_t good = i, bad = most + 1;
    while (bad - good > 1) {
        const uint32_t middle = good + (bad - good) / 2;
        if (has(job, w, (struct stretch){i, middle, q, p}, limit)) good = middle;
        else bad = middle;
    }
    return good;
}

/* One more worker of class c behind a set that has i layers and q parts. All but the last have a layer at least. */
static void extend(struct sets *s, uint32_t set, int used, int c, uint32_t q, double limit)
{
    const uint32_t i = (uint32_t)s->reach[(size_t)set * COLUMNS + q], next = set + s->stride[c];
    const uint32_t behind = (uint32_t)(s->stages - used - 2); /* that need a layer each, beside the last */
    for (uint32_t p = q; p <= (s->divided ? s->parts : 0); p++) {
        const uint32_t kept = behind + (p == s->parts);
        const uint32_t end = s->layers > kept + i ? furthest(s->job, s->speaks[c], i, s->layers - kept, q, p, limit) : i;
        if (end == i) return; /* with more parts it would be less */
        int16_t *reach = &s->reach[(size_t)next * COLUMNS + p];
        if ((int)end <= *reach) continue;
        *reach = (int16_t)end;
        s->came[(size_t)next * COLUMNS + p] = (struct came){(uint16_t)c, (uint16_t)i, (uint8_t)q};
    }
}

static bool ends(struct sets *s, uint32_t set, int c, uint32_t q, double limit)
{
    const uint32_t i = (uint32_t)s->reach[(size_t)set * COLUMNS + q];
    if ((i == s->layers && q == s->parts) || !has(s->job, s->speaks[c], (struct stretch){i, s->layers, q, s->parts}, limit)) return false;
    s->final_set = set;
    s->final = (struct came){(uint16_t)c, (uint16_t)i, (uint8_t)q};
    return true;
}

static bool reaches(struct sets *s, double limit)
{
    for (size_t k = 0; k < (size_t)s->n * COLUMNS; k++) s->reach[k] = -1;
    s->reach[0] = 0;
    for (uint32_t set = 0; set < s->n; set++) {
        const int used = size_of(s, set);
        for (uint32_t q = 0; q <= s->parts && used < s->stages; q++)
            for (int c = 0; c < s->classes && s->reach[(size_t)set * COLUMNS + q] >= 0; c++) {
                if (used_of(s, set, c) == s->count[c]) continue;
                if (slow_line(s->job, s->speaks[c], limit)) continue;
                if (used + 1 < s->stages) extend(s, set, used, c, q, limit);
                else if (ends(s, set, c, q, limit)) return true;
            }
    }
    return false;
}

/* ---- what was found ---- */

/* The classes in their order become workers: of each class those first that were offered first. */
static void name_workers(const struct sets *s, struct order *out, const uint16_t *classes)
{
    int taken[WORKERS_MOST] = {0};
    for (int k = 0; k < out->n; k++) {
        int nth = taken[classes[k]]++;
        for (int w = 0; w < s->job->workers; w++)
            if (s->class_of[w] == classes[k] && !nth--) out->worker[k] = (uint16_t)w;
    }
}

/* Back from the last; returns the time of the slowest. */
static double take(const struct sets *s, struct order *out, size_t columns, bool sums)
{
    uint16_t classes[STAGES_MOST];
    struct came came = s->final;
    struct stretch r = {.i = s->layers, .p = s->parts};
    uint32_t set = s->final_set + s->stride[came.class];
    double slowest = 0;
    out->n = size_of(s, set);
    for (int k = out->n - 1; k >= 0; k--) {
        if (k < out->n - 1) came = s->came[(size_t)set * columns + (sums ? r.i : r.p)];
        r.k = came.layer, r.q = came.part;
        const uint32_t w = s->speaks[came.class];
        const double t = search_time(s->job->search, w, r), line = s->job->line ? s->job->line[w] * PICOSECONDS : 0;
        classes[k] = came.class;
        out->cut[k] = (struct cut){r.i - r.k, k == out->n - 1 && sums ? HEAD_PARTS : r.p - r.q};
        slowest = fmax(slowest, fmax(t, line));
        set -= s->stride[came.class];
        r.i = r.k, r.p = r.q;
    }
    name_workers(s, out, classes);
    return slowest;
}

/* ---- more unlike workers than sets can be made of ---- */

struct runs { /* how many layers a worker can have within the limit */
    int worker;
    uint32_t layers;
};

static int by_layers(const void *a, const void *b)
{
    const struct runs *x = a, *y = b;
    return x->layers != y->layers ? (x->layers < y->layers) - (x->layers > y->layers) : x->worker - y->worker;
}

/* With this worker as the last: those who can have most before him, in the order they are offered. */
static bool dealt_with(const struct sets *s, struct runs *runs, int last, double limit, struct order *out)
{
    bool chosen[WORKERS_MOST] = {false};
    uint32_t i = 0;
    int n = 0;
    for (int k = 0; k < s->job->workers && n < s->stages - 1; k++)
        if (runs[k].worker != last && runs[k].layers) chosen[runs[k].worker] = true, n++;
    if (n < s->stages - 1) return false;
    out->n = 0;
    for (int w = 0; w < s->job->workers; w++) {
        if (!chosen[w]) continue;
        const uint32_t kept = (uint32_t)(s->stages - 2 - out->n);
        const uint32_t end = s->layers > kept + i ? furthest(s->job, (uint32_t)w, i, s->layers - kept, 0, 0, limit) : i;
        if (end == i) return false;
        out->cut[out->n] = (struct cut){end - i, 0};
        out->worker[out->n++] = (uint16_t)w;
        i = end;
    }
    const struct stretch rest = {i, s->layers, 0, s->divided ? 0 : s->parts};
    if ((s->divided && i == s->layers) || !has(s->job, (uint32_t)last, rest, limit)) return false;
    out->cut[out->n] = (struct cut){s->layers - i, s->parts};
    out->worker[out->n++] = (uint16_t)last;
    return true;
}

/* Layers are nearly all alike, so that only how many each can have counts, and who has the head. Where it is divided the layers alone decide
 * who takes part. */
static bool dealt(const struct sets *s, double limit, struct order *out)
{
    struct runs runs[WORKERS_MOST];
    for (int w = 0; w < s->job->workers; w++) {
        const bool slow = slow_line(s->job, (uint32_t)w, limit);
        runs[w] = (struct runs){w, slow ? 0 : furthest(s->job, (uint32_t)w, 0, s->layers, 0, 0, limit)};
    }
    qsort(runs, (size_t)s->job->workers, sizeof *runs, by_layers);
    for (int k = 0; k < s->job->workers; k++) {
        struct order found = {0};
        if (slow_line(s->job, (uint32_t)k, limit) || !dealt_with(s, runs, k, limit, &found)) continue;
        *out = found;
        return true;
    }
    return false;
}

/* ---- either ---- */

/* Within the limit; *limit becomes what the slowest takes. */
static bool find(struct sets *s, struct order *out, double *limit)
{
    if (!s->n) return dealt(s, *limit, out);
    if (!reaches(s, *limit)) return false;
    *limit = take(s, out, COLUMNS, false);
    return true;
}

bool order_slowest(struct order *out, const struct order_job *job, int stages, bool divided, double limit)
{
    struct sets *s;
    bool found = sets_open(&s, job, false);
    double low = 0, high = limit * PICOSECONDS;
    if (found) s->stages = stages, s->divided = divided, found = find(s, out, &high);
    while (found && high - low > CLOSE_ENOUGH * high) {
        double middle = low > 0 ? (low + high) / 2 : high * 0.9;
        const double tried = middle;
        if (find(s, out, &middle)) high = middle;
        else low = tried;
    }
    sets_close(s);
    return found;
}

/* ---- the least sum ---- */

static double lap_cost(const struct sets *s, int c, struct stretch r)
{
    const uint32_t w = s->speaks[c];
    if (!search_fits(s->job->search, w, r)) return INFINITY;
    return search_time(s->job->search, w, r) + (s->job->hop ? s->job->hop[w] * PICOSECONDS : 0);
}

/* One more worker behind a set that has i layers: as the last of all, with the head, or with some of the layers. */
static void add_one(struct sets *s, uint32_t set, int c, uint32_t i, double *best)
{
    const size_t columns = s->layers + 1;
    const double before = s->sum[set * columns + i], all = before + lap_cost(s, c, (struct stretch){i, s->layers, 0, s->parts});
    const uint32_t next = set + s->stride[c];
    if (all < *best) {
        *best = all;
        s->final_set = set;
        s->final = (struct came){(uint16_t)c, (uint16_t)i, 0};
    }
    for (uint32_t end = i + 1; end <= s->layers; end++) {
        const double sum = before + lap_cost(s, c, (struct stretch){i, end, 0, 0});
        if (sum >= *best) return;
        if (sum >= s->sum[next * columns + end]) continue;
        s->sum[next * columns + end] = sum;
        s->came[next * columns + end] = (struct came){(uint16_t)c, (uint16_t)i, 0};
    }
}

bool order_least_sum(struct order *out, const struct order_job *job)
{
    struct sets *s;
    double best = INFINITY;
    if (sets_open(&s, job, true)) {
        const size_t columns = s->layers + 1;
        for (size_t k = 0; k < s->n * columns; k++) s->sum[k] = INFINITY;
        s->sum[0] = 0;
        for (uint32_t set = 0; set < s->n; set++)
            for (int c = 0; c < s->classes; c++)
                for (uint32_t i = 0; i <= s->layers && used_of(s, set, c) < s->count[c]; i++)
                    if (s->sum[set * columns + i] < best) add_one(s, set, c, i, &best);
        if (!isinf(best)) take(s, out, columns, true);
    }
    sets_close(s);
    return !isinf(best);
}
