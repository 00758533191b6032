/* coordinator/engine/divided_head.c — see divided_head.h.
 *
 * The last stage could send its rows to the other parts itself, and one of them could pick. They go by the coordinator because it
 * knows which rows a micro-batch has and who must answer, and because that is where a token goes anyhow: one hop more than
 * would be needed, a few kilobytes a row, against a head that is read by all at the same time.
 *
 * The merge is exact. Each part's best words are in order and no word is in two parts, so merging the lists gives what one list
 * over all words would have begun with. What is summed is summed per sixteenth and added in their order, whoever had them.
 *
 * A row whose token is one of more words than can be named sends its scores home, as does one whose scores are wanted: a megabyte from
 * all together, where candidates are kilobytes. Then the whole head's own arithmetic is done here, in worker_draw. A worker sends the
 * rows of a micro-batch in their order, so they are complete in their order too, and a row's scores go when it is.
 *
 * Micro-batches under way are looked up one after the other: there are as many as stages, plus one. */
#include "coordinator/engine/divided_head.h"

#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

struct asked_row {
    struct segment segment; /* that row alone; `rows` are those of its segment up to it */
    uint32_t id;
    bool token; /* wants one */
};

/* A micro-batch whose rows are being scored. */
struct scoring {
    bool used;
    uint64_t batch;
    uint32_t n, done;        /* rows; of these, complete */
    struct asked_row *asked; /* [n], of the rows in order. Room for all slots with all their guesses, and for a whole micro-batch */
    struct scored *row;      /* [n], what is known of each */
    float **scores;          /* [n], of those that come home: [vocab] or still NULL */
    uint32_t *came, *gave;   /* [route.n], of each worker in the order of the route: so many of the rows, and so many with their scores */
    uint8_t *biases, *masks; /* of the segments, in one piece */
    uint32_t mask_words;
    uint64_t folded;         /* hashes of the scores of a segment's rows */
    struct token *token;     /* [n_tokens], of the rows that are complete; room for WIRE_SEGMENTS */
    uint32_t n_tokens;
};

