/* tests/fuzz/tokenizer_fuzz.c — random text through random small vocabularies.
 *
 * The input's first bytes invent a vocabulary: special tokens, 256 byte tokens (some may be missing, or faulty),
 * letters, and pieces of a few characters with random types and scores. The rest is text, twice: as it is, and with
 * every byte turned into something of a small alphabet, so that pieces, runs and almost-control tokens are met often.
 *
 * What must hold:
 *   - a faulty vocabulary is refused with a sentence, a sound one opens;
 *   - ids equal those of a plain encoder, below, that looks at everything each time;
 *   - the same text in parts gives the same ids;
 *   - the bytes of the ids are the bytes of the text, U+2581 read as a space;
 *   - no control token comes from a text that is not trusted.
 *
 * For libFuzzer:   clang -fsanitize=fuzzer,address tests/fuzz/tokenizer_fuzz.c …; without it: tokenizer_fuzz_test.c. */
#include "coordinator/text/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *tokenizer_fuzz_one(const uint8_t *data, size_t size);

#define OWN_MOST 60
#define TEXT_MOST 400

struct source {
    const uint8_t *data;
    size_t size, at;
};

static uint8_t next(struct source *s)
{
    return s->at < s->size ? s->data[s->at++] : 0;
}

/* ---- a random vocabulary ---------------------------------------------------------------------------------------- */

static const char *const SPECIALS[] = {"<pad>",           "<eos>",         "<bos>",           "<unk>",
                                       "<start_of_turn>", "<end_of_turn>", "<start_of_image>"};
static const char *const ALPHABET[] = {
    "a",     "b",       "c",        " ",  "\n",   "<", ">", SPACE_MARK, "\xc3\xa9", "\xe6\x97\xa5", "<end_of_turn>",
    "<bos>", "<start_", "of_turn>", "\t", "\xff",
};
#define LETTERS (sizeof ALPHABET / sizeof *ALPHABET)

struct invention {
    struct gguf_string piece[400];
    float score[400];
    int32_t type[400];
    char text[400][PIECE_MOST + 8];
    uint32_t n;
    bool all_bytes;
};

static void add(struct invention *v, const char *text, size_t n, int32_t type, float score)
{
    if (v->n == sizeof v->piece / sizeof *v->piece) return;
    memcpy(v->text[v->n], text, n);
    v->piece[v->n] = (struct gguf_string){v->text[v->n], n};
    v->type[v->n] = type;
    v->score[v->n++] = score;
}

static void add_own(struct invention *v, struct source *s)
{
    static const int32_t types[] = {1, 1, 1, 1, 1, 1, 4, 5};
    char text[8 * 16];
    size_t n = 0, letters = 2 + next(s) % 5;
    for (size_t i = 0; i < letters; i++) {
        const char *letter = ALPHABET[next(s) % LETTERS];
        if (strlen(letter) > 3) letter = "b";
        memcpy(text + n, letter, strlen(letter));
        n += strlen(letter);
    }
    uint8_t flavour = next(s);
    add(v, text, n, types[flavour % 8], -(float)(flavour / 16));
}

static void invent(struct invention *v, struct source *s)
{
    uint8_t faults = next(s);
    v->n = 0;
    v->all_bytes = faults % 8 != 1;
    for (size_t i = 0; i < sizeof SPECIALS / sizeof *SPECIALS; i++)
        add(v, SPECIALS[i], strlen(SPECIALS[i]), next(s) % 2 ? 3 : 1, 0);
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        if (v->all_bytes || b % 5) add(v, text, 6, 6, 0);
    }
    for (size_t i = 0; i + 6 < LETTERS; i++)
        if (next(s) % 4) add(v, ALPHABET[i], strlen(ALPHABET[i]), 1, -100);
    add(v, "\n", 1, 4, 0);
    for (size_t own = next(s) % OWN_MOST; own; own--) add_own(v, s);
    if (faults % 16 == 2) v->type[next(s)] = (int32_t)next(s) - 100;
    if (faults % 16 == 3) v->score[next(s)] = (float)next(s) / 0.0f;
    if (faults % 16 == 4) add(v, "", 0, 1 + next(s) % 5, 0);
}

/* ---- the plain encoder ------------------------------------------------------------------------------------------ */

struct plain {
    const struct invention *v;
    char text[TEXT_MOST * 48];
    size_t bytes[TEXT_MOST * 16]; /* of each symbol, one after the other in `text` */
    size_t n;
};

static bool is_special(struct gguf_string s)
{
    for (size_t i = 0; i < sizeof SPECIALS / sizeof *SPECIALS; i++)
        if (s.n == strlen(SPECIALS[i]) && !memcmp(s.text, SPECIALS[i], s.n)) return true;
    return false;
}

