/* tests/unit/stage/sampler_test.c — what the sampler keeps, how often it draws it, and that a draw is nobody else's business.
 *
 * Frequencies are compared by chi-square over fixed seeds, so a claim either always holds or never. The bounds are the
 * 99.9% points; a sampler that is off by 3% fails them at 20000 draws. */
#include "tests/support/check.h"
#include "worker/stage/sampler.h"

#include <math.h>
#include <stdlib.h>

#define DRAWS 20000

static const struct sampling plain = {.temperature = 1, .top_p = 1, .repeat_penalty = 1};

static uint32_t pick(const float *scores, uint32_t n, struct sampling how, uint64_t request, uint32_t position)
{
    float copy[64];
    uint32_t ids[64];
    memcpy(copy, scores, n * sizeof *scores);
    struct draw d = {copy, n, 0, ids, &how, NULL, 0, request, position, NULL, 0, 0, NULL};
    uint32_t id = sampler_pick(&d);
    CHECK(!memcmp(copy, scores, n * sizeof *scores), "scores must come back as they were");
    return id;
}

static void count(const float *scores, uint32_t n, struct sampling how, uint32_t *seen)
{
    memset(seen, 0, n * sizeof *seen);
    for (uint32_t i = 0; i < DRAWS; i++) seen[pick(scores, n, how, 3, i)]++;
}

/* Chi-square of what was seen against weights; ids of weight 0 must not occur. */
static double distance(const uint32_t *seen, const double *weights, uint32_t n)
{
    double all = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++) all += weights[i];
    for (uint32_t i = 0; i < n; i++) {
        double expected = DRAWS * weights[i] / all, off = seen[i] - expected;
        if (weights[i] > 0) sum += off * off / expected;
        else if (seen[i]) return INFINITY;
    }
    return sum;
}

static const float scores[8] = {0.5f, 2.0f, -1.0f, 2.0f, 0.0f, 1.5f, -3.0f, 1.0f};

static void expect(const struct sampling *how, const bool kept[8], double bound, const char *what)
{
    double weights[8];
    uint32_t seen[8];
    for (int i = 0; i < 8; i++) weights[i] = kept[i] ? exp((double)scores[i] / (double)how->temperature) : 0;
    count(scores, 8, *how, seen);
    double d = distance(seen, weights, 8);
    CHECK(d < bound, "%s: chi-square %.1f, bound %.1f", what, d, bound);
}

