/* coordinator/engine/divided_head.c — see gather.h. */
#include "coordinator/engine/divided_head.h"

#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

/* A micro-batch whose rows are being scored. */
struct gathering {
    bool used;
    uint64_t batch;
    uint32_t n;                      /* rows */
    struct segment *asked;           /* [n], of the rows in order; room for all slots */
    uint32_t came[WIRE_STAGES];      /* of each worker: so many of the rows */
    uint32_t missing;                /* of all together */
};

struct gather {
    struct pipeline *pipe;
    int last;                  /* node of the last stage */
    uint32_t n, slots;
    struct gathering *under_way; /* [n]: micro-batches in flight */
    struct scored *row;          /* [slots]: what is known of the row that the slot waits for, */
    bool *waits;                 /* [slots]: if it waits */
    struct scored came;          /* the one just read */
    struct work score;
    struct candidate merged[WIRE_CANDIDATES];
};

static struct share share_of(const struct gather *g, int node)
{
    return g->pipe->plan.stage[node - 1].share;
}

static int open_tables(struct gather *g, const struct capacity *c, struct err *why)
{
    g->n = c->in_flight;
    g->slots = c->sequences;
    g->under_way = calloc(g->n, sizeof *g->under_way);
    g->row = calloc(g->slots, sizeof *g->row);
    g->waits = calloc(g->slots, sizeof *g->waits);
    bool all = g->under_way && g->row && g->waits;
    for (uint32_t i = 0; i < g->n && all; i++) all = (g->under_way[i].asked = calloc(g->slots, sizeof *g->under_way[i].asked)) != NULL;
    return all ? 0 : fail(why, E_MEMORY, "no memory to gather the scores of %u sequences", g->slots);
}

int gather_open(struct gather **out, struct pipeline *p, struct err *why)
{
    *out = NULL;
    if (share_has_whole_head(p->plan.stage[p->plan.stages - 1].share)) return 0;
    struct gather *g = calloc(1, sizeof *g);
    if (!g) return fail(why, E_MEMORY, "no memory to gather scores");
    g->pipe = p;
    g->last = p->plan.stages;
    int code = open_tables(g, &p->plan.capacity, why);
    if (code) gather_close(&g);
    *out = g;
    return code;
}

void gather_close(struct gather **pg)
{
    struct gather *g = *pg;
    *pg = NULL;
    if (!g) return;
    for (uint32_t i = 0; i < g->n && g->under_way; i++) free(g->under_way[i].asked);
    free(g->under_way);
    free(g->row);
    free(g->waits);
    free(g);
}

/* ---- asking ---- */

static struct gathering *find(struct gather *g, uint64_t batch)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (g->under_way[i].used && g->under_way[i].batch == batch) return &g->under_way[i];
    return NULL;
}

static struct gathering *find_free(struct gather *g)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (!g->under_way[i].used) return &g->under_way[i];
    return NULL;
}

/* The rows of g->score: none may wait already, and none comes twice. */
static int note(struct gather *g, struct gathering *u, struct err *why)
{
    const struct work *w = &g->score;
    *u = (struct gathering){.asked = u->asked, .batch = w->batch};
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct segment *s = &w->segments[i];
        if (s->slot >= g->slots || g->waits[s->slot])
            return fail(why, E_WIRE, "%s wants slot %u of %u scored%s", g->pipe->nodes[g->last].name, s->slot, g->slots,
                        s->slot < g->slots ? " while it is being scored" : "");
        g->row[s->slot].slot = s->slot;
        g->row[s->slot].position = s->position;
        g->row[s->slot].n_candidates = 0;
        g->waits[s->slot] = true;
        u->asked[u->n++] = *s;
    }
    return 0;
}

static int pass_on(struct gather *g, int node, const uint8_t *activations, struct err *why)
{
    struct frame *f = 0;
    TRY(score_write(&f, &g->score, why));
    memcpy(g->score.activations, activations, (size_t)g->score.n_rows * g->score.cols * sizeof(float));
    return pipeline_send(g->pipe, node, &f, why);
}

