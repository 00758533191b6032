/* coordinator/quality/base_scores.h — the scores of a base model over the chunks of a text, in a file: what others are compared with.
 *
 * The form is that of llama.cpp's tool (--kl-divergence-base, there and here), so either reads what the other wrote:
 *
 *   "_logits_" · u32 context · i32 vocabulary · i32 chunks · i32 ids [chunks, context], as they are in the text
 *   for each chunk, for each of its judged words a record, of the row before it:
 *     f32 step · f32 lowest · u16 [vocabulary, rounded up to even]: the log-probability of a word is lowest + its number * step
 *
 * Words less likely than exp(-16) times the likeliest are all put at the lowest. Half a megabyte a word, so a chunk of 512 is 134 MB. */
#pragma once

#include "base/mapped.h"
#include "base/whole_file.h"
#include "coordinator/quality/windows.h"

struct base_scores {
    struct mapped map;
    struct windows text; /* its ids are the file's, in memory */
    uint32_t vocab;
    uint32_t *ids;
    const uint8_t *records;
};

/* E_FILE unless it is one, of this vocabulary, with as many bytes as its head says. base_scores_close in any case. */
int base_scores_open(struct base_scores *b, const char *path, uint32_t vocab, struct err *why);
void base_scores_close(struct base_scores *b);

/* Word number i of all that are judged. */
const uint8_t *base_scores_record(const struct base_scores *b, size_t i);

/* A file that is being made. Rows come in order but where a worker was lost; those that come early wait here. */
struct base_maker {
    struct whole_file *file;
    uint32_t vocab;
    size_t next, n;  /* words written, of all */
    uint8_t **early; /* [n], records that wait */
};

/* Start with {0}; base_maker_close in any case: with code 0 the file gets its name. Returns the code. */
int base_maker_open(struct base_maker *m, const char *path, const struct windows *text, uint32_t vocab, struct err *why);
int base_maker_put(struct base_maker *m, size_t i, const float *scores, struct err *why);
int base_maker_close(struct base_maker *m, int code, struct err *why);

/* What a row of scores says beside its record. */
struct divergence {
    double kl;       /* of the base's probabilities to these: sum of p_base ln(p_base / p) */
    double base_nll; /* -ln of the probability of the word that came */
    double p_more;   /* its probability here less that of the base */
    bool same_top;
};
struct divergence base_scores_compare(const uint8_t *record, const float *scores, uint32_t vocab, uint32_t word);
