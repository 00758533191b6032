/* coordinator/report/tally.c — see tally.h. */
#include "coordinator/report/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static struct reached *find(const struct tally *t, uint64_t number)
{
    size_t low = 0, high = t->n_reached;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (t->reached[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < t->n_reached && t->reached[low].number == number ? &t->reached[low] : NULL;
}

/* Without memory its rows count once. */
static void remember(struct tally *t, uint64_t number)
{
    if (t->n_reached == t->room) {
        const size_t room = t->room ? 2 * t->room : 64;
        struct reached *more = realloc(t->reached, room * sizeof *more);
        if (!more) return;
        t->reached = more;
        t->room = room;
    }
    t->reached[t->n_reached++] = (struct reached){.number = number};
}

static void forget(struct tally *t, uint64_t number)
{
    struct reached *r = find(t, number);
    if (!r) return;
    memmove(r, r + 1, (size_t)(t->reached + t->n_reached - (r + 1)) * sizeof *r);
    t->n_reached--;
}

static void count_rows(struct tally *t, const struct happened_rows *h)
{
    struct reached *r = find(t, h->number);
    const uint32_t end = h->position + h->rows;
    t->rows += h->rows;
    if (!r) return;
    if (h->position < r->rows) t->rows_again += (end < r->rows ? end : r->rows) - h->position;
    if (end - h->guesses > r->rows) r->rows = end - h->guesses;
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
    forget(t, h->number);
}

void tally_watch(void *user, const struct happened *h)
{
    struct tally *t = user;
    switch (h->what) {
    case ASK_CAME:
        t->came++;
        remember(t, h->number);
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
    free(t->reached);
    t->reached = NULL;
}
