/* coordinator/engine/guesses.c — guesses of lookup.h on their way: offered to the scheduler, sent behind a token, kept as far as they
 * were right.
 *
 *   known  a  guess  b c d    sent: a b c d    tokens that come: b c x y    so b and c were right, and x follows
 *
 * Each token that counts is told as if it had come alone: what it was drawn from is the same to the last bit. The rows of d, and of
 * tokens that nobody wants any more (the answer ended, its listener is full), are taken back on all stages ahead of the next rows. */
#include "coordinator/engine/live.h"

#include "partition/model/memory.h"

#define TRY_EVERY 32    /* guesses that were not believed: then one is sent all the same, to see whether that is still so */
#define TRY_CHANCE 0.8
#define GUESSES_MOST (LOGIT_ROWS - 1) /* with the token before them what a head scores at a time: one more would read all of it again */
_Static_assert(GUESSES_MOST <= WIRE_DRAFT, "the wire carries no more guesses");

uint32_t token_at(const struct live *a, uint32_t position)
{
    return position < a->ids.n ? a->ids.id[position] : a->guess[position - a->ids.n];
}

/* What is sent must be a word, and nothing follows the end. */
static uint32_t possible(const struct engine *e, const struct live *a, uint32_t n)
{
    uint32_t i = 0;
    for (; i < n && a->guess[i] < e->pipe->model->embedding.rows; i++)
        if (!a->ask.run_on && ((int32_t)a->guess[i] == e->setup.end_of_turn || (int32_t)a->guess[i] == e->setup.eos)) break;
    return i;
}

static bool may_guess(const struct engine *e, const struct live *a)
{
    return e->setup.lookup && !a->ask.want_scores && !a->listener.mask && biases_stay(&a->biases);
}

void guesses_offer(struct engine *e, struct live *a)
{
    const uint32_t context = e->pipe->plan.capacity.context, known = (uint32_t)a->ids.n, wanted = a->ask.most - a->made - 1;
    uint32_t most = context - known < GUESSES_MOST ? context - known : GUESSES_MOST;
    if (!may_guess(e, a) || !lookup_learn(&a->lookup, a->ids.id, known)) return;
    if (wanted < most) most = wanted;
    uint32_t n = possible(e, a, lookup_guess(&a->lookup, a->ids.id, known, most, a->guess, &a->gram));
    if (!n) return;
    double chance = odds_of(&a->odds, &e->odds, a->gram);
    if (++a->passed_over > TRY_EVERY && chance < TRY_CHANCE) n = 1, chance = TRY_CHANCE;
    schedule_guess(e->scheduler, a->number, n, chance);
}

/* Prompts are learned while they are computed. A decode that travels alone says what a row costs. */
void guesses_sent(struct engine *e, const struct schedule_batch *b)
{
    e->lone.rows = 0;
    for (uint32_t i = 0; i < b->n_moves; i++) {
        struct live *a = e->in_slot[b->moves[i].slot];
        if (may_guess(e, a)) (void)lookup_learn(&a->lookup, a->ids.id, (uint32_t)a->ids.n);
    }
    if (!e->setup.lookup || schedule_in_flight(e->scheduler) > 1) return;
    for (uint32_t i = 0; i < b->n_moves; i++)
        if (!b->moves[i].want_token || b->moves[i].rows != 1 + b->moves[i].guesses) return;
    e->lone.batch = b->id;
    e->lone.sent_ns = clock_now(e->clock);
    e->lone.rows = b->rows;
}

void guesses_back(struct engine *e, uint64_t batch)
{
    if (!e->lone.rows || e->lone.batch != batch) return;
    row_price_saw(&e->price, e->lone.rows, (double)(clock_now(e->clock) - e->lone.sent_ns) / 1e9);
    schedule_reading(e->scheduler, row_price_reading(&e->price, reading_rows(e->pipe->offers[0].measured)));
}

uint32_t guesses_right(struct engine *e, struct live *a, const struct move *m, const struct token *t)
{
    uint32_t n = 0;
    while (n < m->guesses && t[n].id == a->guess[n]) n++;
    const uint32_t tried = n < m->guesses ? n + 1 : n;
    odds_saw(&a->odds, a->gram, n, tried);
    odds_saw(&e->odds, a->gram, n, tried);
    e->totals.guessed += m->guesses;
    e->totals.guessed_right += n;
    a->passed_over = 0;
    guesses_refuse(e, a, a->sure + n);
    return n + 1;
}

void guesses_refuse(struct engine *e, struct live *a, uint32_t rows)
{
    a->sent = rows;
    a->history = a->sure_history;
    for (uint32_t i = a->sure; i < rows; i++) a->history = history_after(a->history, token_at(a, i));
    schedule_back(e->scheduler, a->number, rows, a->history);
}
