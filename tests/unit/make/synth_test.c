/* tests/unit/make/synth_test.c — synthetic models have the shape of real ones, a vocabulary that works, and sane numbers. */
#include "partition/file/model_file.h"
#include "base/hash.h"
#include "partition/make/random_weights.h"
#include "partition/make/synth.h"
#include "partition/make/synth_vocabulary.h"
#include "partition/model/weights.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const char *temporary(char path[64])
{
    snprintf(path, 64, "/tmp/synth_test.XXXXXX");
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    return path;
}

/* Enough to hold the metadata of any size; the weights of one thin layer. */
static void thin(struct synth *s, const char *size)
{
    synth_size(s, size, NULL);
    s->layers = 1, s->vocab = 400, s->ffn = 32;
}

static uint64_t hash_of(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint64_t h = 0;
    size_t n;
    static uint8_t piece[1 << 16];
    if (!f) return 0;
    while ((n = fread(piece, 1, sizeof piece, f))) h = hash_fold(h, hash64(piece, n));
    fclose(f);
    return h;
}

TEST(the_same_seed_writes_the_same_bytes_and_another_others)
{
    struct synth s;
    char a[64], b[64];
    temporary(a), temporary(b);
    thin(&s, "tiny");
    NEED(synth_write(&s, a, why));
    NEED(synth_write(&s, b, why));
    CHECK(hash_of(a) && hash_of(a) == hash_of(b));
    s.seed = 2;
    NEED(synth_write(&s, b, why));
    CHECK(hash_of(a) != hash_of(b));
    unlink(a), unlink(b);
}

TEST(a_layer_is_the_same_however_many_follow)
{
    struct synth s;
    struct model *one, *two;
    char a[64], b[64];
    thin(&s, "tiny");
    NEED(synth_write(&s, temporary(a), why));
    s.layers = 2;
    NEED(synth_write(&s, temporary(b), why));
    NEED(model_open(&one, a, why));
    NEED(model_open(&two, b, why));
    for (int role = 0; role < W_LAYER_ROLES; role++) {
        const struct tensor *x = &one->layer_tensors[role], *y = &two->layer_tensors[role];
        CHECK(!memcmp(x->data, y->data, (size_t)(x->rows * block_row_bytes(x->type, x->cols))), "%s",
              role_name((enum role)role));
        CHECK(memcmp(x->data, two->layer_tensors[W_LAYER_ROLES + role].data, 32), "%s", role_name((enum role)role));
    }
    model_close(&one), model_close(&two);
    unlink(a), unlink(b);
}

TEST(every_size_opens_with_the_numbers_it_is_known_by)
{
    static const struct {
        const char *size;
        uint32_t hidden, heads, kv_heads, head_dim, window, context;
        float factor;
    } known[] = {
        {"tiny", 256, 4, 2, 64, 32, 4096, 8},        {"270m", 640, 4, 1, 256, 512, 32768, 1},
        {"1b", 1152, 4, 1, 256, 512, 32768, 1},      {"4b", 2560, 8, 4, 256, 1024, 131072, 8},
        {"12b", 3840, 16, 8, 256, 1024, 131072, 8},  {"27b", 5376, 32, 16, 128, 1024, 131072, 8},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct synth s;
        struct model *m;
        char path[64];
        thin(&s, known[i].size);
        NEED(synth_write(&s, temporary(path), why));
        NEED(model_open(&m, path, why));
        const struct model_config *c = &m->config;
        CHECK(c->hidden == known[i].hidden && c->heads == known[i].heads && c->kv_heads == known[i].kv_heads, "%s",
              s.size);
        CHECK(c->head_dim == known[i].head_dim && c->window == known[i].window && c->context == known[i].context, "%s",
              s.size);
        CHECK(c->rope_factor == known[i].factor && c->pattern == 6 && c->vocab == 400, "%s", s.size);
        model_close(&m);
        unlink(path);
    }
    struct synth s;
    struct err no;
    CHECK(synth_size(&s, "7b", &no) == E_USAGE && strstr(no.text, "270m"));
    CHECK(!synth_size(&s, "27B", &no) && s.layers == 62 && s.vocab == 262144 && s.ffn == 21504);
}

