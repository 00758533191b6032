/* tests/unit/text/tokenizer_test.c — claims about text and ids, with invented vocabularies and the demo model's. The
 * published vocabulary itself is compared in tests/peer/tokenizer. */
#define _GNU_SOURCE /* memmem */
#include "coordinator/text/tokenizer.h"

#include "coordinator/text/vocabulary.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define DEMO "models/demo/demo-q4_0.gguf"

/* ---- invented vocabularies -------------------------------------------------------------------------------------- */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

struct invented {
    struct gguf_string piece[1000];
    float score[1000];
    int32_t type[1000];
    char byte_text[256][8];
    uint32_t n;
};

static uint32_t add(struct invented *v, const char *text, int32_t type, float score)
{
    v->piece[v->n] = (struct gguf_string){text, strlen(text)};
    v->score[v->n] = score;
    v->type[v->n] = type;
    return v->n++;
}

/* The bytes first, so that byte b has id b; then what every case needs. */
enum { BOS = 256, EOS, START, END, NEWLINE, NEWLINES, UNUSED_ID, SPACE, A, B, C, FIRST_OWN };

static void invent(struct invented *v)
{
    v->n = 0;
    for (int b = 0; b < 256; b++) {
        snprintf(v->byte_text[b], sizeof v->byte_text[b], "<0x%02X>", (unsigned)b);
        add(v, v->byte_text[b], BYTE, 0);
    }
    add(v, "<bos>", CONTROL, 0);
    add(v, "<eos>", CONTROL, 0);
    add(v, "<start_of_turn>", NORMAL, 0); /* wrongly typed, as in real files: the text decides */
    add(v, "<end_of_turn>", CONTROL, 0);
    add(v, "\n", USER_DEFINED, 0);
    add(v, "\n\n", USER_DEFINED, 0);
    add(v, "<unused0>", UNUSED, 0);
    add(v, SPACE_MARK, NORMAL, -900);
    add(v, "a", NORMAL, -901);
    add(v, "b", NORMAL, -902);
    add(v, "c", NORMAL, -903);
}

static int open_invented(struct tokenizer **t, const struct invented *v, struct err *why)
{
    return tokenizer_from_list(t, &(struct piece_list){"invented.gguf", v->n, v->piece, v->score, v->type}, why);
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

static const char *show(const struct ids *ids)
{
    static char text[2][4000];
    static int turn;
    char *out = text[turn ^= 1];
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < ids->n && used + 12 < sizeof text[0]; i++)
        used += (size_t)snprintf(out + used, sizeof text[0] - used, "%s%u", i ? " " : "", ids->id[i]);
    return out;
}

static void check_ids(int line, const struct ids *ids, const char *wanted, const char *text)
{
    const char *got = show(ids);
    if (strcmp(got, wanted)) check_failed(__FILE__, line, "ids", " \"%s\" gave %s, wanted %s", text, got, wanted);
}

static void check_encoded(int line, const struct tokenizer *t, const char *text, bool trusted, const uint32_t *wanted,
                          size_t n)
{
    struct ids ids = {0}, want = {(uint32_t *)wanted, n, n};
    struct err why = {0};
    if (tokenizer_encode(t, text, strlen(text), trusted, &ids, &why))
        check_failed(__FILE__, line, "encode", "%s", why.text);
    char wanted_text[4000];
    snprintf(wanted_text, sizeof wanted_text, "%s", show(&want));
    check_ids(line, &ids, wanted_text, text);
    ids_free(&ids);
}
#define CHECK_IDS(t, text, trusted, ...)                                                                               \
    check_encoded(__LINE__, t, text, trusted, (const uint32_t[]){__VA_ARGS__},                                         \
                  sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

/* ---- bytes ---- */

/* SentencePiece writes bytes in upper case; who read "<0x4a>" as a byte would answer "J" where the model said that text. */
TEST(a_byte_token_is_written_in_upper_case_and_another_is_text)
{
    static struct invented v;
    struct tokenizer *t = 0;
    char text[PIECE_MOST];
    invent(&v);
    const uint32_t lower = add(&v, "<0x4a>", NORMAL, -904);
    NEED(open_invented(&t, &v, why));
    CHECK(tokenizer_piece(t, lower, false, text, sizeof text) == 6 && !memcmp(text, "<0x4a>", 6));
    CHECK(tokenizer_piece(t, 0x4a, false, text, sizeof text) == 1 && *text == 'J');
    tokenizer_close(&t);
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */

TEST(the_best_score_merges_first_and_of_equals_the_leftmost)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    uint32_t ab = add(&v, "ab", NORMAL, -2), bc = add(&v, "bc", NORMAL, -1), aa = add(&v, "aa", NORMAL, -3);
    uint32_t abbc = add(&v, "abbc", NORMAL, -9), ca = add(&v, "ca", NORMAL, -3);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t, "abc", false, A, bc);
    CHECK_IDS(t, "abbc", false, abbc);
    CHECK_IDS(t, "aaa", false, aa, A);
    CHECK_IDS(t, "caa", false, ca, A); /* two different pieces of one score */
    CHECK_IDS(t, "aab", false, A, ab);
    tokenizer_close(&t);
}

