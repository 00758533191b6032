/* coordinator/report/tally.c — see tally.h. */
#include "coordinator/report/tally.h"

#include <math.h>
#include <stdlib.h>

#define LEAST_SECONDS 1e-6
#define WIDER 1.01 /* than the box before */

/* ---- times ---- */

void times_add(struct times *t, double seconds)
{
    const double at = seconds > LEAST_SECONDS ? log(seconds / LEAST_SECONDS) / log(WIDER) : 0;
    t->box[at < TIMES_BOXES - 1 ? (size_t)at : TIMES_BOXES - 1]++;
    t->sum += seconds;
    if (!t->n || seconds < t->least) t->least = seconds;
    if (!t->n || seconds > t->most) t->most = seconds;
    t->n++;
}

double times_mean(const struct times *t)
{
    return t->n ? t->sum / (double)t->n : 0;
}

double times_below(const struct times *t, double part)
{
    const uint64_t wanted = (uint64_t)ceil(part * (double)t->n);
    uint64_t seen = 0;
    size_t i = 0;
    while (i < TIMES_BOXES - 1 && (seen += t->box[i]) < wanted) i++;
    const double middle = LEAST_SECONDS * pow(WIDER, (double)i + 0.5);
    return middle < t->least ? t->least : middle > t->most ? t->most : middle;
}

/* ---- rows that are computed again ---- */

static void count_rows(struct tally *t, const struct happened_rows *h)
{
    struct ask_entry *r = ask_table_find(&t->table, h->number);
    const uint32_t end = h->position + h->rows;
    t->rows += h->rows;
    if (!r) return;
    if (h->position < r->reached) t->rows_again += (end < r->reached ? end : r->reached) - h->position;
    if (end - h->guesses > r->reached) r->reached = end - h->guesses;
}

/* ---- watching ---- */

static double seconds(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static void count_end(struct tally *t, const struct happened *h)
{
    t->ended++;
    t->asked_rows += h->asked_rows;
    t->reused_rows += h->reused_rows;
    t->made += h->amount;
    times_add(&t->whole, seconds(h->asked_ns, h->at_ns));
    if (h->amount > 1) times_add(&t->between, seconds(h->first_ns, h->at_ns) / (h->amount - 1));
    struct ask_entry *r = ask_table_find(&t->table, h->number);
    if (r) ask_table_end(&t->table, r);
}

void tally_watch(void *user, const struct happened *h)
{
    struct tally *t = user;
    switch (h->what) {
    case ASK_CAME:
        t->came++;
        ask_table_add(&t->table, &(struct ask_entry){.number = h->number}); /* without memory its rows count once */
        break;
    case ASK_SPOKE:
        t->spoke++;
        times_add(&t->first, seconds(h->asked_ns, h->at_ns));
        break;
    case ASK_ENDED: count_end(t, h); break;
    case BATCH_SENT:
        t->batches++;
        for (size_t i = 0; i < h->n; i++) count_rows(t, &h->rows[i]);
        break;
    case PICTURE_BACK: t->pictures++; break;
    case BATCH_BACK: t->batches_back++; break;
    case ASK_GOES:
    case PICTURE_SENT:
    case EPOCH_BEGAN: t->batches_back = t->batches; break; /* what was under way comes back no more */
    }
}

void tally_free(struct tally *t)
{
    free(t->table.of);
    t->table = (struct ask_table){0};
}
