/* coordinator/quality/spread.h — means and how far they may be off, as the field reckons them. Pure.
 *
 * The error of a mean is the standard deviation over sqrt(n - 1), as llama.cpp's tool and lm-evaluation-harness have it. */
#pragma once

#include <stddef.h>

struct estimate {
    double value, error; /* standard error; 0 of fewer than two */
};

struct estimate mean_of(const double *v, size_t n);
/* The covariance of two means. */
double covariance_of(const double *a, const double *b, size_t n);
/* The value below which this part of them lies, between two by a straight line. v is sorted by the call before: sort_values. */
double percentile_of(const double *sorted, size_t n, double part);
void sort_values(double *v, size_t n);

/* Of `hits` out of n: Wilson's interval that holds the true part with 95 %. */
struct interval {
    double low, high;
};
struct interval wilson(size_t hits, size_t n);
