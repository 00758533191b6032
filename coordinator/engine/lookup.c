/* coordinator/engine/lookup.c — see lookup.h. The index is one open table for each length of a run, twice as large as there are ids at
 * least: 24 bytes an id or more. A place holds where a run ended, and the ids there say which run it is. A run has PLACES places, by its
 * hash: where all are others' it takes the last one, so that no choice of ids makes a step long. */
#include "coordinator/engine/lookup.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 256
#define PLACES 16
#define ODDS_KEPT 0.9  /* of what was counted, when a guess is counted */
#define ODDS_BEFORE 4  /* guesses over all stand for those of an ask that were not made yet */
#define ODDS_FIRST 0.8 /* before anything was seen: hopeful, so that several sequences at once try it too */
#define PRICE_STEP (1 / 16.0)
#define READING_MOST 64

/* Of the run of `gram` ids that ends before ids[end]; *there: it is in it. Else the place is empty, or another's that must go. */
static uint32_t *place_of(const struct lookup *l, const uint32_t *ids, uint32_t end, int gram, bool *there)
{
    uint32_t *table = l->end[gram - GRAM_LEAST], *place = NULL;
    const uint32_t *run = ids + end - gram;
    uint64_t hash = 0;
    for (int i = 0; i < gram; i++) hash = hash_fold(hash, run[i]);
    *there = false;
    for (uint32_t i = 0; i < PLACES && !*there; i++) {
        place = &table[(uint32_t)(hash + i) & (l->room - 1)];
        if (!*place) break;
        *there = !memcmp(ids + *place - gram, run, (size_t)gram * sizeof *run);
    }
    return place;
}

void lookup_free(struct lookup *l)
{
    for (int i = 0; i < GRAMS; i++) free(l->end[i]);
    *l = (struct lookup){0};
}

static bool make_room(struct lookup *l, uint32_t n)
{
    struct lookup grown = {.room = l->room ? l->room : ROOM_LEAST};
    if (n <= l->room / 2) return true;
    while (grown.room / 2 < n) grown.room *= 2;
    bool all = true;
    for (int i = 0; i < GRAMS; i++) all &= (grown.end[i] = calloc(grown.room, sizeof *grown.end[i])) != NULL;
    lookup_free(l);
    *l = grown;
    if (!all) lookup_free(l);
    return all;
}

/* Runs that end with the last id are learned with the next one: until then nothing follows them. */
bool lookup_learn(struct lookup *l, const uint32_t *ids, uint32_t n)
{
    if (n > UINT32_MAX / 4 || !make_room(l, n)) return false;
    bool there;
    for (uint32_t i = 0; i < LEARN_MOST && l->seen + 1 < n; i++, l->seen++)
        for (uint32_t end = l->seen + 1, gram = GRAM_LEAST; gram <= GRAM_MOST && gram <= end; gram++)
            *place_of(l, ids, end, (int)gram, &there) = end;
    return l->seen + 1 >= n;
}

uint32_t lookup_guess(const struct lookup *l, const uint32_t *ids, uint32_t n, uint32_t most, uint32_t *out, int *gram)
{
    const uint32_t *place = NULL;
    bool there = false;
    for (*gram = GRAM_MOST + 1; l->room && !there && --*gram >= GRAM_LEAST;)
        if ((uint32_t)*gram <= n) place = place_of(l, ids, n, *gram, &there);
    if (!there) return 0;
    const uint32_t from = *place;
    /* Where the run is so near that what followed it runs out, what was guessed follows: ids that go round in a circle. */
    for (uint32_t i = 0; i < most; i++) out[i] = from + i < n ? ids[from + i] : out[from + i - n];
    return most;
}

void odds_saw(struct odds *o, int gram, uint32_t right, uint32_t tried)
{
    double *r = &o->right[gram - GRAM_LEAST], *t = &o->tried[gram - GRAM_LEAST];
    for (uint32_t i = 0; i < tried; i++) {
        *r = *r * ODDS_KEPT + (i < right);
        *t = *t * ODDS_KEPT + 1;
    }
}

double odds_of(const struct odds *ask, const struct odds *all, int gram)
{
    const int i = gram - GRAM_LEAST;
    const double before = (all->right[i] + ODDS_FIRST) / (all->tried[i] + 1);
    return (ask->right[i] + ODDS_BEFORE * before) / (ask->tried[i] + ODDS_BEFORE);
}

static void follow(double *median, double seen)
{
    *median += seen > *median ? *median * PRICE_STEP : -*median * PRICE_STEP;
}

void row_price_saw(struct row_price *p, uint32_t rows, double seconds)
{
    if (rows == 1 && !p->one) p->one = seconds;
    if (rows == 1) follow(&p->one, seconds);
    if (rows == 1 || !p->one) return;
    const double more = (seconds - p->one) / (rows - 1);
    if (!p->more) p->more = more > p->one / READING_MOST ? more : p->one / READING_MOST;
    follow(&p->more, more);
}

double row_price_reading(const struct row_price *p, double nominal)
{
    if (!p->one || !p->more) return nominal;
    const double rows = p->one / p->more - 1;
    return rows < 0 ? 0 : rows > READING_MOST ? READING_MOST : rows;
}
