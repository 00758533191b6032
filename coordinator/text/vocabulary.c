/* coordinator/text/vocabulary.c — decides what each piece is, and builds the two ways to find one.
 *
 * Gemma 3's own vocabulary is taken by its published id ranges once a few texts prove that it is that vocabulary:
 * Google's own files mark the control tokens wrongly, and a model that sees "<start_of_turn>" as five pieces of
 * ordinary text answers worse without saying why. Any other vocabulary goes by token types and scores, but its
 * specials and byte tokens still go by their texts.
 *
 * Pieces that merging can make are in a hash table with 32 bits of each hash beside the id, so that a miss, the common
 * case by far, touches one cache line and no text. Texts that are cut out before merging are a sorted list that is
 * walked byte by byte like a tree: 6,500 entries, and most bytes of a text begin none of them.
 *
 * Costs 0.03 s and 8 MiB for 262,144 pieces, and 7 MiB more while it is built. */
#define _GNU_SOURCE /* qsort_r */
#include "coordinator/text/vocabulary.h"

#include "base/hash.h"
#include "partition/model/byte_token.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MOST (1u << 20)
#define NAME_WIDTH 40 /* of a piece's text in a sentence */

struct slot {
    uint32_t tag; /* the high half of the hash */
    uint32_t id;  /* NO_ID: free */
};

struct builder { /* what only grows while building */
    struct vocabulary *v;
    const struct piece_list *list;
    size_t text_used, text_room;
    size_t cuts_room;
};

