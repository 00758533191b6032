/* coordinator/cmd/options.c — see options.h. */
#include "coordinator/cmd/options.h"

#include "base/arguments.h"
#include "base/limits.h"
#include "base/size_text.h"
#include "coordinator/cluster/cluster_wish.h"
#include "coordinator/picture/image.h"
#include "coordinator/quality/task.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PIPELINE (CMD_SERVE | CMD_BATCH | CMD_RUN | CMD_CHAT | CMD_LOGITS | CMD_EMBED | CMD_PERPLEXITY | CMD_EVAL)
#define WORKERS (PIPELINE | CMD_BENCH)
#define REPLICAS (CMD_BATCH | CMD_SERVE | CMD_EVAL | CMD_BENCH | CMD_PLAN)
#define ANSWER (CMD_RUN | CMD_CHAT | CMD_BATCH | CMD_SERVE)
#define SEES (ANSWER | CMD_EVAL | CMD_LOGITS | CMD_EMBED | CMD_BENCH)
#define MACHINES (CMD_UP | CMD_STATUS | CMD_LOGS | CMD_DOWN)
#define ALL (MACHINES | WORKERS | CMD_TOKENIZE | CMD_DETOKENIZE | CMD_PLAN)

#define CONTEXT_MOST (1u << 24) /* positions anyone may ask for; the model has its own limit */

#define INTO struct options

static int take_kv(void *into, const struct argument *a, const char *value, struct err *why)
{
    struct options *o = into;
    (void)a;
    o->kv_chosen = true;
    return numeric_read_kv(value, &o->numbers.kv, why);
}

static int take_math(void *into, const struct argument *a, const char *value, struct err *why)
{
    (void)a;
    return numeric_read_math(value, &((struct options *)into)->numbers.math, why);
}

static int take_wire(void *into, const struct argument *a, const char *value, struct err *why)
{
    (void)a;
    return numeric_read_wire(value, &((struct options *)into)->numbers.wire, why);
}

static int take_image(void *into, const struct argument *a, const char *value, struct err *why)
{
    struct options *o = into;
    (void)a;
    if (o->n_images == IMAGES_MOST) return fail(why, E_USAGE, "more than %d pictures", IMAGES_MOST);
    o->images[o->n_images++] = value;
    return 0;
}

static int take_size(void *into, const struct argument *a, const char *value, struct err *why)
{
    return read_size(value, argument_to(into, a), why);
}

/* "1,8,16" */
static int read_numbers(struct numbers *list, const char *whose, const char *text, uint64_t least, uint64_t most, struct err *why)
{
    list->n = 0;
    for (const char *at = text;; at++) {
        uint64_t v;
        if (!read_digits(&at, &v) || (*at && *at != ',') || v < least || v > most)
            return fail(why, E_USAGE, "--%s wants whole numbers from %u to %u with commas between, not \"%.40s\"", whose, (unsigned)least,
                        (unsigned)most, text);
        if (list->n == NUMBERS_MOST) return fail(why, E_USAGE, "--%s holds more than %d numbers", whose, NUMBERS_MOST);
        list->at[list->n++] = (uint32_t)v;
        if (!*at) return 0;
    }
}

/* 0 alone is an empty list where 0 is allowed. */
static int take_numbers(void *into, const struct argument *a, const char *text, struct err *why)
{
    struct numbers *list = argument_to(into, a), all;
    TRY(read_numbers(&all, a->name, text, a->place.least, a->place.most, why));
    list->n = 0;
    for (uint32_t i = 0; i < all.n; i++)
        if (all.at[i]) list->at[list->n++] = all.at[i];
    return 0;
}

const struct swept_kind swept_kinds[SWEPT] = {
    [SWEPT_WORKERS] = {"workers", 1, WORKERS_MOST, "workers"},
    [SWEPT_THREADS] = {"threads", 1, 1024, "threads of a worker"},
    [SWEPT_ROWS] = {"micro-batch", 1, WIRE_ROWS, "rows of a micro-batch, at most"},
    [SWEPT_IN_FLIGHT] = {"in-flight", 1, IN_FLIGHT_MOST, "micro-batches under way"},
    [SWEPT_SEQUENCES] = {"sequences", 1, WIRE_SEGMENTS, "sequences in flight"},
    [SWEPT_PROMPT] = {"prompt", 1, 1u << 20, "tokens of a prompt"},
    [SWEPT_ANSWER] = {"answer", 1, 1u << 20, "tokens of an answer"},
    [SWEPT_PREFIX] = {"prefix", 0, 99, "% of each prompt that all share"},
};

