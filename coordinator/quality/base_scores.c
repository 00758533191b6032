/* coordinator/quality/base_scores.c — see base_scores.h. */
#include "coordinator/quality/base_scores.h"

#include "base/inputs.h"
#include "base/little_endian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "_logits_"
#define HEAD_BYTES 20
#define RECORD_HEAD 8
#define RANGE 16.0f /* of log-probabilities that a record tells apart */
#define LEVELS 65535.0f
#define IDS_MOST (1u << 28)

static uint64_t record_bytes(uint32_t vocab)
{
    return RECORD_HEAD + 2 * ((uint64_t)vocab + (vocab & 1));
}

static uint64_t judged(const struct windows *text)
{
    return windows_count(text) * (uint64_t)(text->context - text->context / 2 - 1);
}

static float float_at(const uint8_t *at)
{
    const uint32_t bits = le32(at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void put_float(uint8_t *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_le(at, bits, 4);
}

/* ---- reading ---- */

static int read_ids(struct base_scores *b, uint32_t chunks, struct err *why)
{
    const uint64_t n = (uint64_t)chunks * b->text.context;
    const uint8_t *at = b->map.data + HEAD_BYTES;
    if (n > IDS_MOST || b->map.bytes < HEAD_BYTES + 4 * n)
        return fail(why, E_FILE, "%s says %u chunks of %u ids, and has %llu bytes", b->map.path, chunks, b->text.context,
                    (unsigned long long)b->map.bytes);
    b->ids = malloc(n * sizeof *b->ids);
    if (!b->ids) return fail(why, E_MEMORY, "no memory for the %llu ids of %s", (unsigned long long)n, b->map.path);
    for (uint64_t i = 0; i < n; i++) {
        b->ids[i] = le32(at + 4 * i);
        if (b->ids[i] >= b->vocab) return fail(why, E_FILE, "%s has the id %u; the vocabulary has %u", b->map.path, b->ids[i], b->vocab);
    }
    b->text.ids = b->ids;
    b->text.n = n;
    b->records = at + 4 * n;
    return 0;
}

int base_scores_open(struct base_scores *b, const char *path, uint32_t vocab, struct err *why)
{
    *b = (struct base_scores){.vocab = vocab};
    inputs_add(path);
    TRY(mapped_open(&b->map, path, UINT64_MAX, why));
    if (b->map.bytes < HEAD_BYTES || memcmp(b->map.data, MAGIC, 8))
        return fail(why, E_FILE, "%s does not begin with \"%s\": it holds no base to compare with", path, MAGIC);
    b->text.context = le32(b->map.data + 8);
    const uint32_t words = le32(b->map.data + 12), chunks = le32(b->map.data + 16);
    if (words != vocab) return fail(why, E_FILE, "%s is of a vocabulary of %u words, the model has %u", path, words, vocab);
    if (b->text.context < 4 || b->text.context > IDS_MOST || !chunks) return fail(why, E_FILE, "%s says %u chunks of %u ids", path, chunks, b->text.context);
    TRY(read_ids(b, chunks, why));
    const uint64_t want = (uint64_t)(b->records - b->map.data) + judged(&b->text) * record_bytes(vocab);
    if (b->map.bytes == want) return 0;
    return fail(why, E_FILE, "%s has %llu bytes; %u chunks of %u ids want %llu", path, (unsigned long long)b->map.bytes, chunks, b->text.context,
                (unsigned long long)want);
}

void base_scores_close(struct base_scores *b)
{
    mapped_close(&b->map);
    free(b->ids);
    *b = (struct base_scores){0};
}

const uint8_t *base_scores_record(const struct base_scores *b, size_t i)
{
    return b->records + i * record_bytes(b->vocab);
}

/* ---- writing ---- */

static int write_head(const struct base_maker *m, const struct windows *text, struct err *why)
{
    const uint64_t n = (uint64_t)windows_count(text) * text->context, head = HEAD_BYTES + 4 * n;
    uint8_t *bytes = malloc(head);
    if (!bytes) return fail(why, E_MEMORY, "no memory for %llu ids", (unsigned long long)n);
    memcpy(bytes, MAGIC, 8);
    put_le(bytes + 8, text->context, 4);
    put_le(bytes + 12, m->vocab, 4);
    put_le(bytes + 16, windows_count(text), 4);
    for (uint64_t i = 0; i < n; i++) put_le(bytes + HEAD_BYTES + 4 * i, text->ids[i], 4);
    int code = whole_file_reserve(m->file, head + m->n * record_bytes(m->vocab), why);
    if (!code) code = whole_file_write(m->file, bytes, head, why);
    free(bytes);
    return code;
}

int base_maker_open(struct base_maker *m, const char *path, const struct windows *text, uint32_t vocab, struct err *why)
{
    *m = (struct base_maker){.vocab = vocab, .n = judged(text)};
    m->early = calloc(m->n, sizeof *m->early);
    if (!m->early) return fail(why, E_MEMORY, "no memory for %zu records", m->n);
    TRY(whole_file_open(&m->file, path, why));
    return write_head(m, text, why);
}

int base_maker_close(struct base_maker *m, int code, struct err *why)
{
    for (size_t i = 0; m->early && i < m->n; i++) free(m->early[i]);
    free(m->early);
    if (!code && m->next < m->n) code = fail(why, E_INTERNAL, "%zu of %zu records came", m->next, m->n);
    code = whole_file_close(&m->file, code, why);
    *m = (struct base_maker){0};
    return code;
}

/* ln of the sum of exp(score), and the best score. */
static double log_sum(const float *scores, uint32_t n, float *best)
{
    double sum = 0;
    *best = scores[0];
    for (uint32_t i = 1; i < n; i++) *best = scores[i] > *best ? scores[i] : *best;
    for (uint32_t i = 0; i < n; i++) sum += (double)expf(scores[i] - *best);
    return (double)*best + log(sum);
}

static void make_record(uint8_t *record, const float *scores, uint32_t vocab)
{
    float best, least = scores[0];
    const float sum = (float)log_sum(scores, vocab, &best);
    for (uint32_t k = 1; k < vocab; k++) least = scores[k] < least ? scores[k] : least;
    if (least < best - RANGE) least = best - RANGE;
    const float step = (best - least) / LEVELS;
    put_float(record, step);
    put_float(record + 4, least - sum);
    for (uint32_t k = 0; k < vocab && step > 0; k++)
        if (scores[k] > least) put_le(record + RECORD_HEAD + 2 * k, (uint64_t)lrintf((scores[k] - least) / step), 2);
}

int base_maker_put(struct base_maker *m, size_t i, const float *scores, struct err *why)
{
    const uint64_t size = record_bytes(m->vocab);
    uint8_t *record = m->early[i] = calloc(1, size);
    if (!record) return fail(why, E_MEMORY, "no memory for a record of %llu bytes", (unsigned long long)size);
    make_record(record, scores, m->vocab);
    for (int code = 0; m->next < m->n && m->early[m->next]; m->next++) {
        code = whole_file_write(m->file, m->early[m->next], size, why);
        free(m->early[m->next]);
        m->early[m->next] = NULL;
        if (code) return code;
    }
    return 0;
}

/* ---- comparing ---- */

struct divergence base_scores_compare(const uint8_t *record, const float *scores, uint32_t vocab, uint32_t word)
{
    const float step = float_at(record), lowest = float_at(record + 4);
    const uint8_t *numbers = record + RECORD_HEAD;
    struct divergence d = {0};
    float best;
    const double sum = log_sum(scores, vocab, &best);
    uint32_t top = 0;
    int32_t base_top = -1;
    while (scores[top] < best) top++;
    for (uint32_t i = 0; i < vocab; i++) {
        const int32_t number = numbers[2 * i] | numbers[2 * i + 1] << 8;
        const float p_log = lowest + step * (float)number;
        if (number > base_top) base_top = number, d.same_top = i == top;
        if (p_log > -RANGE) d.kl += (double)expf(p_log) * ((double)p_log - (double)scores[i] + sum);
    }
    const int32_t number = numbers[2 * word] | numbers[2 * word + 1] << 8;
    d.base_nll = -(double)(lowest + step * (float)number);
    d.p_more = exp((double)scores[word] - sum) - exp(-d.base_nll);
    return d;
}
