/* coordinator/text/tokenizer.c — a text cut into stretches, the stretches into ids; and ids back into text.
 *
 *   "Hi  there\n\n<td>x"   ->   [Hi] [··there] \n\n <td> [x]        [ ] bpe.c; the others are ids as they are
 *
 * First texts that are ids of their own are cut out, the longest at each place. What lies between is merged, and here a
 * stretch ends before every space too, unless the space follows one or some learned piece goes across such a place (in
 * Gemma 3's vocabulary only one does, ">▁</"). No merge could cross the cut, so no id changes, and the heap of bpe.c
 * stays as small as a word: English is twice as fast as in one stretch (11.8 against 5.8 MB/s).
 *
 * Which bytes are trusted is a property of the bytes, not of calls: the parts of a prompt are encoded as one text, as
 * the published tokenizer does, and only the matching of control tokens looks at where it is. */
#include "coordinator/text/tokenizer.h"

#include "base/checked.h"
#include "coordinator/text/bpe.h"
#include "coordinator/text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer {
    struct vocabulary vocabulary;
};

/* ---- open and close --------------------------------------------------------------------------------------------- */

int tokenizer_from_list(struct tokenizer **out, const struct piece_list *list, struct err *why)
{
    *out = NULL;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) return fail(why, E_MEMORY, "no memory for the tokenizer");
    int code = vocabulary_build(&t->vocabulary, list, why);
    if (code) {
        free(t);
        return code;
    }
    *out = t;
    return 0;
}

void tokenizer_close(struct tokenizer **t)
{
    if (!*t) return;
    vocabulary_free(&(*t)->vocabulary);
    free(*t);
    *t = NULL;
}

/* A list of `n` elements of four bytes, or NULL if the file has none. */
static int read_numbers(const struct gguf *g, const char *key, uint32_t type, uint32_t n, void **out, struct err *why)
{
    struct gguf_array a;
    *out = NULL;
    if (!gguf_has(g, key)) return 0;
    TRY(gguf_list(g, key, &a, why));
    bool fits = a.type == type || (type == GGUF_I32 && a.type == GGUF_U32);
    if (!fits || a.count != n)
        return fail(why, E_FILE, "%s: %s holds %llu values of type %u, not %u of type %u", gguf_path(g, 0), key,
                    (unsigned long long)a.count, a.type, n, type);
    *out = malloc(n * sizeof(uint32_t));
    if (!*out) return fail(why, E_MEMORY, "no memory for the vocabulary");
    memcpy(*out, a.data, n * sizeof(uint32_t)); /* little-endian, as we are */
    return 0;
}

static int read_pieces(const struct gguf *g, uint32_t vocab, struct gguf_string **out, struct err *why)
{
    struct gguf_array a;
    TRY(gguf_list(g, "tokenizer.ggml.tokens", &a, why));
    if (a.type != GGUF_STRING || a.count != vocab || !vocab)
        return fail(why, E_FILE,
                    "%s: tokenizer.ggml.tokens holds %llu values of type %u, but the embedding table has %u rows",
                    gguf_path(g, 0), (unsigned long long)a.count, a.type, vocab);
    *out = malloc(vocab * sizeof **out);
    if (!*out) return fail(why, E_MEMORY, "no memory for the vocabulary");
    const uint8_t *cursor = a.data;
    for (uint32_t id = 0; id < vocab; id++) (*out)[id] = gguf_next_string(&cursor);
    return 0;
}

/* "gpt2" is what some converters write for Gemma 3's vocabulary; of any other it would mean different rules. */
static int check_model(const struct gguf *g, bool is_gemma, struct err *why)
{
    struct gguf_string model;
    TRY(gguf_text(g, "tokenizer.ggml.model", &model, why));
    bool llama = gguf_text_is(model, "llama"), gpt2 = gguf_text_is(model, "gpt2");
    if (llama || (gpt2 && is_gemma)) return 0;
    return fail(why, E_FILE, "%s: the tokenizer is of kind \"%.*s\"; only \"llama\" (SentencePiece) is known",
                gguf_path(g, 0), (int)(model.n < 40 ? model.n : 40), model.text);
}