/* "ab" waits on the heap while both its letters go elsewhere, and "bc" grows to its length. */
TEST(a_pair_whose_symbols_have_gone_is_forgotten)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    uint32_t ca = add(&v, "ca", NORMAL, -1), bc = add(&v, "bc", NORMAL, -2);
    add(&v, "ab", NORMAL, -3);
    uint32_t bcb = add(&v, "bcb", NORMAL, -4);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t, "cabc", false, ca, bc);
    CHECK_IDS(t, "cabcb", false, ca, bcb);
    tokenizer_close(&t);
}

TEST(a_space_is_a_character_like_others_and_both_spellings_are_known)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    uint32_t space_a = add(&v, " a", NORMAL, -1), three = add(&v, SPACE_MARK SPACE_MARK SPACE_MARK, USER_DEFINED, 0);
    uint32_t across = add(&v, "b" SPACE_MARK "c", NORMAL, -4);
    add(&v, "b" SPACE_MARK, NORMAL, -5);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t, "c a", false, C, space_a);
    CHECK_IDS(t, "   a", false, three, A);
    CHECK_IDS(t, "    a", false, three, space_a);
    CHECK_IDS(t, SPACE_MARK "a", false, space_a);
    CHECK_IDS(t, "b c", false, across); /* a learned piece with a space inside is not cut apart */
    CHECK_IDS(t, "c c", false, C, SPACE, C);
    tokenizer_close(&t);
}

TEST(what_is_no_piece_becomes_its_bytes)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t,
              "a\xc3\xa9"
              "b",
              false, A, 0xc3, 0xa9, B);
    CHECK_IDS(t, "\xff\xe2\x96", false, 0xff, 0xe2, 0x96);
    CHECK_IDS(t, "<0x41>", false, '<', '0', 'x', '4', '1', '>');
    CHECK_IDS(t, "\xf4\x8f\xbf\xbf", true, 0xf4, 0x8f, 0xbf, 0xbf);
    tokenizer_close(&t);
}

TEST(without_byte_tokens_the_unknown_stands_in)
{
    const struct gguf_string pieces[] = {{"<unk>", 5}, {"a", 1}, {"b", 1}, {"ab", 2}};
    const float scores[] = {0, -1, -2, -3};
    struct tokenizer *t = 0;
    NEED(tokenizer_from_list(&t, &(struct piece_list){"x.gguf", 4, pieces, scores, 0}, why));
    CHECK_IDS(t, "abz\xc3\xa9", false, 3, 0, 0);
    CHECK(tokenizer_specials(t).unknown == 0 && tokenizer_specials(t).bos == -1);
    tokenizer_close(&t);
}

/* The heap's promise. A scan of all pairs after each merge would take hours here, and the suite's limit would end it. */
TEST(a_long_stretch_takes_n_log_n)
{
    static struct invented v;
    struct tokenizer *t = 0;
    struct ids ids = {0};
    size_t n = 1 << 20;
    char *text = malloc(n);
    invent(&v);
    add(&v, "ab", NORMAL, -1), add(&v, "abab", NORMAL, -2), add(&v, "abababab", NORMAL, -3);
    for (size_t i = 0; i < n; i++) text[i] = "ab"[i % 2];
    NEED(open_invented(&t, &v, why));
    NEED(tokenizer_encode(t, text, n, false, &ids, why));
    CHECK(ids.n == n / 8, "%zu", ids.n);
    ids_free(&ids);
    tokenizer_close(&t);
    free(text);
}

/* ---- cutting and trust ------------------------------------------------------------------------------------------ */

