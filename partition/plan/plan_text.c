/* partition/plan/plan_text.c — splits and sizes as people write them on a command line. */
#include "partition/plan/plan_text.h"

#include "base/checked.h"

#include <ctype.h>
#include <stdlib.h>
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

/* Words of a list; 0 if there are too many. */
static int words_of(const char *text, const char *what, struct err *why)
{
    int n = 1;
    for (const char *c = text; *c; c++)
        if (*c == ',' && n++ == WORKERS_MOST) return fail(why, E_USAGE, "a list of %s has more than %d", what, WORKERS_MOST), 0;
    return n;
}

static int read_sizes(const char *text, uint64_t *sizes, struct err *why)
{
    char word[LIST_WORD];
    for (const char *at = text;; at++) {
        if (!next_word(&at, word)) return fail(why, E_USAGE, "\"%.60s\" is not a list of sizes like 1G,512M,2G", text);
        if (*word) TRY(read_size(word, sizes, why));
        sizes++;
        if (!*at) return 0;
    }
}

int plan_read_sizes(const char *text, uint64_t **sizes, int *count, struct err *why)
{
    *sizes = NULL;
    *count = 0;
    if (!*text) return 0;
    const int n = words_of(text, "sizes", why);
    if (!n) return E_USAGE;
    *sizes = calloc((size_t)n, sizeof **sizes);
    if (!*sizes) return fail(why, E_MEMORY, "no memory for %d sizes", n);
    *count = n;
    const int code = read_sizes(text, *sizes, why);
    if (code) free(*sizes), *sizes = NULL;
    return code;
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

static int read_cuts(const char *text, struct cut *cuts, int n, struct err *why)
{
    char word[LIST_WORD];
    bool plus = false;
    uint64_t sum = 0;
    const char *at = text;
    for (int i = 0; i < n; i++, at++) {
        if (!next_word(&at, word)) return fail(why, E_USAGE, "\"%.60s\" is not a split like 12,11,11", text);
        TRY(read_cut(word, text, &cuts[i], &plus, why));
        sum += cuts[i].parts;
    }
    if (!plus) cuts[n - 1].parts = sum = HEAD_PARTS;
    if (sum == HEAD_PARTS) return 0;
    return fail(why, E_USAGE, "the split \"%.60s\" places %llu sixteenths of the head, wanted all %d", text,
                (unsigned long long)sum, HEAD_PARTS);
}

int plan_read_split(const char *text, struct cut **cuts, int *workers, struct err *why)
{
    *cuts = NULL;
    *workers = 0;
    const int n = words_of(text, "layers", why);
    if (!n) return E_USAGE;
    *cuts = calloc((size_t)n, sizeof **cuts);
    if (!*cuts) return fail(why, E_MEMORY, "no memory for a split over %d workers", n);
    *workers = n;
    const int code = read_cuts(text, *cuts, n, why);
    if (code) free(*cuts), *cuts = NULL;
    return code;
}

/* ---- the encoder ---- */

static int fail_sight(const char *text, struct err *why)
{
    return fail(why, E_USAGE, "\"%.60s\" is no split of the encoder: wanted layers of each worker as 9,9,9, or all,0,all, or the word copies, "
                "or layers", text);
}

/* "9" or "all". */
static int read_sight(const char *word, const char *text, uint32_t *layers, struct err *why)
{
    const char *at = word;
    uint64_t n = 0;
    *layers = WHOLE_ENCODER;
    if (!strcmp(word, "all")) return 0;
    if (!read_digits(&at, &n) || *at || n >= WHOLE_ENCODER) return fail_sight(text, why);
    *layers = (uint32_t)n;
    return 0;
}

static int read_sights(const char *text, uint32_t *layers, int n, struct err *why)
{
    char word[LIST_WORD];
    const char *at = text;
    for (int i = 0; i < n; i++, at++) {
        if (!next_word(&at, word)) return fail_sight(text, why);
        TRY(read_sight(word, text, &layers[i], why));
    }
    return 0;
}

int vision_wish_read(struct vision_wish *out, const char *text, struct err *why)
{
    *out = (struct vision_wish){.how = VISION_CHOOSE};
    if (!text) return 0;
    if (!strcmp(text, "layers") || !strcmp(text, "copies")) {
        out->how = *text == 'l' ? VISION_LAYERS : VISION_COPIES;
        return 0;
    }
    const int n = words_of(text, "layers of the encoder", why);
    if (!n) return E_USAGE;
    *out = (struct vision_wish){.how = VISION_BY_HAND, .workers = n, .layers = calloc((size_t)n, sizeof *out->layers)};
    if (!out->layers) return fail(why, E_MEMORY, "no memory for a split over %d workers", n);
    const int code = read_sights(text, out->layers, n, why);
    if (code) free(out->layers), out->layers = NULL;
    return code;
}
