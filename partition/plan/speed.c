/* partition/plan/speed.c — see speed.h. */
#include "partition/plan/speed.h"

#define FEW_THREADS 2
#define FEW_THREADS_QUARTERS 1
#define MANY_THREADS_QUARTERS 16
#define PIECE_FEW_ROWS 16 /* between these lengths of pieces a measured curve is taken for a line */
#define PIECE_MANY_ROWS 128
#define QUARTERS_MOST 512
#define NOMINAL_READING 5
#define FEW_ROWS 8

double curve_seconds(const struct curve *c, double rows)
{
    uint32_t i = 1;
    if (c->n < 2 || rows <= c->rows[0]) return c->seconds[0];
    while (i + 1 < c->n && rows > c->rows[i]) i++;
    const double slope = (c->seconds[i] - c->seconds[i - 1]) / (c->rows[i] - c->rows[i - 1]);
    return c->seconds[i - 1] + slope * (rows - c->rows[i - 1]);
}

/* Of a stage: one or two threads take no longer for a row of 16 than for one of 128; more of them have to wait for memory sooner. */
static uint32_t nominal_quarters(int threads)
{
    return threads >= 1 && threads <= FEW_THREADS ? FEW_THREADS_QUARTERS : MANY_THREADS_QUARTERS;
}

uint32_t piece_quarters(const struct speed *measured, int threads)
{
    if (!measured || measured->local.n < 2) return nominal_quarters(threads);
    const double few = curve_seconds(&measured->local, PIECE_FEW_ROWS), many = curve_seconds(&measured->local, PIECE_MANY_ROWS);
    const double row = (many - few) / (PIECE_MANY_ROWS - PIECE_FEW_ROWS), quarters = 4 * (few - PIECE_FEW_ROWS * row) / row;
    if (!(row > 0) || quarters > QUARTERS_MOST) return QUARTERS_MOST;
    return quarters < 1 ? 1 : (uint32_t)(quarters + 0.5);
}

double reading_rows(const struct speed *measured)
{
    if (!measured || measured->local.n < 2) return NOMINAL_READING;
    const double one = curve_seconds(&measured->local, 1), row = (curve_seconds(&measured->local, FEW_ROWS) - one) / (FEW_ROWS - 1);
    return row > 0 && one > row ? one / row - 1 : 0;
}

const struct hop *speed_way(const struct speed *from, const struct speed *to)
{
    for (uint32_t i = 0; i < from->ways; i++)
        if (from->way[i].to == to->self) return &from->way[i].hop;
    return NULL;
}

double hop_seconds(const struct hop *h, double bytes)
{
    return h->delay + (h->bytes_per_second > 0 ? bytes / h->bytes_per_second : 0);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double nominal_seconds(const struct item_work *w, double rows)
{
    double weights = larger(w->bytes / NOMINAL_BYTES_PER_SECOND, rows * w->macs / NOMINAL_MACS_PER_SECOND);
    double kv = larger(w->kv_bytes / NOMINAL_BYTES_PER_SECOND, w->kv_macs / NOMINAL_MACS_PER_SECOND);
    return weights + rows * kv;
}