TEST(the_longest_text_is_cut_out_at_each_place)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    uint32_t td = add(&v, "<td>", USER_DEFINED, 0), tdt = add(&v, "<td><t", USER_DEFINED, 0);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t, "a\n\n\nb", false, A, NEWLINES, NEWLINE, B);
    CHECK_IDS(t, "<td><td>", false, tdt, 'd', '>');
    CHECK_IDS(t, "<td>a<td", false, td, A, '<', 't', 'd');
    tokenizer_close(&t);
}

TEST(only_trusted_text_makes_control_tokens)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t, "<start_of_turn>a<end_of_turn>\n<unused0><bos>", true, START, A, END, NEWLINE, UNUSED_ID, BOS);
    const char *all[] = {"<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<unused0>"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct ids ids = {0};
        NEED(tokenizer_encode(t, all[i], strlen(all[i]), false, &ids, why));
        for (size_t k = 0; k < ids.n; k++)
            CHECK(ids.id[k] < 256 || ids.id[k] >= SPACE, "%s made %u", all[i], ids.id[k]);
        CHECK(ids.n > 1, "%s", all[i]);
        ids_free(&ids);
    }
    tokenizer_close(&t);
}

static void encode_two(const struct tokenizer *t, const char *first, bool trust_first, const char *second,
                       bool trust_second, struct ids *out)
{
    struct text_part parts[] = {
        {first, strlen(first), trust_first}, {"", 0, false}, {second, strlen(second), trust_second}};
    struct text_part joined[] = {parts[0], parts[2]};
    NEED(trust_first && trust_second ? tokenizer_encode_parts(t, joined, 2, out, why)
                                     : tokenizer_encode_parts(t, parts, 3, out, why));
}

TEST(parts_are_encoded_as_one_text_but_trust_ends_at_its_part)
{
    static struct invented v;
    struct tokenizer *t = 0;
    struct ids ids = {0};
    invent(&v);
    uint32_t ab = add(&v, "ab", NORMAL, -1);
    NEED(open_invented(&t, &v, why));
    encode_two(t, "<eos>\n", true, "\na", false, &ids);
    encode_two(t, "a", true, "b", false, &ids);
    encode_two(t, "<eo", true, "s>", true, &ids);
    char wanted[200];
    snprintf(wanted, sizeof wanted, "%d %d %d %u %d", EOS, NEWLINES, A, ab, EOS);
    check_ids(__LINE__, &ids, wanted, "three pairs");
    ids.n = 0;
    encode_two(t, "<eo", true, "s>", false, &ids);
    encode_two(t, "<eo", false, "s>", true, &ids);
    for (size_t i = 0; i < ids.n; i++) CHECK(ids.id[i] != EOS);
    CHECK(ids.n == 10, "%zu", ids.n);
    ids_free(&ids);
    tokenizer_close(&t);
}

/* ---- decoding --------------------------------------------------------------------------------------------------- */

TEST(pieces_come_back_as_the_bytes_they_stand_for)
{
    static struct invented v;
    struct tokenizer *t = 0;
    char out[PIECE_MOST];
    invent(&v);
    uint32_t id = add(&v, SPACE_MARK "ab", NORMAL, -1);
    NEED(open_invented(&t, &v, why));
    CHECK(tokenizer_piece(t, id, false, out, sizeof out) == 3 && !memcmp(out, " ab", 3));
    CHECK(tokenizer_piece(t, id, false, out, 2) == 2);
    CHECK(tokenizer_piece(t, 0xe9, false, out, sizeof out) == 1 && out[0] == '\xe9');
    CHECK(tokenizer_piece(t, NEWLINES, false, out, sizeof out) == 2 && !memcmp(out, "\n\n", 2));
    CHECK(tokenizer_piece(t, START, false, out, sizeof out) == 0);
    CHECK(tokenizer_piece(t, START, true, out, sizeof out) == 15 && !memcmp(out, "<start_of_turn>", 15));
    CHECK(tokenizer_piece(t, v.n, true, out, sizeof out) == 0);
    CHECK(tokenizer_piece(t, UINT32_MAX, true, out, sizeof out) == 0);
    tokenizer_close(&t);
}

static size_t stream_in_pieces(const char *text, size_t n, size_t step, char *out)
{
    struct utf8_stream s = {0};
    size_t used = 0;
    for (size_t i = 0; i < n; i += step)
        used += utf8_stream_push(&s, text + i, n - i < step ? n - i : step, out + used);
    return used + utf8_stream_end(&s, out + used);
}

