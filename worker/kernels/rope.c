/* worker/kernels/rope.c — the cosines and sines of rotary positions, the same bits on every machine.
 *
 * The angle of pair i at position p is p * base^(-i / h) / factor, h = head_dim / 2. At positions of 100,000 and more a
 * float angle is off by thousandths of a turn and even a double one by 1e-11, enough to round some entries differently
 * from one libm to the next. So the frequencies are kept as sums of two doubles (31 digits), and sine and cosine are
 * our own: only + - * / and fma, which IEEE 754 fixes to the last bit.
 *
 * The frequencies are powers of one number, the h-th root of 1 / base. Newton finds it, so there is no log and no exp.
 * One table of 128 pairs takes a few microseconds, nothing beside a layer. */
#include "worker/kernels/kernels.h"

#include <math.h>

/* A number as hi + lo, |lo| at most half a unit in the last place of hi. */
struct two {
    double hi, lo;
};

static struct two two_sum(double hi, double lo)
{
    double s = hi + lo;
    return (struct two){s, lo - (s - hi)};
}

static struct two two_mul(struct two a, struct two b)
{
    double p = a.hi * b.hi, e = fma(a.hi, b.hi, -p);
    return two_sum(p, e + (a.hi * b.lo + a.lo * b.hi));
}

static double power(double x, uint32_t n)
{
    double y = 1;
    for (; n; n >>= 1, x *= x)
        if (n & 1) y *= x;
    return y;
}

static struct two two_power(struct two x, uint32_t n)
{
    struct two y = {1, 0};
    for (; n; n >>= 1, x = two_mul(x, x))
        if (n & 1) y = two_mul(y, x);
    return y;
}

/* At most 2^-t and above 0.98 of it: the exponent, and three terms of the series for the rest. */
static double below_power(double t)
{
    double whole = floor(t), f = (t - whole) * 0x1.62e42fefa39efp-1;
    return ldexp(1 - f * (1 - f * (0.5 - f / 6)), -(int)whole);
}

/* base^(-1/n). Newton on y^-n = base climbs from below and never overshoots; the last two rounds carry both doubles. */
static struct two root_of_inverse(double base, uint32_t n)
{
    int e;
    double m = frexp(base, &e);
    double log2_above = (e - 1) + (2 * m - 1) + 0.0861; /* the chord of log2 and its largest error */
    struct two y = {below_power(log2_above / n), 0};
    for (int i = 0; i < 24; i++) y.hi += y.hi * ((1 - base * power(y.hi, n)) / n);
    for (int i = 0; i < 2; i++) {
        struct two z = two_mul(two_power(y, n), (struct two){base, 0});
        double error = (1 - z.hi) - z.lo;
        y = two_sum(y.hi, y.lo + y.hi * (error / n));
    }
    return y;
}

/* Taylor, |r| <= pi/4: the first term left out is below 2^-54. */
static double sine(double r)
{
    static const double c[] = {-1 / 6.0,         1 / 120.0,          -1 / 5040.0,         1 / 362880.0,
                               -1 / 39916800.0, 1 / 6227020800.0, -1 / 1307674368000.0};
    double r2 = r * r, p = 0;
    for (int i = 6; i >= 0; i--) p = p * r2 + c[i];
    return p * r2 * r + r;
}

static double cosine(double r)
{
    static const double c[] = {-1 / 2.0,       1 / 24.0,        -1 / 720.0,          1 / 40320.0,
                               -1 / 3628800.0, 1 / 479001600.0, -1 / 87178291200.0, 1 / 20922789888000.0};
    double r2 = r * r, p = 0;
    for (int i = 7; i >= 0; i--) p = p * r2 + c[i];
    return p * r2 + 1;
}

/* Takes the nearest multiple of pi/2 away, itself a sum of two doubles, and turns back by quarters. */
static void cosine_sine(float *c, float *s, struct two angle)
{
    double quarters = rint(angle.hi * 0x1.45f306dc9c883p-1);
    double r = fma(-quarters, 0x1.921fb54442d18p+0, angle.hi);
    r += fma(-quarters, 0x1.1a62633145c07p-54, angle.lo);
    double x = cosine(r), y = sine(r);
    switch ((uint64_t)quarters & 3) {
    case 0: *c = (float)x, *s = (float)y; break;
    case 1: *c = (float)-y, *s = (float)x; break;
    case 2: *c = (float)-x, *s = (float)-y; break;
    case 3: *c = (float)y, *s = (float)-x; break;
    }
}

void rope_table(float *cos, float *sin, uint32_t head_dim, double base, double factor, uint32_t position)
{
    uint32_t h = head_dim / 2;
    struct two ratio = root_of_inverse(base, h);
    double first = 1 / factor;
    struct two frequency = {first, fma(-first, factor, 1) / factor};
    for (uint32_t i = 0; i < h; i++) {
        cosine_sine(cos + i, sin + i, two_mul(frequency, (struct two){position, 0}));
        frequency = two_mul(frequency, ratio);
    }
}