struct divided_head {
    struct divided_head_setup setup;
    const struct route *route; /* of the text */
    int last;                  /* worker of the last stage */
    uint32_t n, slots;
    struct scoring *under_way; /* [n]: micro-batches in flight */
    bool *waits;                 /* [slots]: its rows are being scored */
    struct scored came;          /* the one just read */
    uint32_t rows;               /* room for, of a micro-batch */
    uint32_t *ids;               /* [vocab], once a token is drawn from all words */
    struct work score;
    struct work wishes;          /* nothing but biases and masks */
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
    const uint32_t all_guess = d->slots * (1 + WIRE_DRAFT), guesses = all_guess < WIRE_SEGMENTS ? all_guess : WIRE_SEGMENTS;
    const uint32_t rows = d->rows = guesses > c->rows ? guesses : c->rows;
    bool all = d->under_way && d->waits;
    for (uint32_t i = 0; i < d->n && all; i++) {
        struct scoring *u = &d->under_way[i];
        u->asked = calloc(rows, sizeof *u->asked);
        u->row = calloc(rows, sizeof *u->row);
        u->scores = calloc(rows, sizeof *u->scores);
        u->came = calloc(d->route->n, sizeof *u->came);
        u->gave = calloc(d->route->n, sizeof *u->gave);
        u->token = calloc(WIRE_SEGMENTS, sizeof *u->token);
        all = u->asked && u->row && u->scores && u->came && u->gave && u->token;
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

/* What it took beside its tables. */
static void scoring_clear(struct scoring *u)
{
    for (uint32_t i = 0; i < u->n && u->scores; i++) {
        free(u->scores[i]);
        u->scores[i] = NULL;
    }
    free(u->biases);
    u->biases = NULL;
    u->used = false;
}

void divided_head_close(struct divided_head **pd)
{
    struct divided_head *d = *pd;
    *pd = NULL;
    if (!d) return;
    for (uint32_t i = 0; i < d->n && d->under_way; i++) {
        struct scoring *u = &d->under_way[i];
        scoring_clear(u);
        free(u->asked);
        free(u->row);
        free(u->scores);
        free(u->came);
        free(u->gave);
        free(u->token);
    }
    free(d->under_way);
    free(d->ids);
    free(d->waits);
    free(d);
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

static int keep_wishes(struct scoring *u, const struct work *w, struct err *why)
{
    const size_t biases = (size_t)w->n_biases * WIRE_BIAS_BYTES, masks = (size_t)w->n_mask_words * 4;
    u->mask_words = w->mask_words;
    if (!(biases + masks)) return 0;
    if (!(u->biases = malloc(biases + masks))) return fail(why, E_MEMORY, "no memory for the biases of %u words and masks", w->n_biases);
    u->masks = u->biases + biases;
    if (biases) memcpy(u->biases, w->biases, biases);
    if (masks) memcpy(u->masks, w->masks, masks);
    return 0;
}

static void note_row(struct scoring *u, const struct segment *s, uint32_t k, uint32_t id)
{
    struct scored *row = &u->row[u->n];
    row->slot = s->slot;
    row->position = s->position + k;
    row->n_candidates = row->n_best = 0;
    struct asked_row *a = &u->asked[u->n++];
    *a = (struct asked_row){.segment = *s, .id = id, .token = k + s->wanted >= s->rows};
    a->segment.position += k;
    a->segment.rows = k + 1;
    a->segment.first_mask += k + s->wanted - s->rows; /* where it wants a token */
}

/* It waits for its token, before which no other of it is scored. Tokens that are told are waited for by nobody. */
static bool draws(const struct segment *s)
{
    return s->wanted && !(s->flags & SEG_TOLD);
}

/* The rows of d->score: none that wants a token may wait already, and none comes twice. */
static int note(struct divided_head *d, struct scoring *u, struct err *why)
{
    const struct work *w = &d->score;
    u->batch = w->batch;
    u->n = u->done = u->n_tokens = 0;
    memset(u->came, 0, d->route->n * sizeof *u->came);
    memset(u->gave, 0, d->route->n * sizeof *u->gave);
    if (w->n_rows > d->rows) return fail(why, E_WIRE, "%s wants %u rows scored, %u can be", name_of(d, d->last), w->n_rows, d->rows);
    for (uint32_t i = 0, at = 0; i < w->n_segments; i++) {
        const struct segment *s = &w->segments[i];
        if (s->slot >= d->slots || (draws(s) && d->waits[s->slot]))
            return fail(why, E_WIRE, "%s wants slot %u of %u scored%s", name_of(d, d->last), s->slot, d->slots,
                        s->slot < d->slots ? " while it is being scored" : "");
        if (draws(s)) d->waits[s->slot] = true;
        for (uint32_t k = 0; k < s->rows; k++) note_row(u, s, k, w->rows[at++].id);
    }
    return keep_wishes(u, w, why);
}

static int pass_on(struct divided_head *d, int worker, const uint8_t *activations, struct err *why)
{
    struct frame *f = 0;
    TRY(score_write(&f, &d->score, why));
    memcpy(d->score.activations, activations, (size_t)d->score.n_rows * d->score.cols * wire_value_bytes(d->score.dtype));
    return d->setup.send(d->setup.user, worker, &f, why);
}

int divided_head_ask(struct divided_head *d, struct frame *f, struct err *why)
{
    struct scoring *u = find_free(d);
    TRY(score_read(&d->score, f, why));
    if (!u || find(d, d->score.batch) || d->score.cols != d->setup.config->hidden || d->score.dtype != d->setup.plan->capacity.mode.wire)
        return fail(why, E_WIRE, "%s wants %u rows of %u values scored for micro-batch %llu, where none are awaited",
                    name_of(d, d->last), d->score.n_rows, d->score.cols, (unsigned long long)d->score.batch);
    TRY(note(d, u, why));
    const uint8_t *activations = d->score.activations;
    for (int i = 0; i < d->route->n; i++) {
        const int worker = d->route->worker[i];
        if (worker != d->last && part_has_head(part_of(d, worker))) TRY(pass_on(d, worker, activations, why));
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
    if (!u || place < 0 || u->came[place] == u->n || u->asked[u->came[place]].segment.slot != s->slot ||
        u->asked[u->came[place]].segment.position != s->position)
        return fail(why, E_WIRE, "%s scored the row at position %u of slot %u in micro-batch %llu, which is not its turn", name,
                    s->position, s->slot, (unsigned long long)s->batch);
    if (s->part != part.back || s->n_parts != part_head_parts(c, part))
        return fail(why, E_WIRE, "%s scored %u parts of the head from %u on, it has %u from %u on", name, s->n_parts, s->part,
                    part_head_parts(c, part), part.back);
    const struct asked_row *asked = &u->asked[u->came[place]];
    const uint32_t top = asked->token ? asked->segment.top : 0;
    if ((s->n_best > 0) != (top > 0)) return fail(why, E_WIRE, "%s names %u alternatives where up to %u are wanted", name, s->n_best, top);
    if (segment_goes_home(&asked->segment) && u->gave[place] <= u->came[place])
        return fail(why, E_WIRE, "%s scored the row at position %u of slot %u, whose scores it did not send", name, s->position, s->slot);
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

/* ---- scores that come home ---- */

int divided_head_scores(struct divided_head *d, int worker, struct frame *f, struct err *why)
{
    struct logits m;
    TRY(logits_read(&m, f, why));
    struct scoring *u = find(d, m.batch);
    const struct model_config *c = d->setup.config;
    const struct part part = part_of(d, worker);
    const int place = place_of(d, worker);
    uint32_t i = u && place >= 0 ? u->gave[place] : 0;
    while (u && place >= 0 && i < u->n && !segment_goes_home(&u->asked[i].segment)) i++;
    if (!u || place < 0 || i == u->n || u->row[i].slot != m.slot || u->row[i].position != m.position)
        return fail(why, E_WIRE, "%s sent scores of the row at position %u of slot %u in micro-batch %llu, which is not its turn",
                    name_of(d, worker), m.position, m.slot, (unsigned long long)m.batch);
    if (!part_has_head(part) || m.first != part_first_word(c, part) || m.n != part_words(c, part))
        return fail(why, E_WIRE, "%s sent scores of %u words from %u on, which is not its part of the head", name_of(d, worker), m.n, m.first);
    if (!u->scores[i] && !(u->scores[i] = malloc((size_t)c->vocab * sizeof *u->scores[i])))
        return fail(why, E_MEMORY, "no memory for the scores of %u words", c->vocab);
    memcpy(u->scores[i] + m.first, m.scores, (size_t)m.n * sizeof *u->scores[i]);
    u->gave[place] = i + 1;
    return 0;
}

/* The ids that the penalty of row i looks at. */
static uint32_t recent_ids(const struct divided_head *d, const struct scoring *u, uint32_t i, uint32_t out[REPEAT_LAST_MOST])
{
    const struct segment *g = &u->asked[i].segment;
    const uint32_t all = g->position + 1, n = g->sampling.repeat_last < all ? g->sampling.repeat_last : all;
    for (uint32_t back = 0; back < n; back++)
        out[n - 1 - back] = back < g->rows ? u->asked[i - back].id : d->setup.id(d->setup.user, g->slot, g->position - back);
    return n;
}

static int draw_from_all(struct divided_head *d, const struct scoring *u, uint32_t i, struct token *t, struct err *why)
{
    uint32_t recent[REPEAT_LAST_MOST];
    const uint32_t words = d->setup.config->vocab;
    if (!d->ids && !(d->ids = malloc(words * sizeof *d->ids))) return fail(why, E_MEMORY, "no memory to draw from %u words", words);
    d->wishes.biases = u->biases;
    d->wishes.masks = u->masks;
    d->wishes.mask_words = u->mask_words;
    const struct all_scores all = {u->scores[i], words, d->ids, recent, recent_ids(d, u, i, recent), &d->wishes,
                                   mask_get(&d->wishes, &u->asked[i].segment, 0)};
    worker_draw(t, &u->row[i], &u->asked[i].segment, &all);
    return 0;
}

/* ---- a row that all have scored ---- */

static bool complete(const struct divided_head *d, const struct scoring *u, uint32_t i)
{
    for (int k = 0; k < d->route->n; k++)
        if (part_has_head(part_of(d, d->route->worker[k])) && u->came[k] <= i) return false;
    return true;
}

static int answer_row(struct divided_head *d, struct scoring *u, uint32_t i, struct err *why)
{
    const struct part all = {.back_end = HEAD_PARTS};
    const struct asked_row *a = &u->asked[i];
    const struct segment *g = &a->segment;
    struct scored *row = &u->row[i];
    uint64_t hash;
    row->n_parts = part_head_parts(d->setup.config, all);
    TRY(worker_scores_hash(&hash, row, g, why));
    if (g->flags & SEG_WANT_LOGITS) {
        const struct logits m = {u->batch, g->slot, g->position, hash, 0, d->setup.config->vocab, (uint8_t *)u->scores[i]};
        hash = u->folded = hash_fold(g->rows == 1 ? 0 : u->folded, hash);
        TRY(d->setup.scores(d->setup.user, &m, why));
    }
    if (!a->token) return 0;
    struct token *t = &u->token[u->n_tokens++];
    if (sampling_of_few(&g->sampling)) TRY(worker_answer(t, row, g, why));
    else TRY(draw_from_all(d, u, i, t, why));
    t->hash = g->flags & (SEG_WANT_HASH | SEG_WANT_LOGITS) ? hash : 0;
    if (draws(g)) d->waits[row->slot] = false;
    return 0;
}

/* Those that are complete now, in order. *done: that was the last. */
static int answer_rows(struct divided_head *d, struct scoring *u, bool *done, struct result *result, struct err *why)
{
    for (; u->done < u->n && complete(d, u, u->done); u->done++) {
        TRY(answer_row(d, u, u->done, why));
        free(u->scores[u->done]);
        u->scores[u->done] = NULL;
    }
    *done = u->done == u->n;
    if (!*done) return 0;
    result->batch = u->batch;
    result->n_tokens = u->n_tokens;
    memcpy(result->tokens, u->token, u->n_tokens * sizeof *u->token);
    scoring_clear(u);
    return 0;
}

int divided_head_owed_by(const struct divided_head *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct scoring *u = &d->under_way[i];
        for (int k = 0; u->used && k < d->route->n; k++)
            if (part_has_head(part_of(d, d->route->worker[k])) && u->came[k] < u->n) return d->route->worker[k];
    }
    return -1;
}

int divided_head_take(struct divided_head *d, int worker, struct frame *f, bool *done, struct result *result, struct err *why)
{
    struct scored *s = &d->came;
    *done = false;
    TRY(scored_read(s, f, why));
    struct scoring *u = find(d, s->batch);
    TRY(check_scored(d, worker, u, s, why));
    const uint32_t i = u->came[place_of(d, worker)]++;
    const struct segment *asked = &u->asked[i].segment;
    struct scored *row = &u->row[i];
    memcpy(row->parts + s->part, s->parts, s->n_parts * sizeof *s->parts);
    merge(d, row->candidates, &row->n_candidates, s->candidates, s->n_candidates, sampling_of_few(&asked->sampling) ? sampling_words(&asked->sampling) : 0);
    merge(d, row->best, &row->n_best, s->best, s->n_best, asked->top);
    return answer_rows(d, u, done, result, why);
}