/* "sequences=1,2,4" */
static int take_sweep(void *into, const struct argument *a, const char *text, struct err *why)
{
    struct options *o = into;
    const size_t n = strcspn(text, "=");
    uint32_t what = 0;
    char whose[32];
    while (what < SWEPT && (strlen(swept_kinds[what].name) != n || strncmp(text, swept_kinds[what].name, n))) what++;
    if (what == SWEPT || !text[n])
        return fail(why, E_USAGE, "--%s wants %s, not \"%.60s\"; what can be swept: workers, threads, micro-batch, in-flight, sequences, "
                    "prompt, answer, prefix", a->name, a->value, text);
    struct axis *axis = &o->axis[o->axes];
    for (uint32_t i = 0; i < o->axes; i++)
        if (o->axis[i].what == what) return fail(why, E_USAGE, "--%s has %s twice", a->name, swept_kinds[what].name);
    snprintf(whose, sizeof whose, "%s %s", a->name, swept_kinds[what].name);
    TRY(read_numbers(&axis->values, whose, text + n + 1, swept_kinds[what].least, swept_kinds[what].most, why));
    for (uint32_t i = 0; i < axis->values.n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (axis->values.at[i] == axis->values.at[k])
                return fail(why, E_USAGE, "--%s has %u twice", whose, axis->values.at[i]);
    axis->what = (enum swept)what;
    o->axes++;
    return 0;
}

static int take_filter(void *into, const struct argument *a, const char *text, struct err *why)
{
    int *filter = argument_to(into, a);
    for (*filter = 0; *filter < TASK_FILTERS; ++*filter)
        if (!strcmp(text, task_filter_names[*filter])) return 0;
    return fail(why, E_USAGE, "--%s is strip, whole, first-line or last-number, not \"%.40s\"", a->name, text);
}

static int take_drawn(void *into, const struct argument *a, const char *text, struct err *why)
{
    struct options *o = into;
    struct numbers one;
    TRY(read_numbers(&one, a->name, text, a->place.least, a->place.most, why));
    if (one.n != 1) return fail(why, E_USAGE, "--%s takes one number", a->name);
    o->depth = one.at[0];
    o->depth_drawn = true;
    return 0;
}

/* "throughput:16", "latency", "prompts" */
static int take_aim(void *into, const struct argument *a, const char *text, struct err *why)
{
    static const char throughput[] = "throughput:";
    struct options *o = into;
    if (!strcmp(text, "latency")) return o->aim = AIM_LATENCY, 0;
    if (!strcmp(text, "prompts")) return o->aim = AIM_PROMPTS, 0;
    const char *at = text + sizeof throughput - 1;
    uint64_t n;
    if (strncmp(text, throughput, sizeof throughput - 1) || !read_digits(&at, &n) || *at || !n || n > WIRE_SEGMENTS)
        return fail(why, E_USAGE, "--%s wants throughput:N, of 1 to %d sequences, latency or prompts, not \"%.40s\"", a->name, WIRE_SEGMENTS, text);
    o->aim = AIM_THROUGHPUT;
    o->aim_sequences = (uint32_t)n;
    return 0;
}

static int take_replicas(void *into, const struct argument *a, const char *text, struct err *why)
{
    struct options *o = into;
    const char *at = text;
    uint64_t n;
    if (!strcmp(text, "auto")) return o->replicas = REPLICAS_AUTO, 0;
    if (!read_digits(&at, &n) || *at || !n || n > PIPELINES_MOST)
        return fail(why, E_USAGE, "--%s wants auto or a number from 1 to %d, not \"%.40s\"", a->name, PIPELINES_MOST, text);
    o->replicas = n == 1 ? 0 : (int)n;
    return 0;
}

static const struct argument table[] = {
    {"model", "FILE", ALL & ~(CMD_EMBED | MACHINES), TEXT(model), "the text model, a GGUF; if it is split, its first file"},
    {"mmproj", "FILE", SEES, TEXT(mmproj), "the picture encoder that belongs to it, a GGUF too"},
    {"image", "FILE", CMD_RUN | CMD_LOGITS | CMD_EMBED, OWN(images, take_image),
     "a picture before the prompt (JPEG, PNG, WebP, GIF, BMP, PNM, TGA; - or a data: URL); may be repeated"},
    {"picture-memory", "SIZE", SEES, OWN(picture_memory, take_size),
     "most memory that reading a picture takes, its file included (default 384M)"},
    {"pan-and-scan", NULL, CMD_RUN | CMD_CHAT | CMD_LOGITS, FLAG(pan_and_scan), "show a long picture whole and in pieces"},
    {"vision-split", "A,B,C", SEES, TEXT(vision_split),
     "layers of the encoder by hand, 0 for none; all,0,all: copies of it; or a word: copies, layers"},
    {"vision-workers", "N", ANSWER | CMD_LOGITS | CMD_BENCH, WHOLE(vision_workers, 1, WORKERS_MOST),
     "the last N workers are for pictures alone, the others for text"},
    {"vision-type", "f16|q8_0", SEES, ONE_OF(vision_q8),
     "f16: its matrices as the file has them (default); q8_0: half the memory, faster, less exact"},
    {"workers", "N", WORKERS, WHOLE(workers, 1, WORKERS_MOST), "start N worker processes on this machine"},
    {"here", "N", WORKERS, WHOLE(here, 1, WORKERS_MOST), "N stages as threads of this one process"},
    {"split", "A,B,C", WORKERS, TEXT(split),
     "layers of each worker by hand; the last also gets the head. A+8,B+8: sixteenths of the head too"},
    {"whole-head", NULL, WORKERS, FLAG(whole_head), "never divide the output head among workers"},
    {"replicas", "auto|N", REPLICAS, OWN(replicas, take_replicas),
     "share the workers out to N pipelines that each hold the whole model, and give each request to one of them; auto: as many as are\n"
     "                           fastest by the plan, and fit (default: one)"},
    {"connect", "A,B,C", WORKERS, TEXT(connect), "use the gemmapipe-workers that listen there, in this order unless another, or fewer of them, is faster; NAME@ADDRESS: by the\n"
     "                           key of that name (default: the name is the address's host, or host:port)"},
    {"cluster", "FILE", WORKERS, TEXT(cluster), "addresses and sizes of the workers from a file (deploy/cluster.example.json)"},
    {"keys", "FOLDER", WORKERS, TEXT(keys),
     "encrypt the links to workers, also on this machine, with the keys of this folder (default: to other machines, with those of\n"
     "                           ~/.config/gemmapipe; `gemmapipe keys --help`)"},
    {"insecure", NULL, WORKERS, FLAG(insecure), "do not encrypt links to other machines; said here and to each worker"},
    {"memory", "SIZES", WORKERS, TEXT(memory), "most memory of each worker, as 2G,1G,512M; one size is for all"},
    {"threads", "T", WORKERS, WHOLE(threads, 1, 1024), "threads of each worker (default: the cores shared out)"},
    {"pin", NULL, WORKERS, FLAG(pin), "bind each thread of the workers started here to a core of its own"},
    {"send-weights", NULL, WORKERS, FLAG(send_weights), "stream every worker its part even if it could open the file itself"},
    {"lookup", NULL, ANSWER | CMD_BENCH, FLAG(lookup),
     "guess that an answer goes on as it, or the prompt, did before: the same words, sooner where text repeats itself"},
    {"verify", "N", CMD_RUN | CMD_BATCH | CMD_SERVE, WHOLE(verify, 1, 1000000000),
     "compute every Nth answer once more, by another replica if there is one, else with the layers moved to other workers, and compare all rows\n"
     "                           layer by layer; who computes wrongly is named and put aside. Workers look at their weights too, at the start and each time (docs/SECURITY.md)"},
    {"cache", "FOLDER", WORKERS, TEXT(cache),
     "workers started here keep their layers in it, packed as they compute from them; a later run maps them and starts at once"},
    {"cache-size", "SIZE", WORKERS, OWN(cache_size, take_size),
     "most bytes of that folder; what was not used for the longest time goes first (default: no limit)"},
    {"embed-scale", "bf16|exact", WORKERS, ONE_OF(exact_embed_scale),
     "bf16: sqrt(hidden) rounded as the model was trained (default); exact: as llama.cpp"},
    {"for", "AIM", WORKERS, OWN(aim, take_aim),
     "what the plan is to be best at: throughput:N, answers to N sequences at once; latency, a sequence alone; prompts (default: answers, or\n"
     "                           with one sequence its prompt)"},
    {"pictures", "P", ANSWER, REAL(pictures, 0, IMAGES_MOST),
     "plan for so many pictures with each request, in the mean, and -n tokens of its answer: what they cost the stages counts (default 0)"},
    {"probe", NULL, CMD_PLAN, FLAG(probe), "measure the workers first, for about three seconds, longer where they are slow, and beside several of this\n"
     "                           machine one process; what they reach is kept for later plans and runs"},
    {"no-probe", NULL, WORKERS, FLAG(no_probe),
     "plan by nominal speeds: workers that were never measured are not measured now, and what was kept does not count (also where\n"
     "                           GEMMAPIPE_NO_PROBE is set)"},
    {"math", "int8|float32", PIPELINE | CMD_BENCH, OWN(numbers, take_math),
     "int8: activations in 8 bits (default); float32: nothing is rounded, every product with weights by OpenBLAS, slower: to measure what rounding costs"},
    {"wire", "f32|bf16", PIPELINE | CMD_BENCH, OWN(numbers, take_wire),
     "rows between layers: f32 (default); bf16: rounded after every layer, whoever has it, and half as many bytes from worker to worker"},
    {"kv", "f16|q8_0|f32", PIPELINE | CMD_BENCH, OWN(numbers, take_kv),
     "keys and values: f16 (default; with --math float32 f32); q8_0: half the memory, a little less exact and a little slower, but for very long contexts"},
    {"wait", "SECONDS", WORKERS | CMD_UP | CMD_STATUS, WHOLE(wait, 1, 86400), "how long to wait for workers to answer (default 60)"},
    {"wait-for-workers", "SECONDS", PIPELINE, WHOLE(patience, 0, 86400 * 7),
     "when workers are lost and who is left cannot hold the model: how long others may take to come (default 300; 0: any loss ends the run)"},
    {"accept", "ADDRESS", ANSWER, TEXT(accept),
     "let gemmapipe-workers join later that were told --join ADDRESS (tcp://*:7700); alone: whoever joins within --wait makes the pipeline"},
    {"spare", "N", PIPELINE, WHOLE(spare, 1, WORKERS_MOST - 1),
     "the plan is for N workers fewer than there are: one of these takes the place of a lost one (also whoever --split has no part for)"},
    {"ctx", "N", PIPELINE | CMD_BENCH, WHOLE(context, 2, CONTEXT_MOST),
     "positions of a sequence to hold (default: what prompt and answer need; chat and plan 4096, serve 8192; perplexity: of a window, 512)"},
    {"sequences", "N", CMD_RUN | CMD_BATCH | CMD_SERVE | CMD_PERPLEXITY | CMD_EVAL, WHOLE(sequences, 1, WIRE_SEGMENTS),
     "sequences held at once, at most; they take memory as they grow (default: the prompts, at most 16; serve 8; plan 1)"},
    {"kv-positions", "N", ANSWER | CMD_BENCH | CMD_PERPLEXITY | CMD_EVAL, WHOLE(kv_positions, 1, UINT32_MAX),
     "positions that all sequences together hold (default: all of them at their longest; where that does not fit, what does)"},
    {"micro-batch", "N", WORKERS, WHOLE(rows, 1, WIRE_ROWS), "rows of a micro-batch, at most (default 128)"},
    {"in-flight", "N", WORKERS, WHOLE(in_flight, 1, IN_FLIGHT_MOST),
     "micro-batches under way at once (default: stages + 1; 1 if there is one stage)"},
    {"no-prefix-reuse", NULL, ANSWER | CMD_BENCH | CMD_EVAL, FLAG(no_prefix_reuse),
     "compute what prompts begin with alike for each of them (a conversation still goes on where it stood)"},
    {"prompts", "FILE", CMD_RUN, TEXT(prompts_file),
     "many prompts, one a line (which may begin with /image FILE or /image \"FILE\"), answered together, printed in order (- is stdin)"},
    {"system", "TEXT", CMD_RUN | CMD_CHAT | CMD_LOGITS, TEXT(system), "what to tell the model before the first question"},
    {"raw", NULL, CMD_RUN | CMD_LOGITS, FLAG(raw), "no chat turns: <bos> and the text as it is, to be continued"},
    {"in", "FILE", CMD_BATCH, TEXT(in), "the requests, one a line, as OpenAI's batch interface has them or bodies alone; - is standard input, kept in OUT.input"},
    {"errors", "FILE", CMD_BATCH | CMD_EVAL, TEXT(errors), "where the lines go that could not be answered (default: FILE.errors beside --out)"},
    {"one-file", NULL, CMD_BATCH | CMD_EVAL, FLAG(one_file), "these lines among the others in --out"},
    {"resume", NULL, CMD_BATCH | CMD_EVAL, FLAG(resume), "go on with a job that was stopped; begins it if it was never begun"},
    {"overwrite", NULL, CMD_BATCH | CMD_EVAL, FLAG(overwrite), "forget an earlier run of it"},
    {"retry-failed", NULL, CMD_BATCH | CMD_EVAL, FLAG(retry_failed), "with --resume: ask the lines that failed again"},
    {"order", "input|done", CMD_BATCH | CMD_EVAL, ONE_OF(in_order_done),
     "input: results in the order of the lines, all at the end (default); done: each as it comes"},
    {"status", "OUT", CMD_BATCH, TEXT(status), "only say how far the job with this output is: lines, done, failed, state"},
    {"repair", "OUT", CMD_BATCH, TEXT(repair), "only take damaged records out of the journal of the job with this output"},
    {"journal", "FILE", CMD_BATCH | CMD_EVAL, TEXT(journal), "where it is noted what is done (default: FILE.journal beside --out)"},
    {"no-lock", NULL, CMD_BATCH | CMD_EVAL, FLAG(no_lock), "on a file system without locks: nothing keeps two runs of one job apart"},
    {"strict-fields", NULL, CMD_BATCH | CMD_SERVE, FLAG(strict_fields), "refuse a request with a field that is not known, instead of passing over it"},
    {"created", "SECONDS", CMD_BATCH, WHOLE(created, 0, UINT32_MAX), "what results show as their time, in seconds since 1970 (default 0)"},
    {"tasks", "FILE", CMD_EVAL, TEXT(tasks), "the questions, a line each, as lm-evaluation-harness writes its samples"},
    {"filter", "WORD", CMD_EVAL, OWN(filter, take_filter),
     "what of a generated answer, and of its target, is compared: strip (default), whole, first-line, last-number"},
    {"file", "FILE", CMD_PERPLEXITY, TEXT(file), "the text, as it is: no turns, and control tokens only with --special (- is stdin)"},
    {"stride", "N", CMD_PERPLEXITY, WHOLE(stride, 1, CONTEXT_MOST), "windows N tokens apart, each word judged once, instead of chunks"},
    {"chunks", "N", CMD_PERPLEXITY, WHOLE(chunks, 1, UINT32_MAX), "only the first N chunks"},
    {"save-logits", "BASE", CMD_PERPLEXITY, TEXT(save_logits), "keep all scores, half a megabyte a word, for --kl; llama-perplexity reads them too"},
    {"kl", "BASE", CMD_PERPLEXITY, TEXT(kl), "how far from these scores, over the text they were made of, are this model's? llama-perplexity's are read too"},
    {"listen", "ADDRESS:PORT", CMD_SERVE, TEXT(listen), "where clients connect (default 127.0.0.1:8321; port 0: any that is free)"},
    {"api-key-file", "FILE", CMD_SERVE, TEXT(api_key_file), "who may ask: a key a line, sent as Authorization: Bearer KEY"},
    {"no-auth", NULL, CMD_SERVE, FLAG(no_auth), "anybody who reaches the address may ask; needed for one that is not this machine's own"},
    {"any-model", NULL, CMD_SERVE, FLAG(any_model), "answer whatever name a request calls the model"},
    {"tools", "generic", CMD_SERVE, TEXT(tools), "a request with tools may leave it to the model whether to call one: it answers in JSON, of a call or of words"},
    {"metrics-as", "vllm", CMD_SERVE, TEXT(metrics_as), "/metrics has the names and buckets that dashboards of vLLM ask for too"},
    {"store", "DIR", CMD_SERVE, TEXT(store), "clients may send files and have them answered as batches (/v1/files, /v1/batches); they are kept here"},
    {"store-size", "SIZE", CMD_SERVE, OWN(store_size, take_size), "of all of these, at most (default 10G)"},
    {"media-path", "DIR", CMD_SERVE, TEXT(media_path), "pictures may be files below this folder too, not only data: URLs"},
    {"cors", "ORIGIN", CMD_SERVE, TEXT(cors), "pages from there may ask, as https://example.org; * is anywhere"},
    {"queue", "N", CMD_SERVE, WHOLE(queue, 1, 1u << 20), "requests under way and waiting, at most (default 16 for each sequence); then 429"},
    {"stall", "SECONDS", CMD_SERVE, WHOLE(stall, 0, 86400), "a reader that takes nothing for so long is given up (default 60; 0: never)"},
    {"drain", "SECONDS", CMD_SERVE, WHOLE(drain, 0, 86400), "when told to end: how long for what is under way (default 30)"},
    {"n", "MAX", ANSWER, WHOLE(most, 1, CONTEXT_MOST), "tokens of an answer, at most (default 512; serve: as many as the context holds)"},
    {"temp", "T", ANSWER, REAL(sampling.temperature, 0, 100), "temperature (default 1; 0 always takes the likeliest token)"},
    {"top-k", "K", ANSWER, WHOLE(sampling.top_k, 0, 1u << 20), "only the K likeliest tokens (default 64; 0 is off)"},
    {"top-p", "P", ANSWER, REAL(sampling.top_p, 0, 1), "only the likeliest tokens that together reach P (default 0.95; 1 is off)"},
    {"min-p", "P", ANSWER, REAL(sampling.min_p, 0, 1), "only tokens at least P times as likely as the likeliest (default 0, off)"},
    {"repeat-penalty", "X", ANSWER, REAL(sampling.repeat_penalty, 0.01, 100), "make tokens of the last ones less likely (default 1, off)"},
    {"repeat-last", "N", ANSWER, WHOLE(sampling.repeat_last, 0, REPEAT_LAST_MOST),
     "how many last tokens that looks at (default 64, at most 256)"},
    {"seed", "S", ANSWER, WHOLE(sampling.seed, 0, UINT64_MAX),
     "the same seed gives the same answer (default: drawn, --report shows it; batch 0)"},
    {"report", NULL, PIPELINE, FLAG(report), "a closing table on stderr: memory, busy and idle times of the stages, rates (batch: unless --quiet)"},
    {"report-json", "FILE", ANSWER | CMD_EVAL, TEXT(report_json),
     "the same as JSON, rates and times by the names that `vllm bench` has for them (docs/BATCH.md)"},
    {"trace", "FILE", PIPELINE, TEXT(trace), "who computed what when, as trace events for a browser's viewer (ui.perfetto.dev)"},
    {"timeline", "FILE", PIPELINE, TEXT(timeline), "a picture of the run (SVG): the stages over time, and what each waited for between two micro-batches"},
    {"fingerprint", NULL, CMD_RUN | CMD_LOGITS, FLAG(fingerprint),
     "print a hash of all scores the model produced: equal hash, equal bits"},
    {"ids", "IDS", CMD_LOGITS, TEXT(ids),
     "instead of a prompt token ids with commas between, <bos> included; soft tokens where a picture goes"},
    {"out", "FILE", CMD_LOGITS | CMD_EMBED | CMD_BATCH | CMD_EVAL, TEXT(out),
     "where the results go: float32 [ids, vocabulary], or [rows, hidden] of a picture; of a batch its answers (eval: TASKS.results); - is standard output"},
    {"special", NULL, CMD_TOKENIZE | CMD_RUN | CMD_LOGITS | CMD_PERPLEXITY, FLAG(special),
     "let the text make control tokens such as <start_of_turn>; of a prompt only with --raw"},
    {"pp", "N,N", CMD_BENCH, OWN_RANGE(pp, take_numbers, 0, 1u << 20),
     "prompts of N tokens, from an empty cache to the first token (default 256; 0: none)"},
    {"tg", "N,N", CMD_BENCH, OWN_RANGE(tg, take_numbers, 0, 1u << 20),
     "N tokens generated one after the other, after a prompt of one that does not count (default 16; 0: none)"},
    {"batch", "N,N", CMD_BENCH, OWN_RANGE(batch, take_numbers, 1, WIRE_SEGMENTS), "sequences that generate at once (default 1,8,16)"},
    {"pp-batch", "N,N", CMD_BENCH, OWN_RANGE(pp_batch, take_numbers, 1, WIRE_SEGMENTS), "prompts that come at once (default 1)"},
    {"depth-drawn", "D", CMD_BENCH | CMD_LOGITS, OWN_RANGE(depth, take_drawn, 1, 1u << 20),
     "the same over keys and values that are drawn at random, not computed: a long context at once; of logits: D positions before the ids"},
    {"depth", "D", CMD_BENCH, WHOLE(depth, 0, 1u << 20), "do it after D tokens that do not count (default 0)"},
    {"reps", "R", CMD_BENCH, WHOLE(reps, 1, 1000), "how often to measure each test, after one run to warm up (default 3)"},
    {"sweep", "NAME=N,N", CMD_BENCH, OWN(axis, take_sweep),
     "measure a load at each of these numbers instead; may be repeated: every combination is a point"},
    {"jobs", "FILE", CMD_BENCH, TEXT(jobs), "the load: the requests of this file, as `gemmapipe batch` asks them; no answer is kept"},
    {"csv", "FILE", CMD_BENCH, TEXT(csv), "where points are added; one that is there already is not measured again"},
    {"plot", "FILE", CMD_BENCH, TEXT(plot), "a drawing of the points, an SVG: tok/s of answers over the first --sweep, lines for the others"},
    {"json", NULL, CMD_UP | CMD_STATUS | CMD_PLAN | CMD_BENCH | CMD_PERPLEXITY | CMD_EVAL, FLAG(json), "as JSON, for scripts; a plan also for gemmapipe-partition split"},
    {"simulate", "FILE", CMD_PLAN, TEXT(simulate),
     "what the cluster of this file (deploy/simulated.example.json) would do with a load: the real engine and scheduler, invented workers"},
    {"requests", "N", CMD_PLAN, WHOLE(requests, 1, 1u << 20), "of --simulate: so many are asked (default 64)"},
    {"arrivals", "R", CMD_PLAN, REAL(arrivals, 0, 1e6), "of --simulate: R requests a second, at random moments (default 0: all at once)"},
    {"prompt-tokens", "N,N", CMD_PLAN, OWN_RANGE(prompt_tokens, take_numbers, 1, 1u << 20),
     "of --simulate: least and most of a prompt, drawn evenly; one number: all are alike (default 256)"},
    {"answer-tokens", "N,N", CMD_PLAN, OWN_RANGE(answer_tokens, take_numbers, 1, 1u << 20), "of --simulate: the same of an answer (default 64)"},
    {"scan", "HOSTS", CMD_UP, TEXT(scan), "instead: log in to these machines, as alice@10.0.0.2,10.0.0.3, and write a first cluster file to standard output"},
    {"lines", "N", CMD_LOGS, WHOLE(lines, 1, 10000), "the last N of each worker (default 20)"},
    {"quiet", NULL, ALL, FLAG(quiet), "say nothing on stderr but errors"},
    {"verbose", NULL, ALL, FLAG(verbose), "say more on stderr"},
    {"help", NULL, ALL, FLAG(help), "this text"},
    {"h", NULL, ALL, FLAG(help), NULL},
    {NULL, NULL, CMD_RUN | CMD_LOGITS, TEXT(prompt), NULL},
    {NULL, NULL, MACHINES, TEXT(words[0]), NULL},
    {NULL, NULL, MACHINES, TEXT(words[1]), NULL},
};

static const char bench_manual[] =
    "Tests are called as in llama-bench: pp256 is a prompt of 256 tokens, tg16 16 tokens generated by one sequence,\n"
    "tg16@8 by each of 8 sequences; tok/s counts all sequences together. Tokens are drawn at random: speed does not\n"
    "depend on them. Generating goes on past a token that would end an answer.\n"
    "Beside the rates stand: what part they are of the machine's limits, which are measured at the end (multiply-adds\n"
    "over the instruction set's peak; bytes of weights, keys and values read over the speed of memory); the part of\n"
    "the time that stages did not compute (bubble); micro-batches and the rows in each; bytes that went between\n"
    "processes, per token. Limits are left out when a worker is on another machine. Only on a machine that does\n"
    "nothing else do the numbers mean anything.\n"
    "--depth-drawn D measures at the end of a long context without computing it: keys and values of D positions are drawn at random.\n"
    "What memory such a context takes, and how fast it is read, does not depend on what it says.\n"
    "\n"
    "With --sweep or --jobs it measures one load at many settings instead: --sweep sequences=1,2,4,8 --sweep workers=1,2\n"
    "are eight points. What can be swept: workers (with --connect or --cluster the first of these), threads,\n"
    "micro-batch, in-flight, sequences (answers under way; 16), prompt (tokens; 256), answer (tokens; 64), prefix (percent\n"
    "of each prompt that all share; 0). Each point begins anew, answers --reps times as many prompts as there are sequences,\n"
    "the next one asked as soon as one ends, and is a line of the CSV (docs/curves/README.md says what is in it). What was\n"
    "stopped goes on with the same line. Under mpirun the ranks are the workers, and each start measures one point:\n"
    "repeat it while the exit status is 9.\n";

static const char chat_manual[] =
    "/image FILE shows the model a picture before the next question (with --mmproj), /help lists the commands. A question\n"
    "that begins with a slash is typed with a blank before it. What cannot be asked (too long for the context, a picture that\n"
    "cannot be read, an unknown command) is said and dropped, and the conversation goes on; where standard input is no terminal\n"
    "the exit status is 8 then. When the context is full the oldest questions are forgotten with their answers.\n"
    "At a terminal: Alt-Enter, or a backslash at the end, begins another line of the question; what is pasted is one question\n"
    "and waits for Enter; arrow keys and Ctrl-R go through what was typed before, in earlier runs too, which is kept in\n"
    "$XDG_STATE_HOME/gemmapipe/chat_history (~/.local/state/gemmapipe/chat_history); Tab completes commands and names of\n"
    "files. Ctrl-C stops an answer, and what was said of it stays, or clears the line; the second in a row ends.\n";

static const char batch_manual[] =
    "A line is a request as OpenAI's batch interface has it, {\"custom_id\", \"method\", \"url\", \"body\"}, or a body alone:\n"
    "{\"messages\": [...]} or {\"prompt\": \"...\"}. What it leaves open the options below say. Pictures are data: URLs or files\n"
    "beside the job. A line that cannot be answered is an error among the results and never the end of the job (exit status 8).\n"
    "What is done is noted in a journal beside the output, so that the job may be stopped at any moment (exit status 9) and\n"
    "goes on with --resume, in the middle of an answer too. Results come in the order of the lines, and are the same to the\n"
    "last byte however often it was stopped and whoever computes.\n";

static const char eval_manual[] =
    "A line of --tasks is a sample as lm-evaluation-harness logs it (--log_samples; its fields \"arguments\" and \"target\"), or the same\n"
    "by hand: {\"arguments\": [[context, continuation], ...], \"target\": 1}. Of several choices the likeliest is the answer: acc by\n"
    "log-likelihood, acc_norm by log-likelihood over the bytes of the choice, its leading blank left out. Of one continuation acc says how\n"
    "often its tokens were the likeliest, likelihood what its log-likelihood was. Where the second part is {\"until\": [...]} an answer is\n"
    "generated greedily, ends before any of these texts or with the model's own end, and exact_match compares it with the target, both\n"
    "through --filter. \"images\" are files beside the lines. Contexts are not put into turns: where the harness applied a chat template\n"
    "they have them already. The number behind ± is the standard error, the interval is Wilson's. Each line's result goes to --out, those\n"
    "that could not be asked to --errors (exit status 8), and they count for nothing. It is a batch job (docs/BATCH.md): stopped at\n"
    "any moment (exit status 9) it goes on with --resume, and the results are the same to the last byte whoever computes.\n";

static const char perplexity_manual[] =
    "The perplexity is exp of the mean of -ln p over the words judged, and the number behind ± its standard error. By default as\n"
    "llama.cpp's llama-perplexity has it: the text, <bos> before it, is cut into chunks of --ctx tokens, the first token of each is\n"
    "replaced by <bos>, and the words behind the first half of each count; what is left over does not. With --stride N windows of <bos>\n"
    "and --ctx - 1 tokens begin N apart, and every word counts once, behind at least --ctx - 1 - N others but at the beginning. Whoever\n"
    "compares with other programs: the embedding is scaled as the model was trained; llama.cpp scales it as --embed-scale exact.\n"
    "\n"
    "A base is all scores of a model over a text's chunks, in llama.cpp's file format, to compare others with: the float32 model's,\n"
    "say, or the unquantised one's. With --kl BASE the text is the base's, and is told: how much the probabilities differ from it\n"
    "(Kullback-Leibler divergence of each word: mean, percentiles), how often the likeliest word is the same, and by how much the word\n"
    "that came became more or less likely. The numbers are the same to the last bit whoever computes, however the model is cut.\n";

static const char serve_manual[] =
    "Clients of OpenAI's interface connect to http://ADDRESS:PORT/v1: /v1/chat/completions, /v1/completions, /v1/responses, /v1/models;\n"
    "beside them /tokenize, /props, /health and /metrics, with --store /v1/files and /v1/batches (docs/SERVE.md). A request is what a line\n"
    "of `gemmapipe batch` is, and may be streamed. It answers as many at once as there are sequences; others wait. There is no TLS: put a\n"
    "proxy before it. Ctrl-C ends it when all is answered, a second one at once.\n";

static const char plan_manual[] =
    "A cluster file says of each worker its address, and what is known: memory, threads, speed (of one thread; 1 is usual), and\n"
    "where it has a part of its machine only, share (0.4: two fifths of a core) and period_ms (in which it gets that; 100 unless\n"
    "said). For --simulate also copies (so many like it), delay_ms, mbit and loss of its link, jitter of its computing; and of all\n"
    "together replicas.\n";

static const char up_manual[] =
    "Nothing has to be installed on the machines but ssh, with a key that asks for no password: where there is no gemmapipe-worker of this\n"
    "version, and the machine is of the same kind as this one, a copy is put into ~/.cache/gemmapipe/programs (its libraries must be there).\n"
    "A worker that runs already with the same words is left as it is. If one cannot be started, or does not answer, what this call started\n"
    "is ended again, and the table says why. In the file a worker may have \"ssh\" (where to log in; \"here\" is this machine), \"program\",\n"
    "\"cache\", \"memory\" and \"threads\". GEMMAPIPE_SSH is the ssh to use, with words of its own (\"ssh -F my_config\").\n"
    "Then: gemmapipe run --model M.gguf --cluster cluster.json \"prompt\".\n";

struct command_text {
    enum command command;
    const char *name, *usage, *story, *manual; /* manual: what takes more than a line; may be NULL */
};

static const struct command_text commands[] = {
    {CMD_RUN, "run", "gemmapipe run --model M.gguf [options] \"prompt\"", "Answers one prompt, or many with --prompts, and ends.", NULL},
    {CMD_CHAT, "chat", "gemmapipe chat --model M.gguf [options]", "A conversation: each line is a question. /bye or Ctrl-D ends it.",
     chat_manual},
    {CMD_BATCH, "batch", "gemmapipe batch --model M.gguf --in jobs.jsonl --out results.jsonl [--resume] [options]",
     "Answers a file of requests, one a line; may be stopped and resumed at any moment.", batch_manual},
    {CMD_SERVE, "serve", "gemmapipe serve --model M.gguf [--listen 127.0.0.1:8321] [options]",
     "Answers requests over HTTP, as OpenAI's interface has them, until it is told to end.", serve_manual},
    {CMD_EVAL, "eval", "gemmapipe eval --model M.gguf --tasks F.jsonl [--out RESULTS.jsonl] [--resume] [options]",
     "Asks the questions of a test, and says what the answers are worth.", eval_manual},
    {CMD_PERPLEXITY, "perplexity", "gemmapipe perplexity --model M.gguf --file TEXT [--stride N] [--save-logits BASE] [options]\n"
     "gemmapipe perplexity --model M.gguf --kl BASE [options]",
     "How likely a model finds a text, and how far it is from another one.", perplexity_manual},
    {CMD_LOGITS, "logits", "gemmapipe logits --model M.gguf --ids 2,105,… | \"prompt\" --out F.f32 [options]",
     "Writes the scores of every position.", NULL},
    {CMD_EMBED, "embed-image", "gemmapipe embed-image --mmproj P.gguf --image FILE --out F.f32 [options]",
     "Writes the rows a picture becomes.", NULL},
    {CMD_TOKENIZE, "tokenize", "gemmapipe tokenize --model M.gguf [--special] < text",
     "The ids of a text on one line, without <bos>.", NULL},
    {CMD_DETOKENIZE, "detokenize", "gemmapipe detokenize --model M.gguf < ids", "The text of ids, byte for byte.", NULL},
    {CMD_PLAN, "plan", "gemmapipe plan --model M.gguf --workers N [--memory 1G,1G,2G] [options of run] [\"prompt\"]",
     "Shows who would get which layers in a run with these words, and the bytes each worker needs; loads nothing.", plan_manual},
    {CMD_UP, "up", "gemmapipe up cluster.json [WORKER]\ngemmapipe up --scan alice@10.0.0.2,10.0.0.3 > cluster.json",
     "Starts the workers of a cluster file on their machines, over ssh, and shows them when all answer.", up_manual},
    {CMD_STATUS, "status", "gemmapipe status cluster.json [WORKER]", "Shows which of these workers run, and what they offer.", NULL},
    {CMD_LOGS, "logs", "gemmapipe logs cluster.json [WORKER] [--lines N]", "Shows what these workers wrote last.", NULL},
    {CMD_DOWN, "down", "gemmapipe down cluster.json [WORKER]", "Ends the workers that `up` started.", NULL},
    {CMD_BENCH, "bench",
     "gemmapipe bench --model M.gguf [--pp 256] [--tg 16] [--batch 1,8,16] [--reps R] [--json] [options]\n"
     "gemmapipe bench --model M.gguf --sweep NAME=N,N [--sweep …] [--jobs F.jsonl] [--csv F.csv] [--plot F.svg] [options]",
     "Measures prompts, generation, and generation of many sequences at once; or a load at many settings.", bench_manual},
};

void options_help(FILE *to)
{
    fputs("gemmapipe — runs Gemma 3 as a relay: the layers of one model over several processes or machines.\n\n", to);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].story);
    fprintf(to, "  %-11s %s\n", "keys", "Makes, shows, trusts and revokes the keys by which machines know each other.");
    fputs("\n"
          "Who computes: nothing said, this process alone. --workers N starts N processes here. --connect uses\n"
          "gemmapipe-workers that listen elsewhere. Under `mpirun -n K`, rank 0 coordinates and the others work.\n"
          "The answer is the same in every case, bit for bit.\n"
          "Links to workers on other machines are encrypted, and both ends know each other by key (`gemmapipe keys --help`). What MPI\n"
          "sends is not: there the cluster has to protect its network.\n"
          "\n"
          "`gemmapipe COMMAND --help` is the manual of a command.\n"
          "Exit status: 0 done; 2 command line; 3 a file is missing or damaged; 4 it does not fit in memory; 5 no worker\n"
          "answers, or it serves another run, or an address cannot be used; 6 the protocol was broken; 7 a worker was lost; 8 done, but some prompts or\n"
          "lines failed; 9 stopped, and can be resumed; 130 interrupted.\n",
          to);
}

