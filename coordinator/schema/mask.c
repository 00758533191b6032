/* coordinator/schema/mask.c — see mask.h. */
#define _GNU_SOURCE /* qsort_r */
#include "coordinator/schema/mask.h"

#include "base/utf8_read.h"

#include <stdlib.h>
#include <string.h>

#define WORD_MOST 64 /* bytes of a word that may be said; longer ones are not */

struct sorted {
    uint32_t *id;     /* [n] by their bytes */
    uint8_t *shared;  /* [n] bytes that each has in common with the one before */
    uint32_t n;
};

struct word_list {
    uint32_t words;
    int32_t ends[2];
    uint32_t *at;      /* [words + 1] where the bytes of each begin */
    uint8_t *bytes;
    uint8_t *plain;    /* a mask: words of whole characters without quotes, backslashes and control characters */
    uint8_t *points;   /* [words] code points of these */
    struct sorted all, rest; /* rest: those that are not plain */
};

static void set(uint8_t *mask, uint32_t id)
{
    mask[id / 8] |= (uint8_t)(1u << id % 8);
}

static size_t mask_bytes(uint32_t words)
{
    return ((size_t)words + 31) / 32 * 4;
}

/* ---- opening ---- */

static int by_bytes(const void *a, const void *b, void *list)
{
    size_t n, m;
    const uint8_t *x = word_bytes(list, *(const uint32_t *)a, &n), *y = word_bytes(list, *(const uint32_t *)b, &m);
    const int order = memcmp(x, y, n < m ? n : m);
    return order ? order : n < m ? -1 : n > m;
}

static int sort_words(struct sorted *s, struct word_list *w, bool rest, struct err *why)
{
    s->id = malloc(w->words * sizeof *s->id);
    s->shared = malloc(w->words);
    if (!s->id || !s->shared) return fail(why, E_MEMORY, "no memory for a list of %u words", w->words);
    for (uint32_t i = 0; i < w->words; i++) {
        const bool is_plain = w->plain[i / 8] >> i % 8 & 1;
        if (w->at[i + 1] > w->at[i] && !(rest && is_plain)) s->id[s->n++] = i;
    }
    qsort_r(s->id, s->n, sizeof *s->id, by_bytes, w);
    for (uint32_t i = 0; i < s->n; i++) {
        size_t n, m = 0, k = 0;
        const uint8_t *x = word_bytes(w, s->id[i], &n), *y = i ? word_bytes(w, s->id[i - 1], &m) : NULL;
        while (k < n && k < m && x[k] == y[k]) k++;
        s->shared[i] = (uint8_t)k;
    }
    return 0;
}

/* Whole characters, none of which means something between quotes: how many; 0: not so. */
static uint8_t plain_points(const char *text, size_t n)
{
    uint8_t points = 0;
    if (!utf8_valid(text, n)) return 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t b = (uint8_t)text[i];
        if (b < 0x20 || b == '"' || b == '\\') return 0;
        points += (b & 0xc0) != 0x80;
    }
    return points;
}

static int read_words(struct word_list *w, const struct tokenizer *t, struct err *why)
{
    size_t room = 0, n = 0;
    for (uint32_t i = 0; i < w->words; i++) {
        char piece[PIECE_MOST];
        size_t length = tokenizer_piece(t, i, false, piece, sizeof piece);
        if (length > WORD_MOST || (int32_t)i == w->ends[0] || (int32_t)i == w->ends[1]) length = 0;
        if (n + length > room) {
            room = 2 * (n + length) + 4096;
            uint8_t *grown = realloc(w->bytes, room);
            if (!grown) return fail(why, E_MEMORY, "no memory for the words");
            w->bytes = grown;
        }
        if (length) memcpy(w->bytes + n, piece, length);
        w->at[i] = (uint32_t)n;
        w->points[i] = plain_points(piece, length);
        if (w->points[i]) set(w->plain, i);
        n += length;
        w->at[i + 1] = (uint32_t)n;
    }
    return 0;
}

