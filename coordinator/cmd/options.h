/* coordinator/cmd/options.h — the command line as one table: what each option is called, takes, means, and who takes it. */
#pragma once

#include "base/error.h"
#include "partition/plan/plan.h"
#include "transport/wire/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum command {
    CMD_RUN = 1, CMD_CHAT = 2, CMD_LOGITS = 4, CMD_TOKENIZE = 8, CMD_DETOKENIZE = 16, CMD_PLAN = 32,
    CMD_EMBED = 64, CMD_BENCH = 128, CMD_BATCH = 256, CMD_SERVE = 512,
    CMD_PERPLEXITY = 1024, CMD_EVAL = 2048,
    CMD_UP = 4096, CMD_STATUS = 8192, CMD_LOGS = 16384, CMD_DOWN = 32768,
};

#define IMAGES_MOST 64 /* --image on one command line */
#define NUMBERS_MOST 16 /* in a list such as --batch 1,8,16 */

struct numbers {
    uint32_t n, at[NUMBERS_MOST];
};

/* What a sweep can vary, each under its name on the command line and as a column of the table. */
enum swept { SWEPT_WORKERS, SWEPT_THREADS, SWEPT_ROWS, SWEPT_IN_FLIGHT, SWEPT_SEQUENCES, SWEPT_PROMPT, SWEPT_ANSWER, SWEPT_PREFIX, SWEPT };
struct swept_kind {
    const char *name;
    uint32_t least, most;
    const char *says; /* what a number means, for the axis of a drawing */
};
extern const struct swept_kind swept_kinds[SWEPT];

struct axis { /* of a sweep */
    enum swept what;
    struct numbers values;
};

struct options {
    /* the model and who computes it */
    const char *model;
    const char *mmproj, *vision_split;
    int vision_workers; /* the last so many have no text; 0: all have */
    bool vision_q8; /* keep the encoder's float matrices as Q8_0 */
    bool whole_head; /* the head in one piece, whatever the plan would gain */
    const char *split, *connect, *cluster, *memory;
    const char *keys; /* folder */
    bool insecure; /* links are plain, also to other machines */
    int workers, here; /* local processes; threads of this process. 0: not asked */
    int threads;       /* of a worker; 0: its share of the cores */
    bool pin;          /* the threads of workers started here, each to a core of its own */
    const char *cache;   /* folder for packed layers of workers started here */
    uint64_t cache_size; /* its bytes, at most; 0: no limit */
    bool send_weights; /* stream the parts even to workers that could open the file */
    bool exact_embed_scale;
    struct numeric_mode numbers;
    bool kv_chosen; /* else f16, or f32 with float32 math */
    uint32_t verify; /* every so many answers one is computed again; 0: none */
    bool lookup; /* guess at what follows */
    bool no_prefix_reuse;
    int wait; /* seconds for workers to answer; 0: not asked */
    enum plan_aim aim; /* of --for */
    uint32_t aim_sequences; /* 0: not said */
    float pictures; /* that come with a request, in the mean */
    bool probe, no_probe; /* measure the workers, of plan; never do, and never mind how fast they once were */
    int patience; /* seconds for others to come in the place of lost workers; 0: a loss is the end */
    int spare;
    int replicas; /* as struct cluster_wish has them */
    const char *accept;

    /* what the run is prepared for; 0: as much as it needs */
    uint32_t context, sequences, kv_positions, rows, in_flight;

    /* what to answer, and how */
    const char *prompt, *prompts_file, *system;
    const char *images[IMAGES_MOST];
    uint32_t n_images;
    bool pan_and_scan;
    uint64_t picture_memory; /* bytes that reading one may take */
    bool raw;
    uint32_t most;
    struct sampling sampling;

    /* what to show */
    bool report, fingerprint, quiet, verbose, help;
    const char *trace, *timeline, *report_json; /* files */
    bool json; /* plan, bench, perplexity, eval */

    /* plan --simulate: a cluster file, and what is asked of it; tokens from least to most */
    const char *simulate;
    uint32_t requests;
    float arrivals; /* of them a second; 0: all at once */
    struct numbers prompt_tokens, answer_tokens;

    /* bench: rows of prompts, tokens of answers, and how many of each at once */
    struct numbers pp, tg, pp_batch, batch;
    uint32_t depth, reps;
    bool depth_drawn; /* these are not computed; of logits too */
    struct axis axis[SWEPT]; /* of --sweep, in the order given */
    uint32_t axes;
    const char *jobs, *csv, *plot;

    /* batch */
    const char *in, *errors, *journal, *status, *repair;
    bool resume, overwrite, one_file, strict_fields, no_lock, retry_failed, in_order_done;
    uint64_t created; /* seconds since 1970, as results show it */

    /* serve */
    const char *listen, *api_key_file, *cors, *media_path;
    bool no_auth, any_model;
    const char *tools; /* "generic" */
    const char *store, *metrics_as;
    uint64_t store_size;
    int queue, stall, drain; /* requests; seconds */

    /* eval */
    const char *tasks;
    int filter; /* enum task_filter */

    /* perplexity */
    const char *file, *save_logits, *kl;
    uint32_t stride, chunks;

    /* up, status, logs, down: the cluster file and, if it is about one, a worker */
    const char *words[2], *scan;
    int lines;

    /* logits, tokenize, batch */
    const char *ids, *out;
    bool special;
};

/* Defaults first, the seed drawn, then the command line, where argv[1] is the command. E_USAGE with a sentence. --help prints the
 * manual of the command and exits. */
int options_read(struct options *o, enum command *command, int argc, char **argv, struct err *why);
void options_help(FILE *to); /* the whole program's */