/* Whoever asks for a plan asks for that of a run: `plan` takes all that `run` takes. */
static struct arguments arguments_of(const struct command_text *c)
{
    const int also = c->command == CMD_PLAN ? CMD_RUN : 0;
    return (struct arguments){.whose = c->name, .command = (int)c->command | also, .row = table, .rows = sizeof table / sizeof *table};
}

static void print_manual(const struct command_text *c)
{
    const struct arguments a = arguments_of(c);
    printf("%s\n\n%s\n%s\n", c->usage, c->story, c->manual ? c->manual : "");
    arguments_help(&a, stdout);
}

static const struct options bench_defaults = {
    .pp = {1, {256}}, .tg = {1, {16}}, .pp_batch = {1, {1}}, .batch = {3, {1, 8, 16}}, .reps = 3,
};

static bool same_numbers(const struct numbers *a, const struct numbers *b)
{
    return a->n == b->n && !memcmp(a->at, b->at, a->n * sizeof *a->at);
}

static int check_range(const char *name, const struct numbers *n, struct err *why)
{
    if (n->n == 1 || (n->n == 2 && n->at[0] <= n->at[1])) return 0;
    return fail(why, E_USAGE, "--%s wants one number, or the least and the most", name);
}

static int check_simulate(const struct options *o, struct err *why)
{
    TRY(check_range("prompt-tokens", &o->prompt_tokens, why));
    TRY(check_range("answer-tokens", &o->answer_tokens, why));
    if (!o->simulate) return 0;
    if (o->cluster || o->connect || o->workers || o->here || o->split)
        return fail(why, E_USAGE, "--simulate brings its own workers, so --workers, --here, --split, --connect and --cluster mean nothing to it");
    if (o->mmproj || o->n_images) return fail(why, E_USAGE, "--simulate knows no pictures");
    return o->prompt || o->prompts_file ? fail(why, E_USAGE, "--simulate draws its prompts: --requests and --prompt-tokens say which") : 0;
}

