/* partition/tool/cmd_split.c — see cmd_split.h: each worker's part of a model as a file to carry to that worker.
 *
 * A run needs no such files: parts are streamed to workers that have none. They serve where the network is slow or
 * metered, or where workers start often. Each shard knows its model; the manifest has a hash of every shard, so that
 * whoever carries them can tell that they arrived whole. It is written last: with it, all are there.
 *
 * A packed shard is a folder of files as the worker will map them; each has its hashes in itself, and none here. */
#include "partition/file/model_file.h"
#include "partition/file/packed_shard.h"
#include "partition/tool/cmd_split.h"

#include "base/arguments.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/size_text.h"
#include "base/json.h"
#include "base/mapped.h"
#include "base/whole_file.h"
#include "partition/model/part_text.h"
#include "partition/plan/plan_json.h"
#include "partition/plan/plan_text.h"
#include "partition/file/shard_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1u << 20)
#define MANIFEST "manifest.json"

struct split_job {
    const char *model_path, *folder, *plan_path, *layers;
    struct model *model;
    struct plan_file plan;
    char file[STAGES_MOST][300]; /* names in the folder */
    uint64_t bytes[STAGES_MOST];
    struct hash128 hash[STAGES_MOST];
    int written; /* shards */
    bool made_folder, packed;
};

/* ---- who gets what ---- */

/* The planner says whether these cuts can be, as it does for a run. What memory the workers have is not known here. */
static int plan_cuts(struct split_job *s, const struct cut *cuts, int n, struct err *why)
{
    const struct plan_wish wish = {.cuts = cuts, .n_cuts = n, .capacity = {.context = 1, .sequences = 1, .rows = 1, .in_flight = 1}};
    const struct model_shape shape = model_shape(s->model, NULL);
    struct worker_offer *offers = calloc((size_t)n, sizeof *offers);
    struct plan plan = {0};
    const int code = offers ? plan_make(&plan, &shape, offers, n, &wish, why) : fail(why, E_MEMORY, "no memory to plan for %d workers", n);
    for (int i = 0; i < plan_stages(&plan); i++) s->plan.part[i] = plan.of[i].part[CHAIN_TEXT];
    s->plan.stages = plan_stages(&plan);
    plan_free(&plan);
    free(offers);
    return code;
}

static int parts_of_list(struct split_job *s, struct err *why)
{
    struct cut *cuts;
    int n, code = plan_read_split(s->layers, &cuts, &n, why);
    if (!code) code = plan_cuts(s, cuts, n, why);
    free(cuts);
    return code;
}

static int parts_of_plan(struct split_job *s, struct err *why)
{
    TRY(plan_read_json(&s->plan, s->plan_path, why));
    if (s->plan.has_fingerprint && !hash128_same(s->plan.fingerprint, s->model->fingerprint))
        return fail(why, E_USAGE, "%s was made for another model than %s; make it again", s->plan_path, s->model_path);
    TRY(plan_file_check(&s->plan, s->model->config.layers, s->plan_path, why));
    for (int i = 0; i < s->plan.stages; i++)
        if (!text_part_possible(&s->model->config, s->plan.part[i]))
            return fail(why, E_USAGE, "%s: stage %d has parts of the head without a word: the vocabulary of %u is too small for "
                        "them", s->plan_path, i + 1, s->model->config.vocab);
    return 0;
}

/* "gemma" of "/models/gemma-00001-of-00003.gguf": what the shards' names begin with. */
static int name_shards(struct split_job *s, struct err *why)
{
    const char *slash = strrchr(s->model_path, '/'), *stem = slash ? slash + 1 : s->model_path;
    size_t n = strlen(stem);
    if (n > 5 && !strcmp(stem + n - 5, ".gguf")) n -= 5;
    if (n > 15 && stem[n - 15] == '-' && !memcmp(stem + n - 9, "-of-", 4)) n -= 15;
    if (n > 200) return fail(why, E_USAGE, "the name %s is too long to make others of it", stem);
    for (int i = 0; i < s->plan.stages; i++)
        snprintf(s->file[i], sizeof s->file[i], "%.*s-shard-%d-of-%d%s", (int)n, stem, i + 1, s->plan.stages,
                 s->packed ? "" : ".gguf");
    return 0;
}

/* ---- files ---- */

static int hash_file(const char *path, uint64_t *bytes, struct hash128 *out, struct err *why)
{
    struct mapped m;
    uint8_t *piece = malloc(PIECE);
    struct hash_stream *h = hash_stream_open();
    int code = piece && h ? mapped_open(&m, path, UINT64_MAX, why) : fail(why, E_MEMORY, "no memory to hash %s", path);
    bool opened = !code;
    for (uint64_t at = 0; !code && at < m.bytes; at += PIECE) {
        if (interrupt_seen()) code = fail(why, E_INTERRUPTED, "%s", interrupt_reason());
        size_t n = m.bytes - at < PIECE ? (size_t)(m.bytes - at) : PIECE;
        if (!code) code = mapped_read(&m, at, piece, n, why);
        if (!code) hash_stream_add(h, piece, n);
    }
    if (opened) *bytes = m.bytes, mapped_close(&m);
    struct hash128 all = {0, 0};
    if (h) all = hash_stream_close(&h);
    *out = all;
    free(piece);
    return code;
}

