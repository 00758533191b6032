/* coordinator/cmd/bench.h — prompts and answers of chosen sizes through a launched pipeline, and what they cost.
 *
 * A test is prompts of N rows from an empty cache to the first token ("pp256"), or N tokens of each of B sequences that
 * have said one already ("tg16@8"); both may begin after `depth` rows that do not count. Each is run once to warm up,
 * if it is a long one its beginning only, and then `reps` times. Nothing is measured inside: clocks stand around the engine, and the workers' own counters
 * are asked for before and after. */
#pragma once

#include "coordinator/cmd/session.h"

struct bench_stage { /* of one test, all repetitions together */
    uint64_t busy_ns, blocked_ns, send_ns, batches;
};

struct bench_test {
    char name[48];
    bool prompt; /* rows of prompts; else tokens of answers */
    uint32_t n;  /* of one sequence */
    uint32_t sequences, depth;
    bool drawn; /* rows up to the depth are not computed */
    double *tok_s;                            /* [reps] */
    double median, mean, stddev, least, most; /* of these */
    uint64_t wall_ns;                         /* all repetitions together, as everything below */
    uint64_t batches, rows;                   /* micro-batches sent, rows in them */
    uint64_t wire_bytes;                      /* from process to process, or thread to thread, heads included */
    double first_seconds; /* median over sequences and repetitions: from asking to the first token; prompts only */
    struct bench_stage stage[WORKERS_MOST]; /* as fleet_stage has them: all are stages, as there are no pictures */
};

struct bench {
    uint32_t n, reps;
    struct bench_test *test;
    double ready_seconds; /* from the start of the command to the last READY */
    uint64_t peak;        /* resident bytes of this process */
};

/* Lists the tests the options ask for, and what the pipeline must be prepared for. E_USAGE if the model
 * is too small. */
int bench_open(struct bench *b, const struct options *o, const struct model_config *c, struct err *why);
uint32_t bench_context(const struct bench *b);   /* positions a sequence needs */
uint32_t bench_sequences(const struct bench *b); /* at once, at most */

int bench_run(struct bench *b, struct session *s, struct err *why);
void bench_close(struct bench *b);

/* What a test had to compute and to read, over all repetitions. */
struct bench_work {
    double int8_macs, f32_macs; /* of matrices; by the weights' number format */
    double bytes;               /* weights, once per micro-batch and stage; keys and values of the rows of answers */
};
struct bench_work bench_work(const struct bench_test *t, uint32_t reps, const struct fleet *f);