TEST(a_stream_gives_the_same_text_however_it_is_cut)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x99\x82!", "na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x99\x82!"},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xe6\x97", "a\xef\xbf\xbd\xef\xbf\xbd"},               /* ends in the middle */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
        {"\xf4\x90\x80\x80z", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"},
        {"\xe6\xc3\xa9", "\xef\xbf\xbd\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 6; step++) {
            char out[100];
            size_t n = stream_in_pieces(cases[i].in, strlen(cases[i].in), step, out);
            CHECK(n == strlen(cases[i].out) && !memcmp(out, cases[i].out, n), "case %zu, %zu bytes at a time", i, step);
        }
}

TEST(a_stream_holds_back_an_unfinished_character)
{
    struct utf8_stream s = {0};
    char out[30];
    CHECK(utf8_stream_push(&s, "\xf0\x9f\x99", 3, out) == 0);
    CHECK(utf8_stream_push(&s, "\x82", 1, out) == 4 && !memcmp(out, "\xf0\x9f\x99\x82", 4));
    CHECK(utf8_stream_end(&s, out) == 0);
}

/* ---- damaged vocabularies --------------------------------------------------------------------------------------- */

static void check_refused(int line, const struct invented *v, const char *wanted)
{
    struct tokenizer *t = 0;
    struct err why = {0};
    int code = open_invented(&t, v, &why);
    if (code != E_FILE || t || !strstr(why.text, wanted) || !strstr(why.text, "invented.gguf"))
        check_failed(__FILE__, line, "refused", " code %d, \"%s\", wanted \"%s\"", code, why.text, wanted);
    tokenizer_close(&t);
}

TEST(a_damaged_vocabulary_is_refused_in_one_sentence)
{
    static struct invented v;
    static char long_piece[PIECE_MOST + 2], spaces[101];
    memset(long_piece, 'x', PIECE_MOST + 1);
    memset(spaces, ' ', 100); /* 300 bytes once spelled out */
    invent(&v), v.score[A] = NAN, check_refused(__LINE__, &v, "score of token 264");
    invent(&v), v.score[A] = INFINITY, check_refused(__LINE__, &v, "score");
    invent(&v), v.type[A] = 7, check_refused(__LINE__, &v, "type 7");
    invent(&v), v.type[A] = 0, check_refused(__LINE__, &v, "type 0");
    invent(&v), v.type[A] = BYTE, check_refused(__LINE__, &v, "like <0x41>");
    invent(&v), add(&v, "<0x4a>", BYTE, 0), check_refused(__LINE__, &v, "like <0x41>");
    invent(&v), v.piece[65].text = "<0x99>", check_refused(__LINE__, &v, "no token <0x41>");
    invent(&v), add(&v, long_piece, NORMAL, 0), check_refused(__LINE__, &v, "257 bytes");
    invent(&v), add(&v, spaces, USER_DEFINED, 0), check_refused(__LINE__, &v, "300 bytes");
    invent(&v), v.n = 0, check_refused(__LINE__, &v, "0 pieces");
}

TEST(an_empty_piece_is_never_made)
{
    static struct invented v;
    struct tokenizer *t = 0;
    invent(&v);
    add(&v, "", NORMAL, 9), add(&v, "", USER_DEFINED, 9), add(&v, "", CONTROL, 9);
    NEED(open_invented(&t, &v, why));
    CHECK_IDS(t, "ab\nc", true, A, B, NEWLINE, C);
    tokenizer_close(&t);
}

/* ---- Gemma 3's own ranges, with invented texts in them ---------------------------------------------------------- */

struct shaped {
    struct gguf_string *piece;
    char *text;
    uint32_t n;
};

static void spell(struct shaped *s, uint32_t id, const char *text)
{
    snprintf(s->text + (size_t)id * 100, 100, "%s", text);
    s->piece[id] = (struct gguf_string){s->text + (size_t)id * 100, strlen(text)};
}

static void spell_runs(struct shaped *s, uint32_t first, uint32_t from, const char *unit)
{
    char text[100] = "";
    for (uint32_t i = 1; i <= GEMMA_LONGEST_RUN; i++) {
        strcat(text, unit);
        if (i >= from) spell(s, first + i - from, text);
    }
}