bool vocabulary_is_gemma(const struct gguf_string *pieces, uint32_t n)
{
    return n >= GEMMA_IMAGE_SOFT && gguf_text_is(pieces[0], "<pad>") && gguf_text_is(pieces[GEMMA_START_OF_TURN], "<start_of_turn>") &&
           gguf_text_is(pieces[GEMMA_END_OF_TURN], "<end_of_turn>") && gguf_text_is(pieces[GEMMA_NEWLINES], "\n") &&
           gguf_text_is(pieces[GEMMA_BYTES], "<0x00>") && gguf_text_is(pieces[GEMMA_IMAGE_START], "<start_of_image>");
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

static int byte_of(struct gguf_string s)
{
    return byte_token(s.text, s.n);
}

/* True if the text is `count` times `unit`, where a space may also be spelled as itself. */
static bool is_run(struct gguf_string s, const char *unit, uint32_t count)
{
    size_t width = strlen(unit);
    if (width == SPACE_MARK_BYTES && s.n == count) unit = " ", width = 1;
    if (s.n != count * width) return false;
    for (size_t i = 0; i < s.n; i += width)
        if (memcmp(s.text + i, unit, width)) return false;
    return true;
}

static int wrong_piece(const struct piece_list *list, uint32_t id, const char *wanted, struct err *why)
{
    struct gguf_string s = list->pieces[id];
    return fail(why, E_FILE, "%s: the vocabulary is Gemma 3's at the start, but piece %u is \"%.*s\", not %s",
                list->name, id, (int)(s.n < NAME_WIDTH ? s.n : NAME_WIDTH), s.text, wanted);
}

static int check_gemma_ranges(const struct piece_list *list, struct err *why)
{
    const struct gguf_string *p = list->pieces;
    for (uint32_t i = 1; i <= GEMMA_LONGEST_RUN; i++) {
        if (!is_run(p[GEMMA_NEWLINES + i - 1], "\n", i))
            return wrong_piece(list, GEMMA_NEWLINES + i - 1, "a run of newlines", why);
        if (i >= 2 && !is_run(p[GEMMA_SPACES + i - 2], SPACE_MARK, i))
            return wrong_piece(list, GEMMA_SPACES + i - 2, "a run of spaces", why);
        if (!is_run(p[GEMMA_TABS + i - 1], "\t", i)) return wrong_piece(list, GEMMA_TABS + i - 1, "a run of tabs", why);
    }
    for (uint32_t i = GEMMA_TAGS; i < GEMMA_BYTES; i++)
        if (p[i].n < 3 || p[i].text[0] != '<' || p[i].text[p[i].n - 1] != '>')
            return wrong_piece(list, i, "an HTML tag", why);
    for (uint32_t i = 0; i < 256; i++)
        if (byte_of(p[GEMMA_BYTES + i]) != (int)i) return wrong_piece(list, GEMMA_BYTES + i, "that byte", why);
    if (!is_run(p[GEMMA_SINGLES], SPACE_MARK, 1)) return wrong_piece(list, GEMMA_SINGLES, "a space", why);
    return 0;
}

static enum piece_kind gemma_kind(uint32_t id)
{
    if (id <= GEMMA_UNKNOWN || id == GEMMA_START_OF_TURN || id == GEMMA_END_OF_TURN) return PIECE_CONTROL;
    if (id < GEMMA_NEWLINES) return PIECE_RESERVED;
    if (id < GEMMA_SPACES) return PIECE_CUT;
    if (id < GEMMA_TAGS) return PIECE_LEARNED; /* and cut out where they are spelled with U+2581: add_cuts */
    if (id < GEMMA_BYTES) return PIECE_CUT;
    if (id < GEMMA_LEARNED) return PIECE_BYTE;
    if (id < GEMMA_TABS) return PIECE_LEARNED;
    if (id < GEMMA_IMAGE_START) return PIECE_CUT;
    if (id <= GEMMA_IMAGE_END || id >= GEMMA_IMAGE_SOFT) return PIECE_CONTROL;
    return PIECE_RESERVED;
}

/* Padding has no text that anybody types. A token that somebody added behind the published ones does. */
static bool is_padding(const struct piece_list *list, uint32_t id)
{
    if (id <= GEMMA_IMAGE_SOFT) return false;
    struct gguf_string s = list->pieces[id];
    return !list->types || list->types[id] == 5 || (s.n >= 4 && !memcmp(s.text, "[PAD", 4));
}

/* Reserved, and given a text by whoever trained the model further: it goes by its type. */
static bool is_user_defined(const struct piece_list *list, uint32_t id)
{
    if (id <= GEMMA_MULTIMODAL || id == GEMMA_IMAGE_SOFT || !gemma_is_reserved(id) || is_padding(list, id)) return false;
    struct gguf_string s = list->pieces[id];
    return list->types && list->types[id] == 4 && !(s.n >= 7 && !memcmp(s.text, "<unused", 7));
}

static int classify_gemma(struct vocabulary *v, const struct piece_list *list, struct err *why)
{
    TRY(check_gemma_ranges(list, why));
    for (uint32_t id = 0; id < v->pieces; id++) v->kind[id] = is_user_defined(list, id) ? PIECE_CUT : (uint8_t)gemma_kind(id);
    for (uint32_t b = 0; b < 256; b++) v->byte_id[b] = GEMMA_BYTES + b;
    v->specials = (struct specials){
        .bos = GEMMA_BOS,
        .eos = GEMMA_EOS,
        .pad = GEMMA_PAD,
        .unknown = GEMMA_UNKNOWN,
        .start_of_turn = GEMMA_START_OF_TURN,
        .end_of_turn = GEMMA_END_OF_TURN,
        .start_of_image = GEMMA_IMAGE_START,
        .end_of_image = GEMMA_IMAGE_END,
        .image_soft = GEMMA_IMAGE_SOFT,
    };
    return 0;
}

/* Where a special's id goes, if this text is one. */
static int32_t *special_named(struct specials *s, struct gguf_string text)
{
    const struct {
        const char *name;
        int32_t *id;
    } names[] = {
        {"<bos>", &s->bos},
        {"<eos>", &s->eos},
        {"<pad>", &s->pad},
        {"<unk>", &s->unknown},
        {"<start_of_turn>", &s->start_of_turn},
        {"<end_of_turn>", &s->end_of_turn},
        {"<start_of_image>", &s->start_of_image},
        {"<end_of_image>", &s->end_of_image},
        {"<image_soft_token>", &s->image_soft},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (gguf_text_is(text, names[i].name)) return names[i].id;
    return 0;
}

static int classify_piece(struct vocabulary *v, const struct piece_list *list, uint32_t id, struct err *why)
{
    struct gguf_string text = list->pieces[id];
    int32_t type = list->types ? list->types[id] : 1;
    int byte = byte_of(text);
    int32_t *special = special_named(&v->specials, text);
    if (type < 1 || type > 6)
        return fail(why, E_FILE, "%s: token %u has type %d, not one of 1 to 6", list->name, id, type);
    if (type == 6 && byte < 0)
        return fail(why, E_FILE, "%s: token %u is said to be a byte, but its text is not like <0x41>", list->name, id);

    static const uint8_t by_type[] = {
        [1] = PIECE_LEARNED, [2] = PIECE_CONTROL, [3] = PIECE_CONTROL, [4] = PIECE_CUT, [5] = PIECE_RESERVED,
    };
    v->kind[id] = special ? PIECE_CONTROL : byte >= 0 ? PIECE_BYTE : by_type[type];
    if (special && *special < 0) *special = (int32_t)id;
    if (type == 2 && v->specials.unknown < 0) v->specials.unknown = (int32_t)id;
    if (byte >= 0 && v->byte_id[byte] == NO_ID) v->byte_id[byte] = id;
    return 0;
}

static int classify_other(struct vocabulary *v, const struct piece_list *list, struct err *why)
{
    v->specials = (struct specials){-1, -1, -1, -1, -1, -1, -1, -1, -1};
    for (uint32_t b = 0; b < 256; b++) v->byte_id[b] = NO_ID;
    for (uint32_t id = 0; id < list->n; id++) TRY(classify_piece(v, list, id, why));
    for (uint32_t b = 0; b < 256; b++)
        if (v->byte_id[b] == NO_ID && v->specials.unknown < 0)
            return fail(why, E_FILE, "%s: the vocabulary has no token <0x%02X>, and none for the unknown", list->name,
                        b);
    return 0;
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

static int add_text(struct builder *b, const char *text, size_t n, struct err *why)
{
    if (b->text_used + n > b->text_room) {
        size_t room = b->text_room * 2 + n + 4096;
        char *grown = realloc(b->v->text, room);
        if (!grown) return fail(why, E_MEMORY, "no memory for the texts of the vocabulary");
        b->v->text = grown, b->text_room = room;
    }
    memcpy(b->v->text + b->text_used, text, n);
    b->text_used += n;
    return 0;
}

/* Control texts stay as they are; in all others a space is spelled SPACE_MARK, however the file has it. */
static int add_piece(struct builder *b, uint32_t id, struct gguf_string s, struct err *why)
{
    struct vocabulary *v = b->v;
    bool respell = v->kind[id] == PIECE_LEARNED || v->kind[id] == PIECE_CUT;
    v->start[id] = (uint32_t)b->text_used;
    if (s.n > PIECE_MOST)
        return fail(why, E_FILE, "%s: token %u is %zu bytes long; %d is the most", b->list->name, id, s.n, PIECE_MOST);
    for (size_t i = 0; i < s.n; i++) {
        bool mark = respell && s.text[i] == ' ';
        TRY(mark ? add_text(b, SPACE_MARK, SPACE_MARK_BYTES, why) : add_text(b, s.text + i, 1, why));
    }
    v->start[id + 1] = (uint32_t)b->text_used;
    if (piece_bytes(v, id) > PIECE_MOST)
        return fail(why, E_FILE, "%s: token %u is %u bytes long; %d is the most", b->list->name, id, piece_bytes(v, id),
                    PIECE_MOST);
    return 0;
}

static int copy_texts(struct builder *b, struct err *why)
{
    struct vocabulary *v = b->v;
    static const struct gguf_string image_soft = {"<image_soft_token>", 18};
    for (uint32_t id = 0; id < v->pieces; id++) {
        bool soft = v->is_gemma && id == GEMMA_IMAGE_SOFT; /* some converters lost its text */
        TRY(add_piece(b, id, soft ? image_soft : b->list->pieces[id], why));
    }
    return 0;
}

/* ---- texts to cut out ------------------------------------------------------------------------------------------- */

static int add_cut(struct builder *b, uint32_t id, uint32_t start, uint32_t bytes, struct err *why)
{
    struct vocabulary *v = b->v;
    if (v->n_cuts == b->cuts_room) {
        size_t room = b->cuts_room * 2 + 64;
        struct cut_text *grown = realloc(v->cuts, room * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the vocabulary");
        v->cuts = grown, b->cuts_room = room;
    }
    bool trusted_only = v->kind[id] == PIECE_CONTROL || v->kind[id] == PIECE_RESERVED;
    if (bytes) v->cuts[v->n_cuts++] = (struct cut_text){start, bytes, id, trusted_only};
    return 0;
}

/* The same piece with its spaces spelled as spaces: in a vocabulary that is not Gemma's, both are cut. */
static int add_spaced_cut(struct builder *b, uint32_t id, struct err *why)
{
    struct vocabulary *v = b->v;
    uint32_t from = v->start[id], to = v->start[id + 1], start = (uint32_t)b->text_used;
    bool any = false;
    for (uint32_t i = from; i < to;) {
        bool mark = to - i >= SPACE_MARK_BYTES && !memcmp(v->text + i, SPACE_MARK, SPACE_MARK_BYTES);
        char c = mark ? ' ' : v->text[i];
        TRY(add_text(b, &c, 1, why));
        i += mark ? SPACE_MARK_BYTES : 1;
        any |= mark;
    }
    return any ? add_cut(b, id, start, (uint32_t)b->text_used - start, why) : 0;
}

static int add_cuts(struct builder *b, struct err *why)
{
    struct vocabulary *v = b->v;
    for (uint32_t id = 0; id < v->pieces; id++) {
        bool spaces = v->is_gemma && id >= GEMMA_SPACES && id < GEMMA_TAGS;
        bool padding = v->is_gemma && is_padding(b->list, id);
        bool cut = spaces || (v->kind[id] != PIECE_LEARNED && v->kind[id] != PIECE_BYTE && !padding);
        if (!cut) continue;
        TRY(add_cut(b, id, v->start[id], piece_bytes(v, id), why));
        if (!v->is_gemma && v->kind[id] == PIECE_CUT) TRY(add_spaced_cut(b, id, why));
    }
    return 0;
}

static int compare_cuts(const void *left, const void *right, void *text)
{
    const struct cut_text *a = left, *b = right;
    int order = memcmp((char *)text + a->start, (char *)text + b->start, a->bytes < b->bytes ? a->bytes : b->bytes);
    if (order) return order;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static uint8_t cut_byte(const struct vocabulary *v, uint32_t i, size_t depth)
{
    return (uint8_t)v->text[v->cuts[i].start + depth];
}

static void sort_cuts(struct vocabulary *v)
{
    if (v->n_cuts) qsort_r(v->cuts, v->n_cuts, sizeof *v->cuts, compare_cuts, v->text);
    uint32_t i = 0;
    for (uint32_t b = 0; b <= 256; b++) {
        while (i < v->n_cuts && cut_byte(v, i, 0) < b) i++;
        v->cuts_from[b] = i;
    }
}

/* The first of low..high-1 whose byte at `depth` is `byte` or more. All are longer than depth. */
static uint32_t first_at_least(const struct vocabulary *v, uint32_t low, uint32_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cut_byte(v, middle, depth) < byte) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Entries low..high-1 share the first `depth` bytes with the text. Those that end there come first. */
uint32_t vocabulary_cut(const struct vocabulary *v, const char *text, size_t n, size_t trusted, size_t *bytes)
{
    uint32_t best = NO_ID, low = v->cuts_from[(uint8_t)text[0]], high = v->cuts_from[(uint8_t)text[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        for (; low < high && v->cuts[low].bytes == depth; low++) {
            if (v->cuts[low].trusted_only && depth > trusted) continue;
            if (best == NO_ID || *bytes < depth) best = v->cuts[low].id, *bytes = depth;
        }
        if (depth == n) break;
        low = first_at_least(v, low, high, depth, (uint8_t)text[depth]);
        high = first_at_least(v, low, high, depth, (uint8_t)text[depth] + 1u);
    }
    return best;
}

/* ---- learned pieces --------------------------------------------------------------------------------------------- */

uint32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t n)
{
    uint64_t hash = hash64(text, n);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t at = (uint32_t)hash & v->slot_mask;; at = (at + 1) & v->slot_mask) {
        struct slot s = v->slots[at];
        if (s.id == NO_ID) return NO_ID;
        if (s.tag == tag && piece_bytes(v, s.id) == n && !memcmp(piece_text(v, s.id), text, n)) return s.id;
    }
}

static void add_slot(struct vocabulary *v, uint32_t id)
{
    uint64_t hash = hash64(piece_text(v, id), piece_bytes(v, id));
    uint32_t at = (uint32_t)hash & v->slot_mask;
    while (v->slots[at].id != NO_ID) at = (at + 1) & v->slot_mask;
    v->slots[at] = (struct slot){(uint32_t)(hash >> 32), id};
}

static void note_inner_spaces(struct vocabulary *v, uint32_t id)
{
    const char *s = piece_text(v, id);
    for (uint32_t i = 1; i + SPACE_MARK_BYTES <= piece_bytes(v, id); i++) {
        if (memcmp(s + i, SPACE_MARK, SPACE_MARK_BYTES)) continue;
        bool after_space = i >= SPACE_MARK_BYTES && !memcmp(s + i - SPACE_MARK_BYTES, SPACE_MARK, SPACE_MARK_BYTES);
        if (!after_space) v->holds_space_after[(uint8_t)s[i - 1]] = true;
    }
}

/* At most half full. Of two pieces with one text the first is found. */
static int index_learned(struct vocabulary *v, struct err *why)
{
    uint32_t learned = 0, size = 16;
    for (uint32_t id = 0; id < v->pieces; id++) learned += v->kind[id] == PIECE_LEARNED;
    while (size < learned * 2) size *= 2;
    v->slots = malloc(size * sizeof *v->slots);
    if (!v->slots) return fail(why, E_MEMORY, "no memory for the vocabulary");
    memset(v->slots, 0xff, size * sizeof *v->slots);
    v->slot_mask = size - 1;
    for (uint32_t id = 0; id < v->pieces; id++) {
        if (v->kind[id] != PIECE_LEARNED || !piece_bytes(v, id)) continue;
        if (vocabulary_find(v, piece_text(v, id), piece_bytes(v, id)) != NO_ID) continue;
        add_slot(v, id);
        note_inner_spaces(v, id);
    }
    return 0;
}

static int compare_scores(const void *left, const void *right, void *scores)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const float *s = scores;
    if (s[a] != s[b]) return s[a] > s[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

static int rank_by_score(struct vocabulary *v, const float *scores, struct err *why)
{
    uint32_t *by_score = malloc(v->pieces * sizeof *by_score);
    v->rank = malloc(v->pieces * sizeof *v->rank);
    if (!by_score || !v->rank) {
        free(by_score);
        return fail(why, E_MEMORY, "no memory for the vocabulary");
    }
    for (uint32_t id = 0; id < v->pieces; id++) by_score[id] = id;
    qsort_r(by_score, v->pieces, sizeof *by_score, compare_scores, (void *)scores);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < v->pieces; i++) {
        if (i && scores[by_score[i]] != scores[by_score[i - 1]]) rank++;
        v->rank[by_score[i]] = rank;
    }
    free(by_score);
    return 0;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static int check_list(const struct piece_list *list, bool is_gemma, struct err *why)
{
    if (list->n == 0 || list->n > PIECES_MOST)
        return fail(why, E_FILE, "%s: the vocabulary has %u pieces; 1 to %u can be", list->name, list->n, PIECES_MOST);
    if (!list->scores && !is_gemma)
        return fail(why, E_FILE, "%s: the vocabulary has no scores, and is not Gemma 3's, which needs none",
                    list->name);
    for (uint32_t id = 0; list->scores && id < list->n; id++)
        if (!isfinite(list->scores[id]))
            return fail(why, E_FILE, "%s: the score of token %u is not a number", list->name, id);
    return 0;
}

static int build(struct builder *b, struct err *why)
{
    struct vocabulary *v = b->v;
    v->is_gemma = vocabulary_is_gemma(b->list->pieces, b->list->n);
    TRY(check_list(b->list, v->is_gemma, why));
    v->rows = b->list->n;
    v->pieces = v->is_gemma && v->rows == GEMMA_IMAGE_SOFT ? v->rows + 1 : v->rows;
    v->kind = malloc(v->pieces);
    v->start = malloc((v->pieces + 1) * sizeof *v->start);
    if (!v->kind || !v->start) return fail(why, E_MEMORY, "no memory for the vocabulary");
    TRY(v->is_gemma ? classify_gemma(v, b->list, why) : classify_other(v, b->list, why));
    TRY(copy_texts(b, why));
    TRY(add_cuts(b, why));
    sort_cuts(v);
    TRY(index_learned(v, why));
    return v->is_gemma ? 0 : rank_by_score(v, b->list->scores, why);
}

int vocabulary_build(struct vocabulary *v, const struct piece_list *list, struct err *why)
{
    *v = (struct vocabulary){0};
    struct builder b = {.v = v, .list = list};
    int code = build(&b, why);
    if (code) vocabulary_free(v);
    return code;
}

void vocabulary_free(struct vocabulary *v)
{
    free(v->start);
    free(v->text);
    free(v->kind);
    free(v->rank);
    free(v->slots);
    free(v->cuts);
    *v = (struct vocabulary){0};
}
