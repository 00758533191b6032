/* coordinator/cmd/options.c — see options.h. */
#include "coordinator/cmd/options.h"

#include "base/limits.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINE (CMD_RUN | CMD_CHAT | CMD_LOGITS | CMD_EMBED)
#define WORKERS (PIPELINE | CMD_BENCH)
#define ANSWER (CMD_RUN | CMD_CHAT)
#define SEES (ANSWER | CMD_LOGITS | CMD_EMBED)
#define ALL (WORKERS | CMD_TOKENIZE | CMD_DETOKENIZE | CMD_PLAN)

enum key {
    K_MODEL = 256, K_WORKERS, K_HERE, K_SPLIT, K_WHOLE_HEAD, K_CONNECT, K_CLUSTER, K_MEMORY, K_THREADS, K_SEND, K_EMBED, K_WAIT, K_CTX,
    K_SEQUENCES, K_ROWS, K_FLIGHT, K_PROMPTS, K_SYSTEM, K_RAW, K_TEMP, K_TOP_K, K_TOP_P, K_MIN_P, K_PENALTY, K_LAST,
    K_SEED, K_REPORT, K_PRINT, K_QUIET, K_VERBOSE, K_JSON, K_IDS, K_OUT, K_SPECIAL, K_MMPROJ,
    K_VISION_SPLIT, K_VISION_TYPE, K_IMAGE, K_PAN, K_TRACE,
    K_VISION_WORKERS, K_PIN,
    K_PP, K_TG, K_PP_BATCH, K_BATCH, K_DEPTH, K_REPS,
};

struct row_of_table {
    const char *name, *value; /* value: what the option takes, NULL if nothing */
    int key;
    int commands;
    const char *help;
};

