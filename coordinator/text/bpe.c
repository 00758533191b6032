/* coordinator/text/bpe.c — byte-pair encoding of one stretch.
 *
 * A linked list of symbols and a heap of the pairs that could merge, so n characters take n log n steps; a paragraph of
 * Chinese is one stretch. A pair may merge if its text is a learned piece: there is no table of merges. Which goes
 * first, with Gemma 3's vocabulary:
 *
 *   1. runs of spaces, longer left part first, then longer right: from the left they grow to chunks of 31;
 *   2. the lowest id of the result; of equal results the longer left part; of the same merge the leftmost.
 *
 * That is the order of the published list of 514,906 merges. In any other vocabulary the best score goes first, then
 * the leftmost.
 *
 * A pair on the heap is not taken off when one of its symbols merges elsewhere: it is recognised when it comes up. Its
 * symbols can only have grown, so the pair is stale if its left symbol is gone or the two together are no longer as
 * long as the piece.
 *
 * Costs 52 bytes per character while it runs. */
#include "coordinator/text/bpe.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct symbol {
    uint32_t start, bytes; /* in scratch.text; bytes is 0 once it is part of another */
    uint32_t prev, next;   /* NONE at the ends */
    uint32_t id;           /* NO_ID: its text is no piece */
};

struct pair {
    uint64_t order; /* lowest first */
    uint32_t at; /* the left symbol */
    uint32_t id; /* of the result */
};

struct bpe {
    const struct vocabulary *v;
    const char *text;
    struct symbol *symbols;
    struct pair *heap;
    uint32_t n_symbols, n_heap;
};

void bpe_scratch_free(struct bpe_scratch *s)
{
    free(s->text);
    free(s->symbols);
    free(s->heap);
    *s = (struct bpe_scratch){0};
}

/* ---- the heap --------------------------------------------------------------------------------------------------- */

static bool before(struct pair a, struct pair b)
{
    return a.order != b.order ? a.order < b.order : a.at < b.at;
}