/* A load or tests: what belongs to the one means nothing to the other. */
static int check_bench(const struct options *o, struct err *why)
{
    const struct options *d = &bench_defaults;
    const bool tests_chosen = !same_numbers(&o->pp, &d->pp) || !same_numbers(&o->tg, &d->tg) || !same_numbers(&o->pp_batch, &d->pp_batch) ||
                              !same_numbers(&o->batch, &d->batch) || o->depth || o->json;
    if (!o->jobs && (o->mmproj || o->context)) return fail(why, E_USAGE, "--mmproj and --ctx are for requests of a file: --jobs");
    if (!o->axes && !o->jobs) {
        if (o->csv || o->plot) return fail(why, E_USAGE, "--csv and --plot are for a load: --sweep or --jobs");
        return o->pp.n || o->tg.n ? 0 : fail(why, E_USAGE, "there is nothing to measure: --pp and --tg are both 0");
    }
    if (tests_chosen)
        return fail(why, E_USAGE, "--pp, --tg, --batch, --pp-batch, --depth and --json are for tests, and --sweep and --jobs measure a load: "
                    "--sweep prompt=N, answer=N and sequences=N say which");
    for (uint32_t i = 0; i < o->axes; i++) {
        const enum swept what = o->axis[i].what;
        if (o->jobs && (what == SWEPT_PROMPT || what == SWEPT_ANSWER || what == SWEPT_PREFIX))
            return fail(why, E_USAGE, "--jobs brings its own prompts and answers, so %s cannot be swept", swept_kinds[what].name);
        if (what == SWEPT_WORKERS && (o->workers || o->split)) return fail(why, E_USAGE, "--sweep workers excludes --workers and --split");
        if (what == SWEPT_THREADS && o->threads) return fail(why, E_USAGE, "--sweep threads excludes --threads");
        if (what == SWEPT_ROWS && o->rows) return fail(why, E_USAGE, "--sweep micro-batch excludes --micro-batch");
        if (what == SWEPT_IN_FLIGHT && o->in_flight) return fail(why, E_USAGE, "--sweep in-flight excludes --in-flight");
    }
    if (o->jobs && o->reps != d->reps) return fail(why, E_USAGE, "--jobs are asked once; --reps has nothing to repeat");
    if ((o->csv && (!*o->csv || !strcmp(o->csv, "-"))) || (o->plot && (!*o->plot || !strcmp(o->plot, "-"))))
        return fail(why, E_USAGE, "--csv and --plot want the names of files; without --csv the points go to standard output");
    return 0;
}

