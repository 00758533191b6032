/* partition/make/synth_vocabulary.c — see synth_vocabulary.h.
 *
 * A full vocabulary lies exactly as the published one (docs/MODEL.md, "Vocabulary"): specials, turns, runs of newlines
 * and spaces, HTML tags, bytes, learned pieces in merge order with falling scores, single characters, runs of tabs,
 * picture marks, unused ids. Only the learned pieces are invented: every run of two, then three, then four letters of
 * a to z, where the first may also be the space mark. So each is a shorter piece plus one character and merging can
 * reach it, none is there twice, and text of Latin letters comes out in about as many tokens as it should.
 *
 * A small vocabulary finds its turns by name: specials, bytes, turns, printable characters, then letter pairs. */
#include "partition/make/synth_vocabulary.h"

#include "base/half.h"
#include "partition/file/gguf.h"
#include "partition/model/config.h"

#include <stdio.h>
#include <string.h>

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

#define SPACE_MARK "\xe2\x96\x81" /* U+2581, how a space is spelled inside a piece */
#define ADDED_SCORE -1000.0f

static void put(struct wordlist *v, const char *text, size_t n, int type, float score)
{
    bytes_put_text(&v->tokens, text, n);
    bytes_put_le(&v->scores, f32_bits(score), 4);
    bytes_put_le(&v->types, (uint32_t)type, 4);
    v->count++;
}

static void put_word(struct wordlist *v, const char *text, int type, float score)
{
    put(v, text, strlen(text), type, score);
}

static void put_numbered(struct wordlist *v, const char *format, uint32_t number, int type, float score)
{
    char text[32];
    snprintf(text, sizeof text, format, number);
    put_word(v, text, type, score);
}

static void put_runs(struct wordlist *v, char of, int from, int to)
{
    char run[32];
    memset(run, of, sizeof run);
    for (int n = from; n <= to; n++) put(v, run, (size_t)n, USER_DEFINED, ADDED_SCORE);
}

static void put_bytes(struct wordlist *v)
{
    for (uint32_t b = 0; b < 256; b++) put_numbered(v, "<0x%02X>", b, BYTE, 0);
}

/* ---- the published layout ---- */

static void put_tags(struct wordlist *v)
{
    static const char *const tags[] = {
        "<table>",  "<caption>",  "<thead>",  "<tbody>",  "<tfoot>",   "<tr>",          "<th>",         "<td>",
        "</table>", "</caption>", "</thead>", "</tbody>", "</tfoot>",  "</tr>",         "</th>",        "</td>",
        "<h1>",     "<h2>",       "<h3>",     "<h4>",     "<h5>",      "<h6>",          "<blockquote>", "</h1>",
        "</h2>",    "</h3>",      "</h4>",    "</h5>",    "</h6>",     "</blockquote>", "<strong>",     "<em>",
        "<b>",      "<i>",        "<u>",      "<s>",      "<sub>",     "<sup>",         "<code>",       "</strong>",
        "</em>",    "</b>",       "</i>",     "</u>",     "</s>",      "</sub>",        "</sup>",       "</code>",
        "<a>",      "<html>",     "<body>",   "<img>",    "<span>",    "<bbox>",        "<ul>",         "<li>",
        "<div>",    "<iframe>",   "<footer>", "</a>",     "</html>",   "</body>",       "</img>",       "</span>",
        "</bbox>",  "</ul>",      "</li>",    "</div>",   "</iframe>", "</footer>",
    };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) put_word(v, tags[i], USER_DEFINED, ADDED_SCORE);
}

static float learned_score(const struct wordlist *v)
{
    return -(float)(v->count - GEMMA_LEARNED);
}