static const struct row_of_table table[] = {
    {"model", "FILE", K_MODEL, ALL & ~CMD_EMBED, "the text model, a GGUF; if it is split, its first file"},
    {"mmproj", "FILE", K_MMPROJ, SEES, "the picture encoder that belongs to it, a GGUF too"},
    {"image", "FILE", K_IMAGE, CMD_RUN | CMD_LOGITS | CMD_EMBED,
     "a picture before the prompt (JPEG, PNG, GIF, BMP, PNM, TGA; - or a data: URL); may be repeated"},
    {"pan-and-scan", 0, K_PAN, ANSWER | CMD_LOGITS, "show a long picture whole and in pieces"},
    {"vision-split", "A,B,C", K_VISION_SPLIT, SEES,
     "layers of the encoder by hand, 0 for none; all,0,all: copies of it; or a word: copies, layers"},
    {"vision-workers", "N", K_VISION_WORKERS, ANSWER | CMD_LOGITS, "the last N workers are for pictures alone, the others for text"},
    {"vision-type", "TYPE", K_VISION_TYPE, SEES,
     "f16: its matrices as the file has them (default); q8_0: half the memory, faster, less exact"},
    {"workers", "N", K_WORKERS, WORKERS, "start N worker processes on this machine"},
    {"here", "N", K_HERE, WORKERS, "N stages as threads of this one process"},
    {"split", "A,B,C", K_SPLIT, WORKERS, "layers of each worker by hand; the last also gets the head. A+8,B+8: sixteenths of the head too"},
    {"whole-head", 0, K_WHOLE_HEAD, WORKERS, "never divide the output head among workers; --top-k 0 or over 1024 does not either"},
    {"connect", "A,B,C", K_CONNECT, WORKERS, "use the gemmapipe-workers that listen there, in this order"},
    {"cluster", "FILE", K_CLUSTER, WORKERS, "addresses and sizes of the workers from a file (deploy/cluster.example.json)"},
    {"memory", "SIZES", K_MEMORY, WORKERS, "most memory of each worker, as 2G,1G,512M; one size is for all"},
    {"threads", "T", K_THREADS, WORKERS, "threads of each worker (default: the cores shared out)"},
    {"pin", 0, K_PIN, WORKERS, "bind each thread of the workers started here to a core of its own"},
    {"send-weights", 0, K_SEND, WORKERS, "stream every worker its share even if it could open the file itself"},
    {"embed-scale", "HOW", K_EMBED, WORKERS, "bf16: sqrt(hidden) rounded as the model was trained (default); exact: as llama.cpp"},
    {"wait", "SECONDS", K_WAIT, WORKERS, "how long to wait for workers to answer (default 60)"},
    {"ctx", "N", K_CTX, PIPELINE, "positions of a sequence to hold (default: what prompt and answer need; chat and plan 4096)"},
    {"sequences", "N", K_SEQUENCES, CMD_RUN, "sequences held at once (default: the prompts, at most 16; plan 1)"},
    {"micro-batch", "N", K_ROWS, WORKERS, "rows of a micro-batch, at most (default 128)"},
    {"in-flight", "N", K_FLIGHT, WORKERS, "micro-batches under way at once (default: stages + 1; 1 if there is one stage)"},
    {"prompts", "FILE", K_PROMPTS, CMD_RUN,
     "many prompts, one a line (which may begin with /image FILE), answered together, printed in order (- is stdin)"},
    {"system", "TEXT", K_SYSTEM, ANSWER | CMD_LOGITS, "what to tell the model before the first question"},
    {"raw", 0, K_RAW, CMD_RUN | CMD_LOGITS, "no chat turns: <bos> and the text as it is, to be continued"},
    {"n", "MAX", 'n', ANSWER, "tokens of an answer, at most (default 512)"},
    {"temp", "T", K_TEMP, ANSWER, "temperature (default 1; 0 always takes the likeliest token)"},
    {"top-k", "K", K_TOP_K, ANSWER, "only the K likeliest tokens (default 64; 0 is off)"},
    {"top-p", "P", K_TOP_P, ANSWER, "only the likeliest tokens that together reach P (default 0.95; 1 is off)"},
    {"min-p", "P", K_MIN_P, ANSWER, "only tokens at least P times as likely as the likeliest (default 0, off)"},
    {"repeat-penalty", "X", K_PENALTY, ANSWER, "make tokens of the last ones less likely (default 1, off)"},
    {"repeat-last", "N", K_LAST, ANSWER, "how many last tokens that looks at (default 64, at most 256)"},
    {"seed", "S", K_SEED, ANSWER, "the same seed gives the same answer (default: drawn; --report shows it)"},
    {"report", 0, K_REPORT, PIPELINE, "a closing table on stderr: memory, busy, waiting, rates"},
    {"trace", "FILE", K_TRACE, PIPELINE, "who computed what when, as trace events for a browser's viewer (ui.perfetto.dev)"},
    {"fingerprint", 0, K_PRINT, CMD_RUN | CMD_LOGITS, "print a hash of all scores the model produced: equal hash, equal bits"},
    {"ids", "IDS", K_IDS, CMD_LOGITS,
     "instead of a prompt token ids with commas between, <bos> included; soft tokens where a picture goes"},
    {"out", "FILE", K_OUT, CMD_LOGITS | CMD_EMBED, "where the numbers go: float32 [ids, vocabulary], or [rows, hidden] of a picture"},
    {"special", 0, K_SPECIAL, CMD_TOKENIZE, "let the text make control tokens such as <start_of_turn>"},
    {"pp", "N,N", K_PP, CMD_BENCH,
     "prompts of N tokens, from an empty cache to the first token (default 256; 0: none)"},
    {"tg", "N,N", K_TG, CMD_BENCH,
     "N tokens generated one after the other, after a prompt of one that does not count (default 16; 0: none)"},
    {"batch", "N,N", K_BATCH, CMD_BENCH, "sequences that generate at once (default 1,8,16)"},
    {"pp-batch", "N,N", K_PP_BATCH, CMD_BENCH, "prompts that come at once (default 1)"},
    {"depth", "D", K_DEPTH, CMD_BENCH, "do it after D tokens that do not count (default 0)"},
    {"reps", "R", K_REPS, CMD_BENCH, "how often to measure each test, after one run to warm up (default 3)"},
    {"json", 0, K_JSON, CMD_PLAN | CMD_BENCH, "as JSON, for scripts; a plan also for gemmapipe-partition split"},
    {"quiet", 0, K_QUIET, ALL, "say nothing on stderr but errors"},
    {"verbose", 0, K_VERBOSE, ALL, "say more on stderr"},
    {"help", 0, 'h', ALL, "this text"},
};
#define ROWS (sizeof table / sizeof *table)

