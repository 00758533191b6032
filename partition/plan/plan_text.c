/* partition/plan/plan_text.c — splits and sizes as people write them on a command line. */
#include "base/checked.h"
#include "partition/plan/plan.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LIST_WORD 40

/* The next word of a list, cut at the comma. False if it is too long to be a number. */
static bool next_word(const char **at, char word[LIST_WORD])
{
    size_t n = strcspn(*at, ",");
    if (n >= LIST_WORD) return false;
    memcpy(word, *at, n);
    word[n] = 0;
    *at += n;
    return true;
}

static bool read_digits(const char **at, uint64_t *out)
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
    return 0;
}

int plan_read_sizes(const char *text, uint64_t *sizes, int *count, struct err *why)
{
    char word[LIST_WORD];
    *count = 0;
    for (const char *at = text; *text; at++) {
        if (*count == MAX_STAGES) return fail(why, E_USAGE, "a list of sizes has more than %d", MAX_STAGES);
        if (!next_word(&at, word)) return fail(why, E_USAGE, "\"%.60s\" is not a list of sizes like 1G,512M,2G", text);
        sizes[*count] = 0;
        if (*word) TRY(read_size(word, &sizes[*count], why));
        (*count)++;
        if (!*at) break;
    }
    return 0;
}

/* "12" or "12+5". */
static int read_cut(const char *word, const char *text, struct cut *cut, bool *plus, struct err *why)
{
    uint64_t layers = 0, parts = 0;
    const char *at = word;
    bool good = read_digits(&at, &layers) && layers <= UINT32_MAX;
    if (good && *at == '+') {
        at++;
        *plus = true;
        good = read_digits(&at, &parts) && parts <= UINT32_MAX;
    }
    if (!good || *at)
        return fail(why, E_USAGE, "\"%s\" in the split \"%.60s\" is not a number of layers, nor one like 12+5 with "
                    "sixteenths of the head", word, text);
    *cut = (struct cut){(uint32_t)layers, (uint32_t)parts};
    return 0;
}

int plan_read_split(const char *text, struct cut *cuts, int *workers, struct err *why)
{
    char word[LIST_WORD];
    bool plus = false;
    uint64_t sum = 0;
    *workers = 0;
    for (const char *at = text;; at++) {
        if (*workers == MAX_STAGES) return fail(why, E_USAGE, "a split has more than %d numbers", MAX_STAGES);
        if (!next_word(&at, word)) return fail(why, E_USAGE, "\"%.60s\" is not a split like 12,11,11", text);
        TRY(read_cut(word, text, &cuts[*workers], &plus, why));
        sum += cuts[(*workers)++].parts;
        if (!*at) break;
    }
    if (!plus) cuts[*workers - 1].parts = sum = HEAD_PARTS;
    if (sum == HEAD_PARTS) return 0;
    return fail(why, E_USAGE, "the split \"%.60s\" places %llu sixteenths of the head, wanted all %d", text,
                (unsigned long long)sum, HEAD_PARTS);
}