static void shape(struct shaped *s, uint32_t n, const char *space)
{
    s->n = n;
    s->piece = calloc(n, sizeof *s->piece);
    s->text = calloc(n, 100);
    char text[40];
    for (uint32_t id = 0; id < n; id++) {
        snprintf(text, sizeof text,
                 id < GEMMA_TAGS || id >= 256001 ? "<unused%u>"
                 : id < GEMMA_BYTES              ? "<t%u>"
                                                 : "no%upiece",
                 id);
        spell(s, id, text);
    }
    for (uint32_t b = 0; b < 256; b++) snprintf(text, sizeof text, "<0x%02X>", b), spell(s, GEMMA_BYTES + b, text);
    const struct {
        uint32_t id;
        const char *text;
    } own[] = {
        {0, "<pad>"},
        {1, "<eos>"},
        {2, "<bos>"},
        {105, "<start_of_turn>"},
        {106, "<end_of_turn>"},
        {168, "<td>"},
        {500, "ab"},
        {501, "bc"},
        {600, SPACE_MARK "a"},
        {601, ">" SPACE_MARK "<"},
        {602, ">" SPACE_MARK},
        {GEMMA_SINGLES, SPACE_MARK},
        {236744, "a"},
        {236745, "b"},
        {236746, "c"},
        {236747, ">"},
        {236748, "<"},
        {255999, "<start_of_image>"},
        {256000, "<end_of_image>"},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) spell(s, own[i].id, own[i].text);
    spell_runs(s, GEMMA_NEWLINES, 1, "\n");
    spell_runs(s, GEMMA_SPACES, 2, space);
    spell_runs(s, GEMMA_TABS, 1, "\t");
}

static void shaped_free(struct shaped *s)
{
    free(s->piece);
    free(s->text);
}

static int open_shaped(struct tokenizer **t, const struct shaped *s, const int32_t *types, struct err *why)
{
    return tokenizer_from_list(t, &(struct piece_list){"shaped.gguf", s->n, s->piece, 0, types}, why);
}

static void check_gemma_rules(const struct tokenizer *t)
{
    char spaces[41];
    snprintf(spaces, sizeof spaces, "%40s", "");
    CHECK_IDS(t, "abc", false, 500, 236746); /* lowest id first */
    CHECK_IDS(t, spaces, false, 167, 145);   /* chunks of 31 from the left */
    CHECK_IDS(t, "  a", false, 138, 236744); /* runs before words */
    CHECK_IDS(t, &"   a"[2], false, 600);
    CHECK_IDS(t, SPACE_MARK SPACE_MARK " a", false, 138, 600); /* a literal run is cut out, a space is merged */
    CHECK_IDS(t, "> <", false, 601);
    CHECK_IDS(t, "<td>\t\t\n", false, 168, 255969, 107);
    CHECK_IDS(t, "\xc3\xa9", false, 238 + 0xc3, 238 + 0xa9);
    CHECK_IDS(t, "<start_of_turn>a<end_of_turn>", true, 105, 236744, 106);
    CHECK_IDS(t, "<image_soft_token><start_of_image>", true, 262144, 255999);
}

TEST(gemmas_own_ranges_rule_whatever_the_types_say)
{
    struct shaped s;
    struct tokenizer *t = 0;
    int32_t *types = malloc(262144 * sizeof *types);
    for (uint32_t i = 0; i < 262144; i++) types[i] = NORMAL; /* the fault of real files, and worse */
    shape(&s, 262144, SPACE_MARK);
    NEED(open_shaped(&t, &s, types, why));
    check_gemma_rules(t);
    struct specials sp = tokenizer_specials(t);
    CHECK(sp.bos == 2 && sp.eos == 1 && sp.start_of_turn == 105 && sp.end_of_turn == 106 && sp.image_soft == 262144);
    CHECK(tokenizer_size(t) == 262144);
    char out[PIECE_MOST];
    CHECK(tokenizer_piece(t, 105, false, out, sizeof out) == 0);
    CHECK(tokenizer_piece(t, 262144, true, out, sizeof out) == 18);
    CHECK(tokenizer_piece(t, 140, false, out, sizeof out) == 4 && !memcmp(out, "    ", 4));
    tokenizer_close(&t);
    shaped_free(&s);
    free(types);
}