/* Whoever asks for a plan asks for that of a run: `plan` takes all that `run` takes. */
static bool takes(enum command command, const struct row_of_table *row)
{
    return row->commands & (int)command || (command == CMD_PLAN && row->commands & CMD_RUN);
}

struct command_text {
    enum command command;
    const char *name, *usage, *story;
};

static const struct command_text commands[] = {
    {CMD_RUN, "run", "gemmapipe run --model M.gguf [options] \"prompt\"", "Answers one prompt, or many with --prompts, and ends."},
    {CMD_CHAT, "chat", "gemmapipe chat --model M.gguf [options]", "A conversation on the terminal. An empty line or Ctrl-D ends it."},
    {CMD_LOGITS, "logits", "gemmapipe logits --model M.gguf --ids 2,105,… | \"prompt\" --out F.f32 [options]",
     "Writes the scores of every position."},
    {CMD_EMBED, "embed-image", "gemmapipe embed-image --mmproj P.gguf --image FILE --out F.f32 [options]",
     "Writes the rows a picture becomes."},
    {CMD_TOKENIZE, "tokenize", "gemmapipe tokenize --model M.gguf [--special] < text", "The ids of a text on one line, without <bos>."},
    {CMD_DETOKENIZE, "detokenize", "gemmapipe detokenize --model M.gguf < ids", "The text of ids, byte for byte."},
    {CMD_PLAN, "plan", "gemmapipe plan --model M.gguf --workers N [--memory 1G,1G,2G] [options of run] [\"prompt\"]",
     "Shows who would get which layers in a run with these words, and the bytes each worker needs; loads nothing."},
    {CMD_BENCH, "bench",
     "gemmapipe bench --model M.gguf [--pp 256] [--tg 16] [--batch 1,8,16] [--reps R] [--json] [options]",
     "Measures prompts, generation, and generation of many sequences at once."},
};

static const char bench_manual[] =
    "Tests are called as in llama-bench: pp256 is a prompt of 256 tokens, tg16 16 tokens generated by one sequence,\n"
    "tg16@8 by each of 8 sequences; tok/s counts all sequences together. Tokens are drawn at random: speed does not\n"
    "depend on them. Generating goes on past a token that would end an answer.\n"
    "Beside the rates stand: what part they are of the machine's limits, which are measured at the end (multiply-adds\n"
    "over the instruction set's peak; bytes of weights, keys and values read over the speed of memory); the part of\n"
    "the time that stages did not compute (bubble); micro-batches and the rows in each; bytes that went between\n"
    "processes, per token. Limits are left out when a worker is on another machine. Only on a machine that does\n"
    "nothing else do the numbers mean anything.\n";

void options_help(FILE *to)
{
    fputs("gemmapipe — runs Gemma 3 as a relay: the layers of one model over several processes or machines.\n\n", to);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].story);
    fputs("\n"
          "Who computes: nothing said, this process alone. --workers N starts N processes here. --connect uses\n"
          "gemmapipe-workers that listen elsewhere. Under `mpirun -n K`, rank 0 coordinates and the others work.\n"
          "The answer is the same in every case, bit for bit.\n"
          "\n"
          "`gemmapipe COMMAND --help` is the manual of a command.\n"
          "Exit status: 0 done; 2 command line; 3 a file is missing or damaged; 4 it does not fit in memory; 5 no worker\n"
          "answers, or an address cannot be used; 6 the protocol was broken; 7 a worker was lost; 8 done, but some prompts or\n"
          "lines failed; 9 stopped, and can be resumed; 130 interrupted.\n",
          to);
}

