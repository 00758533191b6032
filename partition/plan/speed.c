/* partition/plan/speed.c — see speed.h. */
#include "partition/plan/speed.h"

double curve_seconds(const struct curve *c, double rows)
{
    uint32_t i = 1;
    if (c->n < 2 || rows <= c->rows[0]) return c->seconds[0];
    while (i + 1 < c->n && rows > c->rows[i]) i++;
    const double slope = (c->seconds[i] - c->seconds[i - 1]) / (c->rows[i] - c->rows[i - 1]);
    return c->seconds[i - 1] + slope * (rows - c->rows[i - 1]);
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