/* Piece number `i` of the pieces with `letters` letters: a number in base 26 whose first digit may be the mark. */
static void put_piece(struct wordlist *v, uint32_t i, int letters)
{
    char text[16], *end = text + sizeof text, *p = end;
    for (int k = 1; k < letters; k++, i /= 26) *--p = (char)('a' + i % 26);
    if (i == 26) p -= 3, memcpy(p, SPACE_MARK, 3);
    else *--p = (char)('a' + i);
    put(v, p, (size_t)(end - p), NORMAL, learned_score(v));
}

static void put_learned(struct wordlist *v)
{
    uint32_t of_length = 27 * 26;
    for (int letters = 2; v->count < GEMMA_SINGLES; letters++, of_length *= 26)
        for (uint32_t i = 0; i < of_length && v->count < GEMMA_SINGLES; i++)
            put_piece(v, of_length - 1 - i, letters); /* words that begin with a space are the more common: first */
}

static void put_characters(struct wordlist *v)
{
    put_word(v, SPACE_MARK, NORMAL, learned_score(v));
    for (char c = 33; c < 127; c++) put(v, &c, 1, NORMAL, learned_score(v));
    for (uint32_t u = 0xa1; v->count < GEMMA_TABS; u++) {
        char text[3];
        size_t n = 0;
        if (u == 0x2581) continue;
        if (u < 0x800) text[n++] = (char)(0xc0 | u >> 6);
        else text[n++] = (char)(0xe0 | u >> 12), text[n++] = (char)(0x80 | (u >> 6 & 63));
        text[n++] = (char)(0x80 | (u & 63));
        put(v, text, n, NORMAL, learned_score(v));
    }
}