int tokenizer_open(struct tokenizer **out, const struct gguf *g, uint32_t vocab, struct err *why)
{
    struct gguf_string *pieces = 0;
    void *scores = 0, *types = 0;
    *out = NULL;
    int code = read_pieces(g, vocab, &pieces, why);
    if (!code) code = check_model(g, vocabulary_is_gemma(pieces, vocab), why);
    if (!code) code = read_numbers(g, "tokenizer.ggml.scores", GGUF_F32, vocab, &scores, why);
    if (!code) code = read_numbers(g, "tokenizer.ggml.token_type", GGUF_I32, vocab, &types, why);
    if (!code)
        code = tokenizer_from_list(out, &(struct piece_list){gguf_path(g, 0), vocab, pieces, scores, types}, why);
    free(pieces);
    free(scores);
    free(types);
    return code;
}

struct specials tokenizer_specials(const struct tokenizer *t)
{
    return t->vocabulary.specials;
}

uint32_t tokenizer_size(const struct tokenizer *t)
{
    return t->vocabulary.rows;
}

/* ---- ids -------------------------------------------------------------------------------------------------------- */

int ids_push(struct ids *ids, uint32_t id, struct err *why)
{
    if (ids->n == ids->capacity) {
        size_t capacity = ids->capacity * 2 + 64;
        uint32_t *grown = realloc(ids->id, capacity * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for %zu token ids", capacity);
        ids->id = grown, ids->capacity = capacity;
    }
    ids->id[ids->n++] = id;
    return 0;
}

void ids_free(struct ids *ids)
{
    free(ids->id);
    *ids = (struct ids){0};
}

/* ---- text to ids ------------------------------------------------------------------------------------------------ */

/* Bytes of a space, spelled either way, at s[0..n); 0 if there is none. */
static size_t space_at(const char *s, size_t n)
{
    if (s[0] == ' ') return 1;
    return n >= SPACE_MARK_BYTES && !memcmp(s, SPACE_MARK, SPACE_MARK_BYTES) ? SPACE_MARK_BYTES : 0;
}

/* Encodes text without anything to cut out, stretch by stretch. */
static int encode_plain(const struct vocabulary *v, struct bpe_scratch *s, const char *text, size_t n,
                        struct ids *out, struct err *why)
{
    size_t from = 0;
    bool after_space = true; /* at the start there is nothing to cut off */
    for (size_t i = 0; i < n;) {
        size_t space = space_at(text + i, n - i);
        if (space && !after_space && !v->holds_space_after[(uint8_t)text[i - 1]]) {
            TRY(bpe_encode(v, s, text + from, i - from, out, why));
            from = i;
        }
        after_space = space > 0;
        i += space ? space : 1;
    }
    return bpe_encode(v, s, text + from, n - from, out, why);
}

/* A walk over the parts, to tell which bytes of the whole text are trusted. */
struct trust {
    const struct text_part *parts;
    size_t n_parts;
    size_t passed; /* parts that begin at or before the place last asked for */
    size_t end;    /* in the text, of the last of them */
    size_t until;  /* in the text, where the last run of trusted parts seen ends */
};

/* How many trusted bytes begin at `at`. Asked for places in ascending order. */
static size_t trusted_from(struct trust *t, size_t at)
{
    while (t->end <= at && t->passed < t->n_parts) t->end += t->parts[t->passed++].n;
    if (t->until > at) return t->until - at;
    if (!t->parts[t->passed - 1].trusted) return 0;
    t->until = t->end;
    for (size_t p = t->passed; p < t->n_parts && t->parts[p].trusted; p++) t->until += t->parts[p].n;
    return t->until - at;
}

static int encode_text(const struct vocabulary *v, const char *text, size_t n, struct trust *trust, struct ids *out,
                       struct err *why)
{
    struct bpe_scratch scratch = {0};
    size_t from = 0, bytes = 0;
    int code = 0;
    for (size_t i = 0; i < n && !code;) {
        uint8_t first = (uint8_t)text[i];
        bool may_cut = v->cuts_from[first] < v->cuts_from[first + 1];
        uint32_t id = may_cut ? vocabulary_cut(v, text + i, n - i, trusted_from(trust, i), &bytes) : NO_ID;
        if (id == NO_ID) {
            i++;
            continue;
        }
        code = encode_plain(v, &scratch, text + from, i - from, out, why);
        if (!code) code = ids_push(out, id, why);
        from = i += bytes;
    }
    if (!code) code = encode_plain(v, &scratch, text + from, n - from, out, why);
    bpe_scratch_free(&scratch);
    return code;
}

/* The parts as one text; a single part is used where it lies. */
static int join_parts(const struct text_part *parts, size_t n_parts, char **owned, const char **text, size_t *n,
                      struct err *why)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n_parts; i++)
        if (!add_ok(total, parts[i].n, &total) || total > BPE_MOST)
            return fail(why, E_MEMORY, "the text is longer than %u bytes", BPE_MOST);
    *n = total;
    *owned = 0;
    *text = n_parts ? parts[0].text : "";
    if (n_parts <= 1) return 0;
    *text = *owned = malloc(total + 1);
    if (!*owned) return fail(why, E_MEMORY, "no memory for a text of %zu bytes", *n);
    size_t at = 0;
    for (size_t i = 0; i < n_parts; at += parts[i++].n)
        if (parts[i].n) memcpy(*owned + at, parts[i].text, parts[i].n);
    return 0;
}

