/* coordinator/quality/spread.c — see spread.h. Sums go in the order of the values, so the same values give the same bits. */
#include "coordinator/quality/spread.h"

#include <math.h>
#include <stdlib.h>

static double plain_mean(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return n ? sum / (double)n : 0;
}

double covariance_of(const double *a, const double *b, size_t n)
{
    const double mean_a = plain_mean(a, n), mean_b = plain_mean(b, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (a[i] - mean_a) * (b[i] - mean_b);
    return n > 1 ? sum / (double)n / (double)(n - 1) : 0;
}

struct estimate mean_of(const double *v, size_t n)
{
    return (struct estimate){plain_mean(v, n), sqrt(covariance_of(v, v, n))};
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_values(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
}

double percentile_of(const double *sorted, size_t n, double part)
{
    const double at = part * (double)(n - 1);
    const size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

struct interval wilson(size_t hits, size_t n)
{
    const double z = 1.959963984540054, all = (double)n, p = n ? (double)hits / all : 0, zz = z * z;
    if (!n) return (struct interval){0, 1};
    const double middle = (p + zz / (2 * all)) / (1 + zz / all);
    const double half = z / (1 + zz / all) * sqrt(p * (1 - p) / all + zz / (4 * all * all));
    return (struct interval){fmax(middle - half, 0), fmin(middle + half, 1)};
}