static void put_published(struct wordlist *v, uint32_t count)
{
    static const char *const first[] = {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>"};
    for (int i = 0; i < 5; i++) put_word(v, first[i], CONTROL, ADDED_SCORE);
    put_word(v, "[multimodal]", USER_DEFINED, ADDED_SCORE);
    for (uint32_t i = 0; i < 99; i++) put_numbered(v, "<unused%u>", i, CONTROL, ADDED_SCORE);
    put_word(v, "<start_of_turn>", CONTROL, ADDED_SCORE);
    put_word(v, "<end_of_turn>", CONTROL, ADDED_SCORE);
    put_runs(v, '\n', 1, GEMMA_LONGEST_RUN);
    put_runs(v, ' ', 2, GEMMA_LONGEST_RUN);
    put_tags(v);
    put_bytes(v);
    put_learned(v);
    put_characters(v);
    put_runs(v, '\t', 1, GEMMA_LONGEST_RUN);
    put_word(v, "<start_of_image>", CONTROL, ADDED_SCORE);
    put_word(v, "<end_of_image>", CONTROL, ADDED_SCORE);
    for (uint32_t i = 99; v->count < GEMMA_TOKENS; i++) put_numbered(v, "<unused%u>", i, CONTROL, ADDED_SCORE);
    if (v->count < count) put_word(v, "<image_soft_token>", CONTROL, ADDED_SCORE);
    while (v->count < count) put_numbered(v, "[PAD%u]", v->count, UNUSED, ADDED_SCORE);
}

/* ---- the small layout ---- */

static void put_small(struct wordlist *v, uint32_t count)
{
    static const char *const first[] = {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>"};
    static const int types[] = {CONTROL, CONTROL, CONTROL, UNKNOWN, NORMAL};
    static const char *const marks[] = {"<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
                                        "<image_soft_token>"};
    static const char letters[] = "etaoinshrdlu";
    for (int i = 0; i < 5; i++) put_word(v, first[i], types[i], 0);
    put_bytes(v);
    uint32_t scored = v->count;
    for (int i = 0; i < 5; i++) put_word(v, marks[i], CONTROL, -(float)(v->count - scored));
    put_word(v, "\n", NORMAL, -(float)(v->count - scored));
    put_word(v, SPACE_MARK, NORMAL, -(float)(v->count - scored));
    for (char c = 33; c < 127; c++) put(v, &c, 1, NORMAL, -(float)(v->count - scored));
    for (int i = 0; i < 144 && v->count < count; i++) {
        char pair[2] = {letters[i / 12], letters[i % 12]};
        put(v, pair, 2, NORMAL, -(float)(v->count - scored));
    }
    while (v->count < count) put_numbered(v, SPACE_MARK "w%u", v->count, NORMAL, -(float)(v->count - scored));
}

/* ---- the two doors ---- */

static int finish(struct wordlist *v, struct err *why)
{
    if (!v->tokens.failed && !v->scores.failed && !v->types.failed) return 0;
    uint32_t count = v->count;
    wordlist_free(v);
    return fail(why, E_MEMORY, "no memory for a vocabulary of %u tokens", count);
}

int wordlist_invent(struct wordlist *v, uint32_t count, struct err *why)
{
    *v = (struct wordlist){.bos = 2, .eos = 1, .unknown = 3, .padding = 0};
    if (count < WORDLIST_LEAST)
        return fail(why, E_USAGE, "a vocabulary of %u tokens is too small; it needs at least %d", count,
                    WORDLIST_LEAST);
    if (count >= GEMMA_TOKENS) put_published(v, count);
    else put_small(v, count);
    return finish(v, why);
}

/* As many bytes as the array has in its file. */
static void put_list(struct bytes *to, const struct gguf_array *list)
{
    const uint8_t *end = list->data;
    if (list->type == GGUF_STRING) {
        for (uint64_t i = 0; i < list->count; i++) gguf_next_string(&end);
    } else {
        end += 4 * list->count; /* f32 and i32, checked by the caller */
    }
    bytes_put(to, list->data, (size_t)(end - list->data));
}

static int copy_id(uint32_t *to, const struct gguf *g, const char *key, uint32_t count, struct err *why)
{
    uint64_t id = *to;
    if (gguf_has(g, key)) TRY(gguf_u64(g, key, &id, why));
    if (id >= count) return fail(why, E_FILE, "%s: %s is not one of its %u tokens", gguf_path(g, 0), key, count);
    *to = (uint32_t)id;
    return 0;
}

static int copy_from(struct wordlist *v, const struct gguf *g, struct err *why)
{
    struct gguf_array tokens, scores, types;
    TRY(gguf_list(g, "tokenizer.ggml.tokens", &tokens, why));
    TRY(gguf_list(g, "tokenizer.ggml.scores", &scores, why));
    TRY(gguf_list(g, "tokenizer.ggml.token_type", &types, why));
    if (tokens.type != GGUF_STRING || scores.type != GGUF_F32 || types.type != GGUF_I32 || tokens.count < 4 ||
        tokens.count > MODEL_VOCAB_MOST || scores.count != tokens.count || types.count != tokens.count)
        return fail(why, E_FILE, "%s has no vocabulary with as many texts as scores and types", gguf_path(g, 0));
    v->count = (uint32_t)tokens.count;
    put_list(&v->tokens, &tokens);
    put_list(&v->scores, &scores);
    put_list(&v->types, &types);
    TRY(copy_id(&v->bos, g, "tokenizer.ggml.bos_token_id", v->count, why));
    TRY(copy_id(&v->eos, g, "tokenizer.ggml.eos_token_id", v->count, why));
    TRY(copy_id(&v->unknown, g, "tokenizer.ggml.unknown_token_id", v->count, why));
    return copy_id(&v->padding, g, "tokenizer.ggml.padding_token_id", v->count, why);
}

int wordlist_copy(struct wordlist *v, const char *path, struct err *why)
{
    struct gguf *g;
    *v = (struct wordlist){.bos = 2, .eos = 1, .unknown = 3, .padding = 0};
    TRY(gguf_open(&g, path, why));
    int code = copy_from(v, g, why);
    gguf_close(&g);
    if (code) wordlist_free(v);
    return code ? code : finish(v, why);
}

void wordlist_free(struct wordlist *v)
{
    bytes_free(&v->tokens);
    bytes_free(&v->scores);
    bytes_free(&v->types);
}