TEST(padding_rows_and_spelled_out_spaces_change_no_id)
{
    struct shaped s;
    struct tokenizer *t = 0;
    shape(&s, 262208, " ");
    NEED(open_shaped(&t, &s, 0, why));
    check_gemma_rules(t);
    CHECK(tokenizer_size(t) == 262208);
    char out[PIECE_MOST];
    CHECK(tokenizer_piece(t, 262145, false, out, sizeof out) == 0);
    tokenizer_close(&t);
    shaped_free(&s);
}

TEST(a_vocabulary_that_only_begins_like_gemmas_is_refused)
{
    const uint32_t wrong[] = {120, 140, 200, 300, GEMMA_SINGLES, 255970};
    struct shaped s;
    shape(&s, 262144, SPACE_MARK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gguf_string right = s.piece[wrong[i]];
        struct tokenizer *t = 0;
        struct err why = {0};
        char id[20];
        snprintf(id, sizeof id, "piece %u is", wrong[i]);
        s.piece[wrong[i]] = (struct gguf_string){"wrong", 5};
        CHECK(open_shaped(&t, &s, 0, &why) == E_FILE && strstr(why.text, id), "%u: %s", wrong[i], why.text);
        s.piece[wrong[i]] = right;
    }
    shaped_free(&s);
}

/* ---- the demo model's vocabulary -------------------------------------------------------------------------------- */

static size_t unescape(char *s)
{
    char *out = s, *from = s;
    for (; *from; from++) {
        if (*from != '\\') *out++ = *from;
        else if (*++from == 'n') *out++ = '\n';
        else if (*from == 't') *out++ = '\t';
        else if (*from == 'r') *out++ = '\r';
        else *out++ = *from;
    }
    return (size_t)(out - s);
}

TEST(ids_of_the_demo_vocabulary_are_sentencepieces)
{
    struct gguf *g = 0;
    struct tokenizer *t = 0;
    char line[2000];
    size_t lines = 0;
    NEED(gguf_open(&g, DEMO, why));
    NEED(tokenizer_open(&t, g, 1024, why));
    FILE *f = fopen("tests/golden/tokenizer_demo.tsv", "r");
    CHECK(f, "tests/golden/tokenizer_demo.tsv is missing");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *text = strchr(line, '\t');
        if (line[0] == '#' || !text) continue;
        *text++ = 0;
        struct ids ids = {0};
        size_t n = unescape(text);
        NEED(tokenizer_encode(t, text, n, false, &ids, why));
        check_ids(__LINE__, &ids, line, text);
        ids_free(&ids);
        lines++;
    }
    CHECK(lines > 70, "%zu", lines);
    if (f) fclose(f);
    struct specials s = tokenizer_specials(t);
    CHECK(s.pad == 0 && s.eos == 1 && s.bos == 2 && s.unknown == 3 && s.start_of_turn == 4 && s.end_of_turn == 5);
    CHECK(s.start_of_image == 6 && s.end_of_image == 7 && s.image_soft == 8);
    tokenizer_close(&t);
    gguf_close(&g);
}

TEST(a_file_of_another_size_or_kind_is_refused)
{
    struct gguf *g = 0;
    struct tokenizer *t = 0;
    struct err no = {0};
    NEED(gguf_open(&g, DEMO, why));
    CHECK(tokenizer_open(&t, g, 1023, &no) == E_FILE && strstr(no.text, "1023"), "%s", no.text);
    CHECK(tokenizer_open(&t, g, 0, &no) == E_FILE);
    CHECK(!t);
    gguf_close(&g);

    static char bytes[2 << 20];
    FILE *in = fopen(DEMO, "rb");
    size_t n = in ? fread(bytes, 1, sizeof bytes, in) : 0;
    if (in) fclose(in);
    char *kind = memmem(bytes, n, "\5\0\0\0\0\0\0\0llama", 13);
    CHECK(kind, "the demo no longer says \"llama\"");
    if (!kind) return;
    memcpy(kind + 8, "bertx", 5);
    char path[] = "/tmp/tokenizer_test_XXXXXX";
    int fd = mkstemp(path);
    CHECK(write(fd, bytes, n) == (ssize_t)n);
    close(fd);
    NEED(gguf_open(&g, path, why));
    CHECK(tokenizer_open(&t, g, 1024, &no) == E_FILE && strstr(no.text, "\"bertx\""), "%s", no.text);
    gguf_close(&g);
    unlink(path);
}