TEST(shapes_that_cannot_be_are_refused_and_leave_no_file)
{
    struct synth s;
    struct err no = {0};
    char path[64], partial[80];
    unlink(temporary(path));
    snprintf(partial, sizeof partial, "%s.partial", path);
    thin(&s, "tiny");
    s.ffn = 33;
    CHECK(synth_write(&s, path, &no) == E_USAGE && strstr(no.text, "ffn_down"), "%s", no.text);
    thin(&s, "270m"), s.matrix = T_Q4_K;
    CHECK(synth_write(&s, path, &no) == E_USAGE && strstr(no.text, "multiple of 256"), "%s", no.text);
    thin(&s, "tiny"), s.heads = 3;
    CHECK(synth_write(&s, path, &no) == E_USAGE && strstr(no.text, "3 heads over 2"), "%s", no.text);
    thin(&s, "tiny"), s.vocab = 100;
    CHECK(synth_write(&s, path, &no) == E_USAGE && strstr(no.text, "vocabulary"), "%s", no.text);
    thin(&s, "tiny"), s.layers = 0;
    CHECK(synth_write(&s, path, &no) == E_USAGE);
    thin(&s, "tiny");
    CHECK(synth_write(&s, "/nonexistent/model.gguf", &no) == E_FILE);
    CHECK(access(path, F_OK) && access(partial, F_OK));
    uint32_t type;
    CHECK(!synth_type("Q5_k", &type, &no) && type == T_Q5_K && synth_type("q3_k", &type, &no) == E_USAGE);
}

/* ---- weights ---- */

TEST(noise_of_every_format_has_about_the_deviation_asked)
{
    static const uint32_t types[] = {T_F32,  T_F16,  T_Q4_0, T_Q4_1, T_Q5_0, T_Q5_1,
                                     T_Q8_0, T_Q4_K, T_Q5_K, T_Q6_K, T_BF16};
    struct noise *noise = malloc(sizeof *noise);
    size_t n = 1 << 16;
    float *x = malloc(n * sizeof *x);
    uint8_t *raw = malloc(n * 4);
    noise_init(noise);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        double sum = 0, squares = 0;
        noise_seed(noise, 7, "x");
        noise_blocks(noise, types[i], raw, n / block_info(types[i])->elems, 0, 0.02f);
        block_dequantize(types[i], raw, x, n);
        for (size_t k = 0; k < n; k++) sum += (double)x[k], squares += (double)x[k] * (double)x[k];
        double mean = sum / (double)n, deviation = sqrt(squares / (double)n - mean * mean);
        CHECK(fabs(mean) < 0.0005 && deviation > 0.019 && deviation < 0.0215, "%s: mean %g, deviation %g",
              block_info(types[i])->name, mean, deviation);
    }
    free(noise), free(x), free(raw);
}

/* ---- vocabularies ---- */

static int by_text(const void *a, const void *b)
{
    const struct gguf_string *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static struct gguf_string *texts_of(const struct wordlist *v)
{
    struct gguf_string *list = malloc(v->count * sizeof *list);
    const uint8_t *cursor = v->tokens.data;
    for (uint32_t i = 0; i < v->count; i++) list[i] = gguf_next_string(&cursor);
    CHECK(cursor == v->tokens.data + v->tokens.n && v->scores.n == 4 * v->count && v->types.n == 4 * v->count);
    return list;
}

static bool is(struct gguf_string s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.text, text, s.n);
}

static uint32_t repeated(struct gguf_string *list, uint32_t n)
{
    uint32_t twice = 0;
    qsort(list, n, sizeof *list, by_text);
    for (uint32_t i = 1; i < n; i++) twice += !by_text(&list[i - 1], &list[i]);
    return twice;
}

