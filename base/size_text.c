/* base/size_text.c — see size_text.h. */
#include "base/size_text.h"

#include "base/checked.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

char *show_bytes(char out[24], uint64_t bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 4) {
        v /= 1024;
        u++;
    }
    snprintf(out, 24, u ? "%.2f %s" : "%.0f %s", v, unit[u]);
    return out;
}

bool read_digits(const char **at, uint64_t *out)
{
    const char *start = *at;
    *out = 0;
    for (; isdigit((unsigned char)**at); (*at)++)
        if (!mul_ok(*out, 10, out) || !add_ok(*out, (uint64_t)(**at - '0'), out)) return false;
    return *at > start;
}

/* ".25" of a unit, to six digits; the rest is below what a size can mean. */
static uint64_t read_fraction(const char **at, uint64_t unit)
{
    uint64_t digits = 0, scale = 1;
    for ((*at)++; isdigit((unsigned char)**at); (*at)++)
        if (scale < 1000000) digits = digits * 10 + (uint64_t)(**at - '0'), scale *= 10;
    return (uint64_t)((double)unit * (double)digits / (double)scale);
}

/* "" B KB KiB K …: the power of 1024, -1 for anything else. */
static int unit_power(const char *unit)
{
    if (!*unit || !strcasecmp(unit, "b")) return 0;
    const char *known = "kmgt", *found = strchr(known, tolower((unsigned char)*unit));
    if (!found || (unit[1] && strcasecmp(unit + 1, "b") && strcasecmp(unit + 1, "ib"))) return -1;
    return (int)(found - known) + 1;
}

int read_size(const char *text, uint64_t *bytes, struct err *why)
{
    const char *at = text, *unit = text + strspn(text, "0123456789.");
    int power = unit_power(unit);
    uint64_t whole, scaled, part = 0;
    if (power < 0 || !read_digits(&at, &whole))
        return fail(why, E_USAGE,
                    "\"%.40s\" is not a size; wanted something like 2G, 1.5GiB, 512M or a number of bytes", text);
    uint64_t one = 1ull << (10 * power);
    if (*at == '.' && isdigit((unsigned char)at[1]) && power) part = read_fraction(&at, one);
    if (at != unit)
        return fail(why, E_USAGE,
                    "\"%.40s\" is not a size; wanted something like 2G, 1.5GiB, 512M or a number of bytes", text);
    if (!mul_ok(whole, one, &scaled) || !add_ok(scaled, part, bytes) || *bytes > 1ull << 60)
        return fail(why, E_USAGE, "\"%.40s\" is more memory than there is", text);
    if (!*bytes) return fail(why, E_USAGE, "\"%.40s\" is a size of nothing; wanted something like 2G or 512M", text);
    return 0;
}