static void heap_push(struct bpe *m, struct pair c)
{
    uint32_t i = m->n_heap++;
    for (; i && before(c, m->heap[(i - 1) / 2]); i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = c;
}

static struct pair heap_pop(struct bpe *m)
{
    struct pair best = m->heap[0], last = m->heap[--m->n_heap];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < m->n_heap; i = child) {
        if (child + 1 < m->n_heap && before(m->heap[child + 1], m->heap[child])) child++;
        if (!before(m->heap[child], last)) break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = last;
    return best;
}

/* ---- pairs ------------------------------------------------------------------------------------------------------ */

static uint64_t merge_order(const struct vocabulary *v, uint32_t id, uint32_t left_bytes)
{
    if (!v->is_gemma) return v->rank[id];
    uint32_t bytes = piece_bytes(v, id);
    if (id < GEMMA_LEARNED) { /* a run of spaces; all these come before 1 << 10 << 8 */
        uint32_t left = left_bytes / SPACE_MARK_BYTES, right = (bytes - left_bytes) / SPACE_MARK_BYTES;
        return (GEMMA_LONGEST_RUN - left) * 32 + (GEMMA_LONGEST_RUN - right);
    }
    return ((uint64_t)id + (1 << 10)) << 8 | (bytes - left_bytes);
}

/* The symbol at `at` and the next, if their text together is a piece. */
static void push_pair(struct bpe *m, uint32_t at)
{
    if (at == NONE || m->symbols[at].next == NONE) return;
    const struct symbol *left = &m->symbols[at];
    uint32_t bytes = left->bytes + m->symbols[left->next].bytes;
    if (bytes > PIECE_MOST) return;
    uint32_t id = vocabulary_find(m->v, m->text + left->start, bytes);
    if (id != NO_ID) heap_push(m, (struct pair){merge_order(m->v, id, left->bytes), at, id});
}

static bool is_stale(const struct bpe *m, struct pair c)
{
    const struct symbol *left = &m->symbols[c.at];
    if (!left->bytes || left->next == NONE) return true;
    return left->bytes + m->symbols[left->next].bytes != piece_bytes(m->v, c.id);
}

static void join(struct bpe *m, struct pair c)
{
    struct symbol *left = &m->symbols[c.at], *right = &m->symbols[left->next];
    left->bytes += right->bytes;
    left->id = c.id;
    left->next = right->next;
    right->bytes = 0;
    if (left->next != NONE) m->symbols[left->next].prev = c.at;
    push_pair(m, left->prev);
    push_pair(m, c.at);
}

/* ---- a stretch -------------------------------------------------------------------------------------------------- */

static int reserve(struct bpe_scratch *s, size_t n, struct err *why)
{
    if (n > s->symbols_room) {
        size_t room = n + n / 4 + 64;
        free(s->symbols);
        free(s->heap);
        s->symbols = malloc(room * sizeof *s->symbols);
        s->heap = malloc(2 * room * sizeof *s->heap); /* n - 1 pairs, and each of n - 1 merges adds two for its one */
        s->symbols_room = s->symbols && s->heap ? room : 0;
    }
    if (SPACE_MARK_BYTES * n > s->text_room) {
        size_t room = SPACE_MARK_BYTES * (n + n / 4 + 64);
        free(s->text);
        s->text = malloc(room);
        s->text_room = s->text ? room : 0;
    }
    if (!s->symbols_room || !s->text_room) return fail(why, E_MEMORY, "no memory to encode a stretch of %zu bytes", n);
    return 0;
}

/* Spells out the stretch as characters; a byte that is not UTF-8 is one of its own. */
static void spell_out(struct bpe *m, char *text, const char *raw, size_t n)
{
    uint32_t used = 0, code;
    for (size_t i = 0; i < n;) {
        size_t length = utf8_read(raw + i, n - i, &code);
        size_t step = length ? length : 1;
        struct symbol *s = &m->symbols[m->n_symbols];
        bool space = raw[i] == ' ';
        memcpy(text + used, space ? SPACE_MARK : raw + i, space ? SPACE_MARK_BYTES : step);
        *s = (struct symbol){.start = used, .bytes = space ? SPACE_MARK_BYTES : (uint32_t)step};
        s->id = length ? vocabulary_find(m->v, text + used, s->bytes) : NO_ID;
        s->prev = m->n_symbols ? m->n_symbols - 1 : NONE;
        s->next = m->n_symbols + 1;
        used += s->bytes;
        m->n_symbols++;
        i += step;
    }
    if (m->n_symbols) m->symbols[m->n_symbols - 1].next = NONE;
}

/* A symbol that is no piece goes as its bytes; if the vocabulary lacks one of them, as one "unknown". A space that is
 * no piece goes as the byte it was, not as those of its spelling, or it would come back as U+2581. */
static int push_symbol(const struct bpe *m, const struct symbol *s, struct ids *out, struct err *why)
{
    const char *text = m->text + s->start;
    uint32_t n = s->bytes;
    if (s->id != NO_ID) return ids_push(out, s->id, why);
    if (n == SPACE_MARK_BYTES && !memcmp(text, SPACE_MARK, SPACE_MARK_BYTES)) text = " ", n = 1;
    for (uint32_t i = 0; i < n; i++)
        if (m->v->byte_id[(uint8_t)text[i]] == NO_ID) return ids_push(out, (uint32_t)m->v->specials.unknown, why);
    for (uint32_t i = 0; i < n; i++) TRY(ids_push(out, m->v->byte_id[(uint8_t)text[i]], why));
    return 0;
}

int bpe_encode(const struct vocabulary *v, struct bpe_scratch *s, const char *text, size_t n, struct ids *out,
                  struct err *why)
{
    if (!n) return 0;
    TRY(reserve(s, n, why));
    struct bpe m = {.v = v, .text = s->text, .symbols = s->symbols, .heap = s->heap};
    spell_out(&m, s->text, text, n);
    for (uint32_t i = 0; i < m.n_symbols; i++) push_pair(&m, i);
    while (m.n_heap) {
        struct pair best = heap_pop(&m);
        if (!is_stale(&m, best)) join(&m, best);
    }
    for (uint32_t i = 0; i != NONE; i = m.symbols[i].next) TRY(push_symbol(&m, &m.symbols[i], out, why));
    return 0;
}