static void help_of(enum command command)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].command == command)
            printf("%s\n\n%s\n%s\n", commands[i].usage, commands[i].story, command == CMD_BENCH ? bench_manual : "");
    for (size_t i = 0; i < ROWS; i++) {
        if (!takes(command, &table[i])) continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s %s", strlen(table[i].name) == 1 ? "-" : "--", table[i].name,
                 table[i].value ? table[i].value : "");
        printf("  %-24s %s\n", left, table[i].help);
    }
}

static int number(const struct row_of_table *row, const char *text, double least, double most, double *out, struct err *why)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < least || v > most)
        return fail(why, E_USAGE, "--%s wants a number from %g to %g, not \"%s\"", row->name, least, most, text);
    *out = v;
    return 0;
}

static int whole(const struct row_of_table *row, const char *text, uint32_t least, uint32_t most, uint32_t *out, struct err *why)
{
    double v = 0;
    TRY(number(row, text, least, most, &v, why));
    if (v != floor(v)) return fail(why, E_USAGE, "--%s wants a whole number, not \"%s\"", row->name, text);
    *out = (uint32_t)v;
    return 0;
}

static int take_sampling(struct sampling *s, const struct row_of_table *row, const char *v, struct err *why)
{
    double d = 0;
    switch (row->key) {
    case K_TEMP: TRY(number(row, v, 0, 100, &d, why)); s->temperature = (float)d; return 0;
    case K_TOP_K: return whole(row, v, 0, 1u << 20, &s->top_k, why);
    case K_TOP_P: TRY(number(row, v, 0, 1, &d, why)); s->top_p = (float)d; return 0;
    case K_MIN_P: TRY(number(row, v, 0, 1, &d, why)); s->min_p = (float)d; return 0;
    case K_PENALTY: TRY(number(row, v, 0.01, 100, &d, why)); s->repeat_penalty = (float)d; return 0;
    case K_LAST: return whole(row, v, 0, REPEAT_LAST_MOST, &s->repeat_last, why);
    default: return 0;
    }
}

static int take_seed(struct options *o, const char *v, struct err *why)
{
    char *end;
    o->sampling.seed = strtoull(v, &end, 0);
    if (*end || end == v || *v == '-') return fail(why, E_USAGE, "--seed wants a number, not \"%s\"", v);
    return 0;
}

/* "1,8,16"; 0 alone is an empty list where `least` is 0. */
static int take_numbers(struct numbers *list, const struct row_of_table *row, const char *text, uint32_t least,
                        uint32_t most, struct err *why)
{
    list->n = 0;
    for (const char *at = text;;) {
        char *end;
        errno = 0;
        unsigned long v = strtoul(at, &end, 10);
        bool number = end != at && *at >= '0' && *at <= '9' && !errno && (!*end || *end == ',');
        if (!number || v < least || v > most)
            return fail(why, E_USAGE, "--%s wants whole numbers from %u to %u with commas between, not \"%.40s\"",
                        row->name, least, most, text);
        if (list->n == NUMBERS_MOST)
            return fail(why, E_USAGE, "--%s holds more than %d numbers", row->name, NUMBERS_MOST);
        if (v) list->at[list->n++] = (uint32_t)v;
        if (!*end) return 0;
        at = end + 1;
    }
}