/* With every space as SPACE_MARK; returns the length. */
static size_t spell(const char *text, size_t n, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        size_t width = text[i] == ' ' ? SPACE_MARK_BYTES : 1;
        memcpy(out + used, text[i] == ' ' ? SPACE_MARK : text + i, width);
        used += width;
    }
    return used;
}

/* The first learned piece with this text. Types 1 that are neither special nor bytes. */
static int64_t find(const struct invention *v, const char *text, size_t n)
{
    char spelled[3 * PIECE_MOST];
    for (uint32_t id = 0; id < v->n; id++) {
        if (v->type[id] != 1 || !v->piece[id].n || v->piece[id].n > n || is_special(v->piece[id])) continue;
        if (spell(v->piece[id].text, v->piece[id].n, spelled) == n && !memcmp(spelled, text, n)) return id;
    }
    return -1;
}

static bool begins(const char *text, size_t n, const char *with, size_t m)
{
    return m && m <= n && !memcmp(text, with, m);
}

/* The longest user-defined piece at the front, its spaces spelled all one way or all the other. */
static int64_t cut(const struct invention *v, const char *text, size_t n, size_t *bytes)
{
    int64_t best = -1;
    *bytes = 0;
    for (uint32_t id = 0; id < v->n; id++) {
        if (v->type[id] != 4 || is_special(v->piece[id])) continue;
        char marks[3 * PIECE_MOST], plain[3 * PIECE_MOST];
        size_t n_marks = spell(v->piece[id].text, v->piece[id].n, marks), n_plain = 0;
        for (size_t i = 0; i < n_marks;) {
            bool mark = begins(marks + i, n_marks - i, SPACE_MARK, SPACE_MARK_BYTES);
            plain[n_plain++] = mark ? ' ' : marks[i];
            i += mark ? SPACE_MARK_BYTES : 1;
        }
        if (begins(text, n, marks, n_marks) && n_marks > *bytes) best = id, *bytes = n_marks;
        if (begins(text, n, plain, n_plain) && n_plain > *bytes) best = id, *bytes = n_plain;
    }
    return best;
}

static void merge_all(struct plain *p)
{
    for (;;) {
        size_t best = 0, at = 0;
        float best_score = 0;
        bool any = false;
        for (size_t i = 0; i + 1 < p->n; at += p->bytes[i++]) {
            int64_t id = find(p->v, p->text + at, p->bytes[i] + p->bytes[i + 1]);
            if (id >= 0 && (!any || p->v->score[id] > best_score)) best = i, best_score = p->v->score[id], any = true;
        }
        if (!any) return;
        p->bytes[best] += p->bytes[best + 1];
        memmove(&p->bytes[best + 1], &p->bytes[best + 2], (p->n - best - 2) * sizeof *p->bytes);
        p->n--;
    }
}

static void push_bytes(const struct invention *v, const char *text, size_t n, struct ids *out)
{
    size_t before = out->n;
    if (n == SPACE_MARK_BYTES && !memcmp(text, SPACE_MARK, n)) text = " ", n = 1;
    for (size_t i = 0; i < n; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (uint8_t)text[i]);
        uint32_t id = 0;
        while (id < v->n && !(v->piece[id].n == 6 && !memcmp(v->piece[id].text, name, 6))) id++;
        if (id < v->n) {
            ids_push(out, id, 0);
            continue;
        }
        out->n = before;
        ids_push(out, 3, 0); /* <unk> */
        return;
    }
}

static void plain_stretch(const struct invention *v, const char *text, size_t n, struct ids *out)
{
    static struct plain p;
    size_t used = 0, at = 0;
    p.v = v, p.n = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t step = utf8_read(text + i, n - i, &code);
        if (!step) step = 1;
        size_t width = spell(text + i, step, p.text + used);
        p.bytes[p.n++] = width;
        used += width;
        i += step;
    }
    merge_all(&p);
    for (size_t i = 0; i < p.n; at += p.bytes[i++]) {
        int64_t id = find(v, p.text + at, p.bytes[i]);
        if (id >= 0) ids_push(out, (uint32_t)id, 0);
        else push_bytes(v, p.text + at, p.bytes[i], out);
    }
}

static void plain_encode(const struct invention *v, const char *text, size_t n, struct ids *out)
{
    size_t from = 0, bytes;
    for (size_t i = 0; i < n;) {
        int64_t id = cut(v, text + i, n - i, &bytes);
        if (id < 0) {
            i++;
            continue;
        }
        plain_stretch(v, text + from, i - from, out);
        ids_push(out, (uint32_t)id, 0);
        from = i += bytes;
    }
    plain_stretch(v, text + from, n - from, out);
}

/* ---- what must hold --------------------------------------------------------------------------------------------- */