TEST(draws_follow_the_softmax)
{
    const bool all[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct sampling how = plain;
    for (uint64_t seed = 0; seed < 3; seed++) {
        how.seed = seed;
        how.temperature = 1, expect(&how, all, 24.3, "temperature 1");
        how.temperature = 0.5f, expect(&how, all, 24.3, "temperature 0.5");
        how.temperature = 3, expect(&how, all, 24.3, "temperature 3");
    }
}

TEST(top_k_keeps_the_best_k)
{
    struct sampling how = plain;
    how.top_k = 3, expect(&how, (bool[8]){0, 1, 0, 1, 0, 1, 0, 0}, 13.8, "top 3");
    how.top_k = 7, expect(&how, (bool[8]){1, 1, 1, 1, 1, 1, 0, 1}, 22.5, "top 7");
    how.top_k = 8, expect(&how, (bool[8]){1, 1, 1, 1, 1, 1, 1, 1}, 24.3, "top 8 of 8");
    how.top_k = 100, expect(&how, (bool[8]){1, 1, 1, 1, 1, 1, 1, 1}, 24.3, "more than there are");
    how.top_k = 1;
    CHECK(pick(scores, 8, how, 0, 0) == 1, "of two best, the lower id");
}

/* Shares at temperature 1, best first: ids 1 and 3 have 0.296 each, 5 has 0.179, 7 has 0.109, 0 has 0.066. */
TEST(top_p_keeps_the_smallest_set_that_reaches_it)
{
    struct sampling how = plain;
    how.top_p = 0.29f, expect(&how, (bool[8]){0, 1, 0, 0, 0, 0, 0, 0}, 1, "0.29");
    how.top_p = 0.30f, expect(&how, (bool[8]){0, 1, 0, 1, 0, 0, 0, 0}, 10.8, "0.30");
    how.top_p = 0.60f, expect(&how, (bool[8]){0, 1, 0, 1, 0, 1, 0, 0}, 13.8, "0.60");
    how.top_p = 0.80f, expect(&how, (bool[8]){0, 1, 0, 1, 0, 1, 0, 1}, 16.3, "0.80");
    how.top_p = 0, expect(&how, (bool[8]){0, 1, 0, 0, 0, 0, 0, 0}, 1, "0 keeps the best");
    how.top_p = 0.30f, how.temperature = 50;
    expect(&how, (bool[8]){0, 1, 0, 1, 0, 0, 0, 0}, 10.8, "temperature comes after");
    how.temperature = 1, how.top_p = 0.7f, how.top_k = 3; /* shares of the three: 0.384, 0.384, 0.233 */
    expect(&how, (bool[8]){0, 1, 0, 1, 0, 0, 0, 0}, 10.8, "top-p sees what top-k left");
}

TEST(min_p_is_relative_to_the_best)
{
    struct sampling how = plain;
    how.min_p = 0.36f, expect(&how, (bool[8]){0, 1, 0, 1, 0, 1, 0, 1}, 16.3, "exp(-1) = 0.368");
    how.min_p = 0.37f, expect(&how, (bool[8]){0, 1, 0, 1, 0, 1, 0, 0}, 13.8, "0.37");
    how.min_p = 1, expect(&how, (bool[8]){0, 1, 0, 1, 0, 0, 0, 0}, 10.8, "1 keeps equals");
}

TEST(greedy_takes_the_best_and_the_lower_of_equals)
{
    struct sampling how = plain;
    how.temperature = 0;
    CHECK(pick(scores, 8, how, 1, 1) == 1);
    const float flat[5] = {-2, -2, -2, -2, -2}, zeros[3] = {-1, -0.0f, 0.0f};
    CHECK(pick(flat, 5, how, 1, 1) == 0);
    CHECK(pick(zeros, 3, how, 1, 1) == 1);
}

TEST(equal_scores_are_ordered_by_id)
{
    float flat[40];
    bool seen[40] = {0};
    struct sampling how = plain;
    for (int i = 0; i < 40; i++) flat[i] = 1;
    how.top_k = 10;
    for (uint32_t i = 0; i < 2000; i++) seen[pick(flat, 40, how, 0, i)] = true;
    for (int i = 0; i < 40; i++) CHECK(seen[i] == (i < 10), "id %d", i);
    memset(seen, 0, sizeof seen);
    how.top_k = 0, how.top_p = 0.24f; /* 10 of 40 */
    for (uint32_t i = 0; i < 2000; i++) seen[pick(flat, 40, how, 0, i)] = true;
    for (int i = 0; i < 40; i++) CHECK(seen[i] == (i < 10), "id %d by top-p", i);
}

TEST(a_tiny_temperature_is_greedy_and_a_huge_one_is_even)
{
    struct sampling how = plain;
    how.temperature = 1e-30f;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t id = pick(scores, 8, how, 0, i);
        CHECK(id == 1 || id == 3, "%u", id); /* equals, so both may come */
    }
    how.temperature = 1e30f;
    double even[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    uint32_t seen[8];
    count(scores, 8, how, seen);
    CHECK(distance(seen, even, 8) < 24.3);
}

TEST(far_below_the_best_is_never_drawn)
{
    const float far[4] = {-1e30f, 0, -3e38f, -200};
    for (uint32_t i = 0; i < 1000; i++) CHECK(pick(far, 4, plain, 0, i) == 1);
}

static uint32_t penalised(float penalty, const uint32_t *recent, uint32_t n)
{
    float copy[4] = {2.0f, 1.5f, -1.0f, -1.2f};
    const float before[4] = {2.0f, 1.5f, -1.0f, -1.2f};
    uint32_t ids[4];
    struct sampling how = plain;
    how.temperature = 0, how.repeat_penalty = penalty, how.repeat_last = n;
    struct draw d = {copy, 4, 0, ids, &how, recent, n, 0, 0, NULL, 0, 0, NULL};
    uint32_t id = sampler_pick(&d);
    CHECK(!memcmp(copy, before, sizeof copy), "scores must come back as they were");
    return id;
}

TEST(repetition_is_penalised_once_per_id)
{
    CHECK(penalised(1, (uint32_t[]){0}, 1) == 0);
    CHECK(penalised(1.5f, (uint32_t[]){0}, 1) == 1, "2 / 1.5 is less than 1.5");
    CHECK(penalised(1.2f, (uint32_t[]){0, 0, 0}, 3) == 0, "2 / 1.2 stays ahead, however often it came");
    CHECK(penalised(10, (uint32_t[]){0, 1, 3}, 3) == 0, "0.2 beats 0.15 and what is below zero");
    CHECK(penalised(1.5f, (uint32_t[]){0xdeadbeef, 4, 0}, 3) == 1, "ids that are no words are passed over");
    CHECK(penalised(0.5f, (uint32_t[]){1}, 1) == 1, "a penalty below 1 is a favour");
}

/* Which word wins, the second of n_biases being that of a word which is somebody else's. */
static uint32_t biased(uint32_t word, float amount, float penalty, struct candidate *raw)
{
    float copy[4] = {2.0f, 1.5f, -1.0f, -1.2f};
    const float before[4] = {2.0f, 1.5f, -1.0f, -1.2f};
    uint32_t ids[4], recent = 50;
    uint8_t bytes[3 * WIRE_BIAS_BYTES];
    static struct candidate out[WIRE_CANDIDATES];
    struct work w = {.n_biases = 3, .biases = bytes};
    struct sampling how = {.top_p = 1, .repeat_penalty = penalty, .repeat_last = 1};
    bias_put(bytes, 0, (struct bias){0, 49, 1000});
    bias_put(bytes, 1, (struct bias){0, word, amount});
    bias_put(bytes, 2, (struct bias){0, 54, 1000});
    struct draw d = {copy, 4, 50, ids, &how, &recent, 1, 0, 0, &w, 0, 3, NULL};
    const uint32_t id = sampler_pick(&d);
    CHECK(sampler_candidates(&d, out) == 1 && out[0].id == 50 + id && out[0].raw == before[id], "%u, %g", out[0].id, (double)out[0].raw);
    *raw = out[0];
    CHECK(!memcmp(copy, before, sizeof copy), "scores must come back as they were");
    return id;
}

TEST(biases_are_added_behind_the_repeat_penalty_and_taken_back)
{
    struct candidate c;
    CHECK(biased(50, 0, 1, &c) == 0);
    CHECK(biased(50, -100, 1, &c) == 1 && biased(50, -INFINITY, 1, &c) == 1);
    CHECK(biased(53, 100, 1, &c) == 3 && c.score == -1.2f + 100);
    CHECK(biased(53, 3.25f, 1, &c) == 3 && biased(53, 3.125f, 1, &c) == 0);
    CHECK(biased(50, 1, 4, &c) == 0 && c.score == 1.5f, "2 / 4 + 1 is as much as 1.5, and the lower id");
    CHECK(biased(50, 0.5f, 4, &c) == 1);
}

TEST(the_likeliest_words_are_those_of_the_scores_as_they_are)
{
    float some[8];
    uint32_t ids[8];
    struct candidate out[3];
    const struct sampling how = plain;
    memcpy(some, scores, sizeof some);
    struct draw d = {some, 8, 50, ids, &how, NULL, 0, 0, 0, NULL, 0, 0, NULL};
    CHECK(sampler_best(&d, 3, out) == 3 && out[0].id == 51 && out[1].id == 53 && out[2].id == 55 && out[2].raw == 1.5f);
    d.words = 2;
    CHECK(sampler_best(&d, 3, out) == 2 && out[1].id == 50 && out[1].score == 0.5f);
}

TEST(a_draw_depends_on_seed_request_and_position_only)
{
    const double first = sampler_uniform(1, 2, 3);
    CHECK(sampler_uniform(1, 2, 3) == first);
    CHECK(sampler_uniform(2, 2, 3) != first && sampler_uniform(1, 3, 3) != first && sampler_uniform(1, 2, 4) != first);
    CHECK(sampler_uniform(1, 2, 3) != sampler_uniform(2, 1, 3) && sampler_uniform(1, 2, 3) != sampler_uniform(1, 3, 2));
    struct sampling how = plain;
    how.top_k = 6, how.top_p = 0.9f;
    uint32_t alone[50];
    for (uint32_t i = 0; i < 50; i++) alone[i] = pick(scores, 8, how, 7, i);
    for (uint32_t i = 50; i-- > 0;) { /* backwards, others in between */
        pick(scores, 8, how, 8, i);
        CHECK(pick(scores, 8, how, 7, i) == alone[i], "position %u", i);
    }
}

TEST(draws_are_even_along_every_key)
{
    for (int key = 0; key < 3; key++) {
        uint32_t seen[16] = {0}, pairs = 0;
        double last = 0, chi = 0;
        for (uint32_t i = 0; i < DRAWS; i++) {
            double u = sampler_uniform(key == 0 ? i : 5, key == 1 ? i : 6, key == 2 ? i : 7);
            CHECK(u >= 0 && u < 1);
            seen[(int)(u * 16)]++;
            pairs += (u < 0.5) == (last < 0.5);
            last = u;
        }
        for (int i = 0; i < 16; i++) chi += pow(seen[i] - DRAWS / 16.0, 2) / (DRAWS / 16.0);
        CHECK(chi < 37.7, "key %d: chi-square %.1f", key, chi);
        CHECK(fabs(pairs - DRAWS / 2.0) < 233, "key %d: neighbours agree %u times", key, pairs);
    }
}

TEST(what_is_no_word_is_never_sampled)
{
    const uint32_t vocab = 262208;
    float *big = malloc(vocab * sizeof *big);
    uint32_t *ids = malloc(vocab * sizeof *ids);
    struct sampling how = plain;
    for (uint32_t i = 0; i < vocab; i++) big[i] = (float)(hash_fold(1, i) % 1000) * 0.001f;
    big[255999] = big[256000] = big[262144] = big[262207] = 50, big[4711] = 20;
    sampler_forbid(big, 0, vocab, vocab);
    struct draw d = {big, vocab, 0, ids, &how, NULL, 0, 0, 0, NULL, 0, 0, NULL};
    for (how.top_k = 0; how.top_k <= 128; how.top_k += 64)
        for (how.temperature = 0; how.temperature < 2; how.temperature++) CHECK(sampler_pick(&d) == 4711);
    for (uint32_t i = 0; i < vocab; i++)
        CHECK((big[i] == -INFINITY) == (i == 255999 || i == 256000 || i >= 262144), "id %u", i);
    float small[8];
    memcpy(small, scores, sizeof small);
    sampler_forbid(small, 0, 8, 8);
    CHECK(!memcmp(small, scores, sizeof small), "other vocabularies are left alone");
    free(big);
    free(ids);
}

/* Against a plain sort, with many equal scores. */
TEST(top_k_of_many_agrees_with_sorting)
{
    enum { N = 5000 };
    static float many[N];
    static uint32_t ids[N];
    for (uint32_t i = 0; i < N; i++) many[i] = (float)(hash_fold(9, i) % 300) * 0.01f;
    for (uint32_t k = 1; k < N; k = k * 3 + 1) {
        struct sampling how = plain;
        how.top_k = k, how.temperature = 1e30f; /* even: the last of the walk comes up too */
        uint32_t above = 0, limit = 0;
        float least = 3;
        for (; above <= N; least -= 0.01f) { /* the value at which k is reached */
            above = 0;
            for (uint32_t i = 0; i < N; i++) above += many[i] > least - 0.005f;
            if (above >= k) break;
        }
        uint32_t better = 0;
        for (uint32_t i = 0; i < N; i++) better += many[i] > least + 0.005f;
        for (uint32_t i = 0, room = k - better; i < N && room; i++)
            if (fabsf(many[i] - least) < 0.005f) limit = i, room--;
        for (uint32_t p = 0; p < 200; p++) {
            struct draw d = {many, N, 0, ids, &how, NULL, 0, 1, p, NULL, 0, 0, NULL};
            uint32_t id = sampler_pick(&d);
            CHECK(many[id] > least + 0.005f || (many[id] > least - 0.005f && id <= limit), "k %u: id %u", k, id);
        }
    }
}

static void refused(struct sampling s, const char *words)
{
    struct err e = {0};
    CHECK(sampling_check(&s, &e) == E_WIRE && strstr(e.text, words), "\"%s\", wanted \"%s\"", e.text, words);
}

TEST(numbers_that_make_no_sense_are_refused)
{
    struct sampling s = plain;
    CHECK(sampling_check(&s, NULL) == 0);
    s.temperature = -1, refused(s, "temperature");
    s.temperature = INFINITY, refused(s, "temperature");
    s.temperature = NAN, refused(s, "temperature");
    s = plain, s.top_p = NAN, refused(s, "top-p");
    s = plain, s.min_p = 1.5f, refused(s, "min-p");
    s = plain, s.repeat_penalty = 0, refused(s, "penalty");
    s = plain, s.repeat_last = 257, refused(s, "257");
}