static int check_perplexity(const struct options *o, struct err *why)
{
    if (!o->file == !o->kl) return fail(why, E_USAGE, "perplexity wants a text, --file FILE, or a base that brings one, --kl BASE");
    if (o->kl && (o->context || o->stride || o->save_logits))
        return fail(why, E_USAGE, "--kl goes with neither --ctx nor --stride nor --save-logits: the base says what is judged");
    if (o->save_logits && !strcmp(o->save_logits, "-")) return fail(why, E_USAGE, "--save-logits wants the name of a file; standard output is for what is found");
    return o->save_logits && o->stride ? fail(why, E_USAGE, "--save-logits keeps chunks, and with --stride there are none") : 0;
}

static int check_machines(const struct options *o, struct err *why)
{
    if (o->scan) return o->words[0] ? fail(why, E_USAGE, "--scan writes a cluster file, so none is named beside it") : 0;
    return o->words[0] ? 0 : fail(why, E_USAGE, "say which machines: a cluster file (gemmapipe up --scan HOSTS writes a first one)");
}

static int check(const struct options *o, enum command command, struct err *why)
{
    TRY(numeric_check(o->numbers, why));
    if (o->vision_q8 && o->numbers.math == MATH_FLOAT32) return fail(why, E_USAGE, "--vision-type q8_0 is not for --math float32");
    if (command & MACHINES) return check_machines(o, why);
    if (!o->model && command != CMD_EMBED && !o->status && !o->repair) return fail(why, E_USAGE, "say which model: --model FILE.gguf");
    if (command == CMD_EMBED && (!o->mmproj || o->n_images != 1 || !o->out))
        return fail(why, E_USAGE, "embed-image wants --mmproj FILE, one --image FILE and --out FILE");
    if (o->n_images && !o->mmproj) return fail(why, E_USAGE, "a picture needs its encoder: --mmproj FILE.gguf");
    if (o->vision_workers && !o->mmproj) return fail(why, E_USAGE, "--vision-workers without --mmproj have nothing to do");
    if (o->pictures > 0 && !o->mmproj) return fail(why, E_USAGE, "--pictures need their encoder: --mmproj FILE.gguf");
    if (o->probe && o->no_probe) return fail(why, E_USAGE, "--probe and --no-probe exclude each other");
    int ways = (o->workers > 0) + (o->here > 0) + (o->connect != 0) + (o->cluster != 0);
    if (o->keys && o->insecure) return fail(why, E_USAGE, "--keys and --insecure exclude each other");
    if (ways > 1) return fail(why, E_USAGE, "--workers, --here, --connect and --cluster exclude each other");
    if (command == CMD_LOGITS && (!o->ids == !o->prompt || !o->out))
        return fail(why, E_USAGE, "logits wants --ids 2,105,… or a prompt, and --out FILE");
    if (command == CMD_LOGITS && o->depth && (!o->ids || o->n_images)) return fail(why, E_USAGE, "--depth-drawn stands before --ids, without pictures");
    if (command == CMD_RUN && !o->prompt && !o->prompts_file)
        return fail(why, E_USAGE, "say what to answer: gemmapipe run --model FILE.gguf \"prompt\", or --prompts FILE");
    if (command == CMD_BATCH && (o->status || o->repair)) return 0;
    if (command == CMD_BATCH && (!o->in || !o->out)) return fail(why, E_USAGE, "batch wants --in FILE and --out FILE");
    if (command == CMD_BATCH && !strcmp(o->out, "-") && !o->journal) return fail(why, E_USAGE, "--out - needs a place for the journal: --journal FILE");
    if (command == CMD_BATCH && (!*o->in || !*o->out)) return fail(why, E_USAGE, "batch wants the names of files");
    if (o->one_file && o->errors) return fail(why, E_USAGE, "--one-file has no use for --errors");
    if (o->retry_failed && !o->resume) return fail(why, E_USAGE, "--retry-failed goes with --resume");
    if (o->resume && o->overwrite) return fail(why, E_USAGE, "--resume and --overwrite exclude each other");
    if (o->prompt && o->prompts_file) return fail(why, E_USAGE, "a prompt and --prompts exclude each other");
    if (command == CMD_BENCH) TRY(check_bench(o, why));
    if (command == CMD_PLAN) TRY(check_simulate(o, why));
    if (command == CMD_PERPLEXITY) TRY(check_perplexity(o, why));
    if (command == CMD_EVAL && (!o->tasks || !*o->tasks || !strcmp(o->tasks, "-"))) return fail(why, E_USAGE, "eval wants questions: --tasks FILE");
    if (command == CMD_EVAL && o->out && !strcmp(o->out, "-")) return fail(why, E_USAGE, "standard output is for what the results come to; --out wants a file");
    if (o->special && !o->raw && !(command & (CMD_TOKENIZE | CMD_PERPLEXITY)))
        return fail(why, E_USAGE, "--special is for a text that brings its own turns, with --raw");
    if (o->fingerprint && o->out && !strcmp(o->out, "-"))
        return fail(why, E_USAGE, "--out - and --fingerprint exclude each other: both write to standard output");
    if (o->trace && !strcmp(o->trace, "-"))
        return fail(why, E_USAGE, "--trace wants the name of a file; standard output is for answers");
    if (o->timeline && !strcmp(o->timeline, "-"))
        return fail(why, E_USAGE, "--timeline wants the name of a file; standard output is for answers");
    if (o->report_json && !strcmp(o->report_json, "-"))
        return fail(why, E_USAGE, "--report-json wants the name of a file; standard output is for answers");
    if (o->raw && o->system) return fail(why, E_USAGE, "--raw has no turns, so there is no place for --system");
    return 0;
}