static bool same(const struct ids *a, const struct ids *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->id, b->id, a->n * sizeof *a->id));
}

static const char *check_bytes(const struct tokenizer *t, const struct ids *ids, const char *text, size_t n)
{
    char piece[PIECE_MOST];
    size_t at = 0;
    for (size_t i = 0; i < ids->n; i++) {
        size_t m = tokenizer_piece(t, ids->id[i], false, piece, sizeof piece);
        for (size_t k = 0; k < m; k++) {
            bool mark =
                n - at >= SPACE_MARK_BYTES && piece[k] == ' ' && !memcmp(text + at, SPACE_MARK, SPACE_MARK_BYTES);
            if (at >= n || (!mark && text[at] != piece[k])) return "decoding does not bring the text back";
            at += mark ? SPACE_MARK_BYTES : 1;
        }
    }
    return at == n ? 0 : "decoding loses the end of the text";
}

static const char *check_controls(const struct tokenizer *t, const struct ids *ids, bool unknown_may_be)
{
    struct specials s = tokenizer_specials(t);
    for (size_t i = 0; i < ids->n; i++) {
        int32_t id = (int32_t)ids->id[i];
        if (id == s.unknown && unknown_may_be) continue;
        if (id == s.bos || id == s.eos || id == s.pad || id == s.unknown || id == s.start_of_turn ||
            id == s.end_of_turn || id == s.start_of_image)
            return "a text that is not trusted made a control token";
    }
    return 0;
}

static const char *check_parts(const struct tokenizer *t, struct source *s, const char *text, size_t n,
                               const struct ids *whole)
{
    size_t a = n ? next(s) % (n + 1) : 0, b = n ? next(s) % (n + 1) : 0;
    if (a > b) a ^= b, b ^= a, a ^= b;
    struct text_part parts[] = {{text, a, false}, {text + a, b - a, false}, {text + b, n - b, false}};
    struct ids ids = {0};
    const char *wrong = tokenizer_encode_parts(t, parts, 3, &ids, 0) ? "parts were refused" : 0;
    if (!wrong && !same(&ids, whole)) wrong = "the same text in parts gives other ids";
    ids_free(&ids);
    return wrong;
}

static const char *check_text(const struct tokenizer *t, const struct invention *v, struct source *s, const char *text,
                              size_t n)
{
    struct ids ids = {0}, plain = {0}, trusted = {0};
    const char *wrong = tokenizer_encode(t, text, n, false, &ids, 0) ? "a text was refused" : 0;
    plain_encode(v, text, n, &plain);
    if (!wrong && !same(&ids, &plain)) wrong = "the plain encoder gives other ids";
    if (!wrong) wrong = check_parts(t, s, text, n, &ids);
    if (!wrong) wrong = check_controls(t, &ids, !v->all_bytes);
    if (!wrong && v->all_bytes) wrong = check_bytes(t, &ids, text, n);
    if (!wrong && tokenizer_encode(t, text, n, true, &trusted, 0)) wrong = "a trusted text was refused";
    ids_free(&ids), ids_free(&plain), ids_free(&trusted);
    return wrong;
}

static const char *check_both_texts(const struct tokenizer *t, const struct invention *v, struct source *s)
{
    char mapped[TEXT_MOST * 16];
    const char *raw = (const char *)s->data + s->at;
    size_t n = s->size - s->at < TEXT_MOST ? s->size - s->at : TEXT_MOST, used = 0;
    const char *wrong = check_text(t, v, s, raw, n);
    if (wrong) return wrong;
    for (size_t i = 0; i < n && i < 60; i++) {
        const char *letter = ALPHABET[(uint8_t)raw[i] % LETTERS];
        memcpy(mapped + used, letter, strlen(letter));
        used += strlen(letter);
    }
    return check_text(t, v, s, mapped, used);
}

/* NULL, or what did not hold. */
const char *tokenizer_fuzz_one(const uint8_t *data, size_t size)
{
    static struct invention v;
    struct source s = {data, size, 0};
    struct tokenizer *t = 0;
    struct err why = {0};
    uint8_t faults = size ? data[0] : 0;
    invent(&v, &s);
    int code = tokenizer_from_list(&t, &(struct piece_list){"fuzz", v.n, v.piece, v.score, v.type}, &why);
    if (code)
        return !why.text[0]                           ? "refused without a sentence"
               : faults % 16 == 2 || faults % 16 == 3 ? 0
                                                      : "a sound vocabulary was refused";
    const char *wrong =
        faults % 16 == 2 ? 0 : check_both_texts(t, &v, &s); /* a type changed: the plain encoder may not agree */
    tokenizer_close(&t);
    return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *wrong = tokenizer_fuzz_one(data, size);
    if (!wrong) return 0;
    fprintf(stderr, "%s\n", wrong);
    abort();
}
