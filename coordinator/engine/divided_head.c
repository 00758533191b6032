/* coordinator/engine/divided_head.c — see divided_head.h.
 *
 * The last stage could send its rows to the other parts itself, and one of them could pick. They go by the coordinator because it
 * knows which rows a micro-batch has and who must answer, and because that is where a token goes anyhow: one hop more than
 * would be needed, a few kilobytes a row, against a head that is read by all at the same time.
 *
 * The merge is exact. Each part's best words are in order and no word is in two parts, so merging the lists gives what one list
 * over all words would have begun with. What is summed is summed per sixteenth and added in their order, whoever had them.
 *
 * Micro-batches under way are looked up one after the other: there are as many as stages, plus one. */
#include "coordinator/engine/divided_head.h"

#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

/* A micro-batch whose rows are being scored. */
struct scoring {
    bool used;
    uint64_t batch;
    uint32_t n;                      /* rows */
    struct segment *asked;           /* [n], of the rows in order: that row alone. Room for all slots with all their guesses */
    struct scored *row;              /* [n], what is known of each */
    uint32_t *came;                  /* [route.n], of each worker in the order of the route: so many of the rows */
    uint32_t missing;                /* of all together */
};

struct divided_head {
    struct divided_head_setup setup;
    const struct route *route; /* of the text */
    int last;                  /* worker of the last stage */
    uint32_t n, slots;
    struct scoring *under_way; /* [n]: micro-batches in flight */
    bool *waits;                 /* [slots]: its rows are being scored */
    struct scored came;          /* the one just read */
    struct work score;
    struct candidate merged[WIRE_CANDIDATES];
};

static struct part part_of(const struct divided_head *d, int worker)
{
    return d->setup.plan->of[worker].part[CHAIN_TEXT];
}

static const char *name_of(const struct divided_head *d, int worker)
{
    return d->setup.name(d->setup.user, worker);
}

/* Its place in the route; -1 if it is not on it. */
static int place_of(const struct divided_head *d, int worker)
{
    for (int i = 0; i < d->route->n; i++)
        if (d->route->worker[i] == worker) return i;
    return -1;
}

static int open_tables(struct divided_head *d, const struct capacity *c, struct err *why)
{
    d->n = c->in_flight;
    d->slots = c->sequences;
    d->under_way = calloc(d->n, sizeof *d->under_way);
    d->waits = calloc(d->slots, sizeof *d->waits);
    const uint32_t all_guess = d->slots * (1 + WIRE_DRAFT), rows = all_guess < WIRE_SEGMENTS ? all_guess : WIRE_SEGMENTS;
    bool all = d->under_way && d->waits;
    for (uint32_t i = 0; i < d->n && all; i++) {
        struct scoring *u = &d->under_way[i];
        u->asked = calloc(rows, sizeof *u->asked);
        u->row = calloc(rows, sizeof *u->row);
        u->came = calloc(d->route->n, sizeof *u->came);
        all = u->asked && u->row && u->came;
    }
    return all ? 0 : fail(why, E_MEMORY, "no memory to bring together the scores of %u sequences", d->slots);
}

int divided_head_open(struct divided_head **out, const struct divided_head_setup *setup, struct err *why)
{
    *out = NULL;
    if (part_has_whole_head(setup->plan->of[route_last(plan_text_route(setup->plan))].part[CHAIN_TEXT])) return 0;
    struct divided_head *d = calloc(1, sizeof *d);
    if (!d) return fail(why, E_MEMORY, "no memory to bring scores together");
    d->setup = *setup;
    d->route = plan_text_route(setup->plan);
    d->last = route_last(d->route);
    int code = open_tables(d, &setup->plan->capacity, why);
    if (code) divided_head_close(&d);
    *out = d;
    return code;
}

void divided_head_close(struct divided_head **pd)
{
    struct divided_head *d = *pd;
    *pd = NULL;
    if (!d) return;
    for (uint32_t i = 0; i < d->n && d->under_way; i++) {
        free(d->under_way[i].asked);
        free(d->under_way[i].row);
        free(d->under_way[i].came);
    }
    free(d->under_way);
    free(d->waits);
    free(d);
}

void divided_head_restart(struct divided_head *d)
{
    for (uint32_t i = 0; i < d->n; i++) d->under_way[i].used = false;
    memset(d->waits, 0, d->slots * sizeof *d->waits);
}

/* ---- asking ---- */

static struct scoring *find(struct divided_head *d, uint64_t batch)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->under_way[i].used && d->under_way[i].batch == batch) return &d->under_way[i];
    return NULL;
}

static struct scoring *find_free(struct divided_head *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (!d->under_way[i].used) return &d->under_way[i];
    return NULL;
}

/* The rows of d->score: none may wait already, and none comes twice. */
static int note(struct divided_head *d, struct scoring *u, struct err *why)
{
    const struct work *w = &d->score;
    *u = (struct scoring){.asked = u->asked, .row = u->row, .came = u->came, .batch = w->batch};
    memset(u->came, 0, d->route->n * sizeof *u->came);
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct segment *s = &w->segments[i];
        if (s->slot >= d->slots || d->waits[s->slot])
            return fail(why, E_WIRE, "%s wants slot %u of %u scored%s", name_of(d, d->last), s->slot, d->slots,
                        s->slot < d->slots ? " while it is being scored" : "");
        d->waits[s->slot] = true;
        for (uint32_t k = 0; k < s->rows; k++) {
            struct scored *row = &u->row[u->n];
            row->slot = s->slot;
            row->position = s->position + k;
            row->n_candidates = row->n_best = 0;
            u->asked[u->n] = *s;
            u->asked[u->n++].position += k;
        }
    }
    return 0;
}