int gather_ask(struct gather *g, struct frame *f, struct err *why)
{
    struct gathering *u = find_free(g);
    TRY(score_read(&g->score, f, why));
    if (!u || find(g, g->score.batch) || g->score.cols != g->pipe->model->config.hidden || g->score.dtype != WIRE_F32)
        return fail(why, E_WIRE, "%s wants %u rows of %u values scored for micro-batch %llu, where none are awaited",
                    g->pipe->nodes[g->last].name, g->score.n_rows, g->score.cols, (unsigned long long)g->score.batch);
    TRY(note(g, u, why));
    const uint8_t *activations = g->score.activations;
    for (int node = 1; node <= g->last; node++) {
        if (!share_has_head(share_of(g, node))) continue;
        u->missing += u->n;
        if (node != g->last) TRY(pass_on(g, node, activations, why));
    }
    u->used = true;
    return 0;
}

/* ---- answers ---- */

static int check_scored(const struct gather *g, int node, const struct gathering *u, const struct scored *s, struct err *why)
{
    const struct share share = share_of(g, node);
    const struct model_config *c = &g->pipe->model->config;
    const char *name = g->pipe->nodes[node].name;
    if (!u || u->came[node - 1] == u->n || u->asked[u->came[node - 1]].slot != s->slot || u->asked[u->came[node - 1]].position != s->position)
        return fail(why, E_WIRE, "%s scored the row at position %u of slot %u in micro-batch %llu, which is not its turn", name,
                    s->position, s->slot, (unsigned long long)s->batch);
    if (s->part != share.part || s->n_parts != share_parts(c, share))
        return fail(why, E_WIRE, "%s scored %u parts of the head from %u on, it has %u from %u on", name, s->n_parts, s->part,
                    share_parts(c, share), share.part);
    for (uint32_t i = 0; i < s->n_candidates; i++)
        if (s->candidates[i].id < share_word(c, share) || s->candidates[i].id - share_word(c, share) >= share_words(c, share))
            return fail(why, E_WIRE, "%s names the word %u, which is not in its part of the head", name, s->candidates[i].id);
    return 0;
}

/* row's candidates and came's, the best `most` of them, in order. */
static void merge(struct gather *g, struct scored *row, uint32_t most)
{
    const struct scored *s = &g->came;
    uint32_t n = 0, a = 0, b = 0;
    while (n < most && (a < row->n_candidates || b < s->n_candidates)) {
        bool from_row = b == s->n_candidates || (a < row->n_candidates && candidate_better(&row->candidates[a], &s->candidates[b]));
        g->merged[n++] = from_row ? row->candidates[a++] : s->candidates[b++];
    }
    memcpy(row->candidates, g->merged, n * sizeof *g->merged);
    row->n_candidates = n;
}

static int finish(struct gather *g, struct gathering *u, struct result *result, struct err *why)
{
    const struct share all = {.part_end = HEAD_PARTS};
    *result = (struct result){.batch = u->batch};
    for (uint32_t i = 0; i < u->n; i++) {
        struct scored *row = &g->row[u->asked[i].slot];
        row->n_parts = share_parts(&g->pipe->model->config, all);
        TRY(worker_answer(&result->tokens[result->n_tokens++], row, &u->asked[i], why));
        g->waits[row->slot] = false;
    }
    u->used = false;
    return 0;
}

int gather_take(struct gather *g, struct frame *f, bool *done, struct result *result, struct err *why)
{
    const int node = f->head.from;
    struct scored *s = &g->came;
    *done = false;
    TRY(scored_read(s, f, why));
    struct gathering *u = find(g, s->batch);
    TRY(check_scored(g, node, u, s, why));
    struct scored *row = &g->row[s->slot];
    memcpy(row->parts + s->part, s->parts, s->n_parts * sizeof *s->parts);
    merge(g, row, sampling_words(&u->asked[u->came[node - 1]].sampling));
    u->came[node - 1]++;
    *done = --u->missing == 0;
    return *done ? finish(g, u, result, why) : 0;
}