int tokenizer_encode_parts(const struct tokenizer *t, const struct text_part *parts, size_t n_parts, struct ids *out,
                           struct err *why)
{
    char *owned = 0;
    const char *text = 0;
    size_t n = 0, before = out->n;
    TRY(join_parts(parts, n_parts, &owned, &text, &n, why));
    struct trust trust = {.parts = parts, .n_parts = n_parts};
    int code = encode_text(&t->vocabulary, text, n, &trust, out, why);
    if (code) out->n = before;
    free(owned);
    return code;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool trusted, struct ids *out,
                     struct err *why)
{
    return tokenizer_encode_parts(t, &(struct text_part){text, n, trusted}, 1, out, why);
}

int32_t tokenizer_control_in(const struct tokenizer *t, const char *text, size_t n)
{
    const struct vocabulary *v = &t->vocabulary;
    size_t bytes;
    for (size_t i = 0; i < n; i++) {
        const uint32_t id = vocabulary_cut(v, text + i, n - i, n - i, &bytes);
        if (id != NO_ID && v->kind[id] == PIECE_CONTROL) return (int32_t)id;
    }
    return -1;
}

/* ---- ids to text ------------------------------------------------------------------------------------------------ */

/* Copies with every SPACE_MARK as a space. */
static size_t copy_spaced(const char *text, size_t n, char *out, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < n && used < room;) {
        size_t space = space_at(text + i, n - i);
        out[used++] = space ? ' ' : text[i];
        i += space ? space : 1;
    }
    return used;
}

size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, bool show_control, char *out, size_t room)
{
    const struct vocabulary *v = &t->vocabulary;
    if (id >= v->pieces || !room) return 0;
    if (v->kind[id] == PIECE_CONTROL && !show_control) return 0;
    if (v->kind[id] != PIECE_BYTE) return copy_spaced(piece_text(v, id), piece_bytes(v, id), out, room);
    const char hex[] = {piece_text(v, id)[3], piece_text(v, id)[4], 0};
    out[0] = (char)strtol(hex, 0, 16);
    return 1;
}