static int take_bench(struct options *o, const struct row_of_table *row, const char *v, struct err *why)
{
    switch (row->key) {
    case K_PP: return take_numbers(&o->pp, row, v, 0, 1u << 20, why);
    case K_TG: return take_numbers(&o->tg, row, v, 0, 1u << 20, why);
    case K_PP_BATCH: return take_numbers(&o->pp_batch, row, v, 1, WIRE_SEGMENTS, why);
    case K_BATCH: return take_numbers(&o->batch, row, v, 1, WIRE_SEGMENTS, why);
    case K_DEPTH: return whole(row, v, 0, 1u << 20, &o->depth, why);
    default: return whole(row, v, 1, 1000, &o->reps, why);
    }
}

static int take_count(struct options *o, const struct row_of_table *row, const char *v, struct err *why)
{
    uint32_t n = 0;
    switch (row->key) {
    case K_WORKERS: TRY(whole(row, v, 1, WORKERS_MOST, &n, why)); o->workers = (int)n; return 0;
    case K_VISION_WORKERS: TRY(whole(row, v, 1, WORKERS_MOST, &n, why)); o->vision_workers = (int)n; return 0;
    case K_HERE: TRY(whole(row, v, 1, WORKERS_MOST, &n, why)); o->here = (int)n; return 0;
    case K_THREADS: TRY(whole(row, v, 1, 1024, &n, why)); o->threads = (int)n; return 0;
    case K_WAIT: TRY(whole(row, v, 1, 86400, &n, why)); o->wait = (int)n; return 0;
    case K_CTX: return whole(row, v, 2, 1u << 24, &o->context, why);
    case K_SEQUENCES: return whole(row, v, 1, WIRE_SEGMENTS, &o->sequences, why);
    case K_ROWS: return whole(row, v, 1, WIRE_ROWS, &o->rows, why);
    case K_FLIGHT: return whole(row, v, 1, IN_FLIGHT_MOST, &o->in_flight, why);
    default: return whole(row, v, 1, 1u << 24, &o->most, why);
    }
}

static int take(struct options *o, const struct row_of_table *row, const char *v, struct err *why)
{
    switch (row->key) {
    case K_MODEL: o->model = v; return 0;
    case K_SPLIT: o->split = v; return 0;
    case K_WHOLE_HEAD: o->whole_head = true; return 0;
    case K_MMPROJ: o->mmproj = v; return 0;
    case K_VISION_SPLIT: o->vision_split = v; return 0;
    case K_VISION_TYPE:
        o->vision_q8 = !strcmp(v, "q8_0");
        if (o->vision_q8 || !strcmp(v, "f16")) return 0;
        return fail(why, E_USAGE, "--vision-type is f16 or q8_0, not \"%s\"", v);
    case K_IMAGE:
        if (o->n_images == IMAGES_MOST) return fail(why, E_USAGE, "more than %d pictures", IMAGES_MOST);
        o->images[o->n_images++] = v;
        return 0;
    case K_PAN: o->pan_and_scan = true; return 0;
    case K_CONNECT: o->connect = v; return 0;
    case K_CLUSTER: o->cluster = v; return 0;
    case K_MEMORY: o->memory = v; return 0;
    case K_SEND: o->send_weights = true; return 0;
    case K_PIN: o->pin = true; return 0;
    case K_EMBED:
        o->exact_embed_scale = !strcmp(v, "exact");
        if (o->exact_embed_scale || !strcmp(v, "bf16")) return 0;
        return fail(why, E_USAGE, "--embed-scale is bf16 or exact, not \"%s\"", v);
    case K_PROMPTS: o->prompts_file = v; return 0;
    case K_SYSTEM: o->system = v; return 0;
    case K_RAW: o->raw = true; return 0;
    case K_TEMP: case K_TOP_K: case K_TOP_P: case K_MIN_P: case K_PENALTY: case K_LAST:
        return take_sampling(&o->sampling, row, v, why);
    case K_SEED: return take_seed(o, v, why);
    case K_TRACE: o->trace = v; return 0;
    case K_PP: case K_TG: case K_PP_BATCH: case K_BATCH: case K_DEPTH: case K_REPS: return take_bench(o, row, v, why);
    case K_REPORT: o->report = true; return 0;
    case K_PRINT: o->fingerprint = true; return 0;
    case K_IDS: o->ids = v; return 0;
    case K_OUT: o->out = v; return 0;
    case K_SPECIAL: o->special = true; return 0;
    case K_JSON: o->json = true; return 0;
    case K_QUIET: o->quiet = true; return 0;
    case K_VERBOSE: o->verbose = true; return 0;
    default: return take_count(o, row, v, why);
    }
}