static int write_shard(struct split_job *s, int i, const char *path, struct err *why)
{
    if (!s->packed) TRY(shard_write(s->model, s->plan.part[i], path, why));
    s->written++;
    return s->packed ? packed_shard_write(s->model, s->plan.part[i], path, &s->bytes[i], why)
                     : hash_file(path, &s->bytes[i], &s->hash[i], why);
}

static int write_shards(struct split_job *s, struct err *why)
{
    char part[64], size[24];
    for (int i = 0; i < s->plan.stages; i++) {
        char *path = path_in(s->folder, s->file[i]);
        if (!path) return fail(why, E_MEMORY, "no memory to name the shards");
        const int code = write_shard(s, i, path, why);
        if (!code)
            log_info("%s: %s, %s%s%s", path, show_part(part, s->plan.part[i]), show_bytes(size, s->bytes[i]),
                     *s->plan.worker[i] ? ", for " : "", s->plan.worker[i]);
        free(path);
        TRY(code);
    }
    return 0;
}

static void print_manifest(FILE *to, const struct split_job *s)
{
    char hex[33];
    fprintf(to, "{\"model\": ");
    json_print_text(to, s->model_path);
    fprintf(to, ",\n \"fingerprint\": \"%s\",\n \"layers\": %u,\n \"shards\": [",
            show_hash128(hex, s->model->fingerprint), s->model->config.layers);
    for (int i = 0; i < s->plan.stages; i++) {
        fprintf(to, "%s\n  {\"file\": ", i ? "," : "");
        json_print_text(to, s->file[i]);
        fprintf(to, ", \"worker\": ");
        json_print_text(to, s->plan.worker[i]);
        fprintf(to, ", ");
        part_write_json(to, s->plan.part[i]);
        fprintf(to, ", \"bytes\": %" PRIu64, s->bytes[i]);
        if (!s->packed) fprintf(to, ", \"xxh128\": \"%s\"", show_hash128(hex, s->hash[i]));
        fprintf(to, "}");
    }
    fprintf(to, "]}\n");
}

static int write_manifest(const struct split_job *s, struct err *why)
{
    struct whole_file *f = NULL;
    char *path = path_in(s->folder, MANIFEST);
    if (!path) return fail(why, E_MEMORY, "no memory to name the manifest");
    int code = whole_file_open(&f, path, why);
    if (!code) print_manifest(whole_file_stream(f), s);
    code = whole_file_close(&f, code, why);
    free(path);
    return code;
}

static void remove_from_folder(const struct split_job *s, const char *name)
{
    char *path = path_in(s->folder, name);
    if (path) remove(path);
    free(path);
}

/* Some of the shards are of no use to anybody. */
static void clean_up(const struct split_job *s)
{
    for (int i = 0; i < s->written; i++) {
        char *path = s->packed ? path_in(s->folder, s->file[i]) : NULL;
        if (path) packed_shard_remove(s->model, s->plan.part[i], path);
        else remove_from_folder(s, s->file[i]);
        free(path);
    }
    if (s->made_folder) rmdir(s->folder);
}

static int split(struct split_job *s, struct err *why)
{
    TRY(model_open(&s->model, s->model_path, why));
    TRY(s->layers ? parts_of_list(s, why) : parts_of_plan(s, why));
    TRY(name_shards(s, why));
    s->made_folder = !mkdir(s->folder, 0777);
    if (!s->made_folder && errno != EEXIST) return fail_errno(why, E_FILE, "cannot make the folder %s", s->folder);
    remove_from_folder(s, MANIFEST); /* of shards that are about to be replaced */
    int code = write_shards(s, why);
    if (!code) code = write_manifest(s, why);
    if (code) clean_up(s);
    return code;
}

/* ---- words ---- */

#define INTO struct split_job
static const struct argument table[] = {
    {"plan", "FILE", 0, TEXT(plan_path), NULL},
    {"layers", "A,B,C", 0, TEXT(layers), NULL},
    {"packed", NULL, 0, FLAG(packed), NULL},
    {"o", "FOLDER", 0, TEXT(folder), NULL},
    {NULL, NULL, 0, TEXT(model_path), NULL},
};

static int read_words(struct split_job *s, int argc, char **argv, struct err *why)
{
    TRY(arguments_read(&ARGUMENTS("split", table), s, argc, argv, why));
    if (!s->model_path || !s->folder)
        return fail(why, E_USAGE, "split wants a model and a folder: split MODEL.gguf --layers 12,11,11 -o FOLDER");
    if (!strcmp(s->folder, "-"))
        return fail(why, E_USAGE, "split writes several files, which do not go to standard output; -o wants the name of a folder");
    if (!s->plan_path == !s->layers)
        return fail(why, E_USAGE, "split wants --plan FILE or --layers 12,11,11, one of the two");
    return 0;
}

int cmd_split(int argc, char **argv, struct err *why)
{
    struct split_job *s = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory to begin with");
    int code = read_words(s, argc, argv, why);
    if (!code) code = split(s, why);
    model_close(&s->model);
    free(s);
    return code;
}