int word_list_open(struct word_list **out, const struct tokenizer *t, uint32_t words, const int32_t ends[2], struct err *why)
{
    struct word_list *w = *out = calloc(1, sizeof *w);
    if (!w) return fail(why, E_MEMORY, "no memory for the words");
    w->words = words;
    w->ends[0] = ends[0], w->ends[1] = ends[1];
    w->at = malloc(((size_t)words + 1) * sizeof *w->at);
    w->plain = calloc(1, mask_bytes(words));
    w->points = malloc(words);
    int code = w->at && w->plain && w->points ? read_words(w, t, why) : fail(why, E_MEMORY, "no memory for %u words", words);
    if (!code) code = sort_words(&w->all, w, false, why);
    if (!code) code = sort_words(&w->rest, w, true, why);
    if (code) word_list_close(out);
    return code;
}

void word_list_close(struct word_list **pw)
{
    struct word_list *w = *pw;
    *pw = NULL;
    if (!w) return;
    free(w->at), free(w->bytes), free(w->plain), free(w->points);
    free(w->all.id), free(w->all.shared), free(w->rest.id), free(w->rest.shared);
    free(w);
}

const uint8_t *word_bytes(const struct word_list *w, uint32_t id, size_t *n)
{
    *n = w->at[id + 1] - w->at[id];
    return w->bytes + w->at[id];
}

/* ---- a mask ---- */

/* Where the words of one beginning have come to: level d is after d bytes. */
struct trail {
    struct automaton level[WORD_MOST + 1];
};

/* The words of the list that may follow one stack. Words that share a beginning share the steps of it. */
static void try_words(const struct word_list *w, const struct sorted *s, const struct schema *schema, const struct stack *k, struct trail *t,
                      uint8_t *mask)
{
    size_t good = 0; /* bytes of the word before that were possible */
    t->level[0] = (struct automaton){.schema = schema, .n = 1};
    stack_copy(&t->level[0].stack[0], k);
    for (uint32_t i = 0; i < s->n; i++) {
        size_t n;
        const uint8_t *bytes = word_bytes(w, s->id[i], &n);
        if (i && s->shared[i] > good) continue; /* begins as one that failed */
        good = i ? s->shared[i] : 0;
        while (good < n) {
            const struct automaton *from = &t->level[good];
            struct automaton *to = &t->level[good + 1];
            to->schema = schema;
            to->n = 0;
            for (uint32_t j = 0; j < from->n; j++)
                to->n += stack_step(schema, &from->stack[j], bytes[good], to->stack + to->n, STACKS_MOST - to->n);
            if (!to->n) break;
            good++;
        }
        if (good == n) set(mask, s->id[i]);
    }
}

static void add_plain(const struct word_list *w, uint32_t room, uint8_t *mask)
{
    if (room >= WORD_MOST) {
        for (size_t i = 0; i < mask_bytes(w->words); i++) mask[i] |= w->plain[i];
        return;
    }
    for (uint32_t i = 0; i < w->words; i++)
        if (w->points[i] && w->points[i] <= room) set(mask, i);
}

bool word_list_mask(const struct word_list *w, const struct automaton *a, uint8_t *mask)
{
    struct trail *t = malloc(sizeof *t);
    bool any = false;
    memset(mask, 0, mask_bytes(w->words));
    for (uint32_t i = 0; i < a->n && t; i++) {
        const uint32_t room = stack_plain_room(a->schema, &a->stack[i]);
        if (room) add_plain(w, room, mask);
        try_words(w, room ? &w->rest : &w->all, a->schema, &a->stack[i], t, mask);
    }
    free(t);
    for (int i = 0; i < 2 && automaton_may_end(a); i++)
        if (w->ends[i] >= 0 && (uint32_t)w->ends[i] < w->words) set(mask, (uint32_t)w->ends[i]);
    for (size_t i = 0; i < mask_bytes(w->words) && !any; i++) any = mask[i];
    return any;
}