static const struct row_of_table *row_of(int key)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].key == key) return &table[i];
    return 0;
}

static int check(const struct options *o, enum command command, struct err *why)
{
    if (!o->model && command != CMD_EMBED) return fail(why, E_USAGE, "say which model: --model FILE.gguf");
    if (command == CMD_EMBED && (!o->mmproj || o->n_images != 1 || !o->out))
        return fail(why, E_USAGE, "embed-image wants --mmproj FILE, one --image FILE and --out FILE");
    if (o->n_images && !o->mmproj) return fail(why, E_USAGE, "a picture needs its encoder: --mmproj FILE.gguf");
    if (o->vision_workers && !o->mmproj) return fail(why, E_USAGE, "--vision-workers without --mmproj have nothing to do");
    int ways = (o->workers > 0) + (o->here > 0) + (o->connect != 0) + (o->cluster != 0);
    if (ways > 1) return fail(why, E_USAGE, "--workers, --here, --connect and --cluster exclude each other");
    if (command == CMD_LOGITS && (!o->ids == !o->prompt || !o->out))
        return fail(why, E_USAGE, "logits wants --ids 2,105,… or a prompt, and --out FILE");
    if (command == CMD_RUN && !o->prompt && !o->prompts_file)
        return fail(why, E_USAGE, "say what to answer: gemmapipe run --model FILE.gguf \"prompt\", or --prompts FILE");
    if (o->prompt && o->prompts_file) return fail(why, E_USAGE, "a prompt and --prompts exclude each other");
    if (command == CMD_BENCH && !o->pp.n && !o->tg.n)
        return fail(why, E_USAGE, "there is nothing to measure: --pp and --tg are both 0");
    if (o->raw && o->system) return fail(why, E_USAGE, "--raw has no turns, so there is no place for --system");
    return 0;
}

int options_read(struct options *o, enum command command, int argc, char **argv, struct err *why)
{
    *o = (struct options){
        .most = 512, .pp = {1, {256}}, .tg = {1, {16}}, .pp_batch = {1, {1}}, .batch = {3, {1, 8, 16}}, .reps = 3,
        .sampling = {.temperature = 1, .top_k = 64, .top_p = 0.95f, .repeat_penalty = 1, .repeat_last = 64, .seed = UINT64_MAX},
    };
    struct option longs[ROWS + 1] = {0};
    int n = 0;
    for (size_t i = 0; i < ROWS; i++)
        if (takes(command, &table[i]))
            longs[n++] = (struct option){table[i].name, table[i].value ? required_argument : no_argument, 0, table[i].key};
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "hn:", longs, 0)) != -1;) {
        if (c == 'h') {
            help_of(command);
            exit(0);
        }
        const struct row_of_table *row = c == '?' ? 0 : row_of(c);
        if (!row || !takes(command, row))
            return fail(why, E_USAGE, "unknown option or missing value: %s (--help lists them)", argv[optind - 1]);
        TRY(take(o, row, optarg, why));
    }
    if ((command & (CMD_RUN | CMD_LOGITS | CMD_PLAN)) && optind < argc) o->prompt = argv[optind++];
    if (optind < argc) return fail(why, E_USAGE, "\"%s\" is one word too many; a prompt goes in quotes", argv[optind]);
    return check(o, command, why);
}
