/* partition/plan/plan_text.c — splits and sizes as people write them on a command line. */
#include "partition/plan/plan_text.h"

#include "base/size_text.h"

#include <stdlib.h>
#include <string.h>

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
    return fail(why, E_USAGE,
                "\"%.60s\" is no split of the encoder: wanted layers of each worker as 9,9,9, or all,0,all, or the word copies, "
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