TEST(a_full_vocabulary_lies_as_published)
{
    static const struct {
        uint32_t id;
        const char *text;
        int type;
    } known[] = {
        {0, "<pad>", 3}, {1, "<eos>", 3}, {2, "<bos>", 3}, {3, "<unk>", 3}, {4, "<mask>", 3}, {5, "[multimodal]", 4},
        {6, "<unused0>", 3}, {104, "<unused98>", 3}, {105, "<start_of_turn>", 3}, {106, "<end_of_turn>", 3},
        {107, "\n", 4}, {109, "\n\n\n", 4}, {138, "  ", 4}, {168, "<table>", 4}, {173, "<tr>", 4}, {175, "<td>", 4},
        {176, "</table>", 4}, {181, "</tr>", 4}, {183, "</td>", 4}, {212, "</s>", 4}, {237, "</footer>", 4},
        {238, "<0x00>", 6}, {493, "<0xFF>", 6}, {236743, "▁", 1}, {255968, "\t", 4}, {255999, "<start_of_image>", 3},
        {256000, "<end_of_image>", 3}, {256001, "<unused99>", 3}, {262143, "<unused6241>", 3},
        {262144, "<image_soft_token>", 3}, {262145, "[PAD262145]", 5}, {262207, "[PAD262207]", 5},
    };
    struct wordlist v;
    NEED(wordlist_invent(&v, 262208, why));
    struct gguf_string *list = texts_of(&v);
    CHECK(v.count == 262208);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct gguf_string s = list[known[i].id];
        CHECK(is(s, known[i].text), "%u is %.*s", known[i].id, (int)s.n, s.text);
        CHECK(v.types.data[4 * known[i].id] == known[i].type, "type of %u", known[i].id);
    }
    CHECK(list[137].n == 31 && list[167].n == 31 && list[255998].n == 31);
    float last = INFINITY, score;
    for (uint32_t id = 494; id < 236743; id++) {
        memcpy(&score, v.scores.data + 4 * id, 4);
        CHECK(score < last && list[id].n >= 2, "%u", id);
        last = score;
    }
    CHECK(repeated(list, v.count) == 0);
    free(list);
    wordlist_free(&v);
}

TEST(a_small_vocabulary_has_bytes_and_turns_and_no_text_twice)
{
    static const uint32_t counts[] = {WORDLIST_LEAST, 400, 512, 5000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct wordlist v;
        NEED(wordlist_invent(&v, counts[i], why));
        struct gguf_string *list = texts_of(&v);
        CHECK(v.count == counts[i] && is(list[2], "<bos>") && is(list[5], "<0x00>") && is(list[260], "<0xFF>"));
        CHECK(is(list[261], "<start_of_turn>") && is(list[262], "<end_of_turn>") && is(list[266], "\n") &&
              is(list[361], "~"));
        CHECK(repeated(list, v.count) == 0);
        free(list);
        wordlist_free(&v);
    }
}

TEST(a_vocabulary_can_be_taken_from_another_model)
{
    struct synth s;
    struct wordlist v, w;
    char a[64], b[64];
    thin(&s, "tiny");
    NEED(synth_write(&s, temporary(a), why));
    s.tokenizer = a, s.seed = 2, s.vocab = 999;
    NEED(synth_write(&s, temporary(b), why));
    NEED(wordlist_copy(&v, b, why));
    NEED(wordlist_invent(&w, 400, why));
    CHECK(v.count == 400 && v.bos == 2 && v.eos == 1 && v.unknown == 3 && v.padding == 0);
    CHECK(v.tokens.n == w.tokens.n && !memcmp(v.tokens.data, w.tokens.data, v.tokens.n));
    CHECK(v.scores.n == w.scores.n && !memcmp(v.scores.data, w.scores.data, v.scores.n));
    CHECK(v.types.n == w.types.n && !memcmp(v.types.data, w.types.data, v.types.n));
    wordlist_free(&v), wordlist_free(&w);
    struct err no;
    CHECK(wordlist_copy(&v, "/nonexistent.gguf", &no) == E_FILE);
    unlink(a), unlink(b);
}