static int pass_on(struct divided_head *d, int worker, const uint8_t *activations, struct err *why)
{
    struct frame *f = 0;
    TRY(score_write(&f, &d->score, why));
    memcpy(d->score.activations, activations, (size_t)d->score.n_rows * d->score.cols * sizeof(float));
    return d->setup.send(d->setup.user, worker, &f, why);
}

int divided_head_ask(struct divided_head *d, struct frame *f, struct err *why)
{
    struct scoring *u = find_free(d);
    TRY(score_read(&d->score, f, why));
    if (!u || find(d, d->score.batch) || d->score.cols != d->setup.config->hidden || d->score.dtype != WIRE_F32)
        return fail(why, E_WIRE, "%s wants %u rows of %u values scored for micro-batch %llu, where none are awaited",
                    name_of(d, d->last), d->score.n_rows, d->score.cols, (unsigned long long)d->score.batch);
    TRY(note(d, u, why));
    const uint8_t *activations = d->score.activations;
    for (int i = 0; i < d->route->n; i++) {
        const int worker = d->route->worker[i];
        if (!part_has_head(part_of(d, worker))) continue;
        u->missing += u->n;
        if (worker != d->last) TRY(pass_on(d, worker, activations, why));
    }
    u->used = true;
    return 0;
}

/* ---- answers ---- */

static int check_words(const struct model_config *c, struct part part, const struct candidate *k, uint32_t n, const char *name, struct err *why)
{
    for (uint32_t i = 0; i < n; i++)
        if (k[i].id < part_first_word(c, part) || k[i].id - part_first_word(c, part) >= part_words(c, part))
            return fail(why, E_WIRE, "%s names the word %u, which is not in its part of the head", name, k[i].id);
    return 0;
}

static int check_scored(const struct divided_head *d, int worker, const struct scoring *u, const struct scored *s, struct err *why)
{
    const struct part part = part_of(d, worker);
    const int place = place_of(d, worker);
    const struct model_config *c = d->setup.config;
    const char *name = name_of(d, worker);
    if (!u || place < 0 || u->came[place] == u->n || u->asked[u->came[place]].slot != s->slot ||
        u->asked[u->came[place]].position != s->position)
        return fail(why, E_WIRE, "%s scored the row at position %u of slot %u in micro-batch %llu, which is not its turn", name,
                    s->position, s->slot, (unsigned long long)s->batch);
    if (s->part != part.back || s->n_parts != part_head_parts(c, part))
        return fail(why, E_WIRE, "%s scored %u parts of the head from %u on, it has %u from %u on", name, s->n_parts, s->part,
                    part_head_parts(c, part), part.back);
    if ((s->n_best > 0) != (u->asked[u->came[place]].top > 0))
        return fail(why, E_WIRE, "%s names %u alternatives where up to %u are wanted", name, s->n_best, u->asked[u->came[place]].top);
    TRY(check_words(c, part, s->candidates, s->n_candidates, name, why));
    return check_words(c, part, s->best, s->n_best, name, why);
}

/* Of `has` and `came` the best `most`, in order, into `has`. */
static void merge(struct divided_head *d, struct candidate *has, uint32_t *n_has, const struct candidate *came, uint32_t n_came, uint32_t most)
{
    uint32_t n = 0, a = 0, b = 0;
    while (n < most && (a < *n_has || b < n_came)) {
        bool from_has = b == n_came || (a < *n_has && candidate_better(&has[a], &came[b]));
        d->merged[n++] = from_has ? has[a++] : came[b++];
    }
    memcpy(has, d->merged, n * sizeof *d->merged);
    *n_has = n;
}

static int finish(struct divided_head *d, struct scoring *u, struct result *result, struct err *why)
{
    const struct part all = {.back_end = HEAD_PARTS};
    result->batch = u->batch;
    result->n_tokens = 0;
    for (uint32_t i = 0; i < u->n; i++) {
        struct scored *row = &u->row[i];
        row->n_parts = part_head_parts(d->setup.config, all);
        TRY(worker_answer(&result->tokens[result->n_tokens++], row, &u->asked[i], why));
        d->waits[row->slot] = false;
    }
    u->used = false;
    return 0;
}

int divided_head_take(struct divided_head *d, int worker, struct frame *f, bool *done, struct result *result, struct err *why)
{
    struct scored *s = &d->came;
    *done = false;
    TRY(scored_read(s, f, why));
    struct scoring *u = find(d, s->batch);
    TRY(check_scored(d, worker, u, s, why));
    const uint32_t i = u->came[place_of(d, worker)]++;
    const struct segment *asked = &u->asked[i];
    struct scored *row = &u->row[i];
    memcpy(row->parts + s->part, s->parts, s->n_parts * sizeof *s->parts);
    merge(d, row->candidates, &row->n_candidates, s->candidates, s->n_candidates, sampling_words(&asked->sampling));
    merge(d, row->best, &row->n_best, s->best, s->n_best, asked->top);
    *done = --u->missing == 0;
    return *done ? finish(d, u, result, why) : 0;
}