static const struct command_text *find_command(const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(word, commands[i].name)) return &commands[i];
    return NULL;
}

int options_read(struct options *o, enum command *command, int argc, char **argv, struct err *why)
{
    const struct command_text *c = find_command(argv[1]);
    if (!c) return fail(why, E_USAGE, "\"%.100s\" is not a command (gemmapipe --help lists them)", argv[1]);
    *o = (struct options){
        .most = 512, .stall = 60, .drain = 30, .patience = c->command == CMD_BENCH ? 0 : 300, .picture_memory = IMAGE_LIMITS.memory,
        .pp = bench_defaults.pp, .tg = bench_defaults.tg, .pp_batch = bench_defaults.pp_batch, .batch = bench_defaults.batch,
        .reps = bench_defaults.reps, .requests = 64, .prompt_tokens = {1, {256}}, .answer_tokens = {1, {64}},
        .sampling = {.temperature = 1, .top_k = 64, .top_p = 0.95f, .repeat_penalty = 1, .repeat_last = 64},
    };
    /* A seed that nobody chose is drawn: short, because people copy it. */
    if (getrandom(&o->sampling.seed, sizeof o->sampling.seed, 0) != sizeof o->sampling.seed) o->sampling.seed = 1;
    o->sampling.seed = c->command & (CMD_BATCH | CMD_EVAL | CMD_BENCH | CMD_PLAN) ? 0 : o->sampling.seed >> 32; /* a job is the same job when it is resumed */
    if (c->command == CMD_SERVE) o->most = CONTEXT_MOST;
    const struct arguments a = arguments_of(c);
    TRY(arguments_read(&a, o, argc - 2, argv + 2, why));
    if (!o->sequences) o->sequences = o->aim_sequences;
    o->report |= (c->command & (CMD_BATCH | CMD_EVAL)) && !o->quiet; /* a job is long: what it did is told unasked */
    if (o->numbers.math == MATH_FLOAT32 && !o->kv_chosen) o->numbers.kv = KV_F32;
    *command = c->command;
    if (!o->help) return check(o, c->command, why);
    print_manual(c);
    exit(0);
}
