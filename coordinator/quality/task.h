/* coordinator/quality/task.h — one question of a test, as lm-evaluation-harness writes it, and what an answer to it is worth.
 *
 * A line of its samples_*.jsonl (--log_samples), of which these fields are read, or the same by hand:
 *
 *   "arguments"    [[context, continuation], …], or {"gen_args_0": {"arg_0": context, "arg_1": continuation}, …}; of an answer that is
 *                  generated one argument, whose second part is {"until": [texts], "max_gen_toks": 256}
 *   "target"       of several choices the right one's number from 0, or its text; of an answer its text
 *   "output_type"  "multiple_choice", "loglikelihood" or "generate_until"; where it is missing the arguments say which
 *   "doc_id"       passed on
 *   "images"       pictures: paths beside the file and data: URLs, which stand where the context says <image>, or before it
 *
 * The context is not put into turns, may make control tokens (a chat template's, where the harness applied one), and gets <bos> if it
 * has none. Blanks that end it belong to the continuation. What is judged of context and continuation, encoded as one text, are the
 * tokens behind as many as the context alone has: all as the harness does it. */
#pragma once

#include "coordinator/text/prompt.h"

#define TASK_CHOICES 128
#define TASK_STOPS 16
#define TASK_PICTURES 64

enum task_kind { TASK_CHOICE, TASK_LIKELIHOOD, TASK_GENERATE };

/* What of an answer, and of its target, is compared: all; all but white space around it; its first line, the same; its last number. */
enum task_filter { FILTER_STRIP, FILTER_WHOLE, FILTER_FIRST_LINE, FILTER_LAST_NUMBER, TASK_FILTERS };
extern const char *const task_filter_names[TASK_FILTERS];

struct task_text {
    char *text; /* [n], and a 0 behind them */
    size_t n;
};

struct task {
    enum task_kind kind;
    uint64_t doc; /* its number; of a line that says none the line's */
    struct task_text context[TASK_CHOICES], continuation[TASK_CHOICES]; /* [n] */
    uint32_t n;
    struct task_text target, type;
    uint32_t right; /* of TASK_CHOICE */
    char *stop[TASK_STOPS];
    uint32_t n_stops, most; /* of TASK_GENERATE: tokens of the answer */
    char *pictures[TASK_PICTURES];
    size_t n_pictures;
};

/* Line number `line` of a file of this name. E_MEMORY; else it cannot be asked, and the sentence says why. task_free in any case. */
int task_read(struct task *t, const char *text, size_t n, const char *file, size_t line, struct err *why);
void task_free(struct task *t);

/* The ids of argument i, of which the last *judged are to be judged; 0 if an answer is to be generated. `rows` of a picture, 0 without
 * an encoder. */
int task_prompt(const struct task *t, uint32_t i, const struct tokenizer *tokens, uint32_t rows, struct ids *ids, struct picture_spans *spans,
                uint32_t *judged, struct err *why);

/* What came of one argument. */
struct task_answer {
    double likelihood; /* ln of the probability of the continuation */
    bool greedy;       /* each of its tokens was the likeliest */
    const char *text;  /* [n], generated */
    size_t n;
};

/* The line's result, as JSON without a line end; *out is the caller's. */
int task_result(char **out, size_t *bytes, const struct task *t, size_t line, enum task_filter filter, const struct task_answer *answer,
                struct err *why);
