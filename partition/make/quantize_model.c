/* partition/make/quantize_model.c — lists what a model's tensors become, and has it written and reported.
 *
 * A folder and a GGUF file differ in how their tensors are listed and where the metadata comes from; from the list on
 * (struct made) they are the same. */
#include "partition/file/model_file.h"
#include "partition/make/quantize_model.h"

#include "base/clock.h"
#include "base/log.h"
#include "partition/format/blocks.h"
#include "partition/model/config.h"
#include "partition/make/convert.h"
#include "partition/file/gguf_copy.h"
#include "partition/make/quantize_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One file to be made. */
struct made {
    const char *path;
    struct conversion *list;
    size_t count;
    const char **paths; /* of the sources */
    size_t n_paths;
    struct conversion_error *error;
    uint64_t matrix_bytes[64]; /* of layer matrices, by format: the file is named after the most */
};

static int made_open(struct made *m, const char *path, size_t count, size_t n_paths, struct err *why)
{
    *m = (struct made){.path = path, .n_paths = n_paths};
    m->list = calloc(count + 1, sizeof *m->list);
    m->error = calloc(count + 1, sizeof *m->error);
    m->paths = calloc(n_paths + 1, sizeof *m->paths);
    return m->list && m->error && m->paths ? 0 : fail(why, E_MEMORY, "no memory to list %zu tensors", count);
}

static void made_close(struct made *m)
{
    free(m->list);
    free(m->error);
    free(m->paths);
    *m = (struct made){0};
}

/* Completes `c`, whose source is filled in, with its format, and adds it. */
static int made_add(struct made *m, const struct recipe *r, enum chain part, enum tensor_use use, struct conversion c,
                    struct err *why)
{
    TRY(recipe_format(r, part, use, c.name, c.from_type, c.dims[0], &c.type, why));
    if (c.dims[0] % block_info(c.type)->elems)
        return fail(why, E_USAGE, "%s cannot be %s: its rows have %" PRIu64 " values, wanted a multiple of %u", c.name,
                    block_info(c.type)->name, c.dims[0], block_info(c.type)->elems);
    if (use == USE_MATRIX) m->matrix_bytes[c.type] += conversion_bytes(&c);
    m->list[m->count++] = c;
    return 0;
}

static uint32_t file_type(const struct made *m)
{
    uint32_t most = T_F16;
    for (uint32_t type = 0; type < 64; type++)
        if (m->matrix_bytes[type] > m->matrix_bytes[most]) most = type;
    return gguf_file_type(most);
}

/* ---- a GGUF file ---- */

static int list_gguf(struct made *m, const struct quantize_job *job, const struct gguf *g, enum chain part,
                     struct err *why)
{
    size_t count = gguf_tensor_count(g), files = (size_t)gguf_file_count(g);
    TRY(made_open(m, job->out, count, files, why));
    for (size_t i = 0; i < files; i++) m->paths[i] = gguf_path(g, (int)i);
    for (size_t i = 0; i < count; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        struct conversion c = {.from_type = t->type, .n_dims = t->n_dims, .file = t->file, .offset = t->offset};
        if (strlen(t->name) >= sizeof c.name)
            return fail(why, E_FILE, "%s: the name %s has %zu characters, wanted less than %zu", m->paths[t->file],
                        t->name, strlen(t->name), sizeof c.name);
        strcpy(c.name, t->name);
        memcpy(c.dims, t->dims, sizeof c.dims);
        TRY(made_add(m, &job->recipe, part, recipe_use(t->name, t->n_dims), c, why));
    }
    return 0;
}

static int part_of_gguf(const struct gguf *g, enum chain *part, struct err *why)
{
    struct gguf_string what;
    struct model_config config;
    TRY(gguf_text(g, "general.architecture", &what, why));
    *part = gguf_text_is(what, "clip") ? CHAIN_VISION : CHAIN_TEXT;
    return *part == CHAIN_TEXT ? config_read(&config, g, why) : 0;
}

static int gguf_keys(const void *source, enum chain part, uint32_t type, struct gguf_out *o, struct err *why)
{
    static const char *const replaced[] = {"general.file_type", "general.quantization_version", NULL};
    (void)part, (void)why;
    gguf_copy_keys(source, o, replaced);
    gguf_put_u32(o, "general.file_type", type);
    gguf_put_u32(o, "general.quantization_version", 2);
    return 0;
}

/* ---- a folder ---- */

static int list_folder(struct made *m, const struct quantize_job *job, const struct checkpoint *c, enum chain part,
                       struct err *why)
{
    size_t count = checkpoint_count(c, part), files = checkpoint_files(c);
    TRY(made_open(m, part == CHAIN_TEXT ? job->out : job->mmproj, count, files, why));
    for (size_t i = 0; i < files; i++) m->paths[i] = checkpoint_path(c, (uint32_t)i);
    for (size_t i = 0; i < count; i++) {
        const struct checkpoint_tensor *t = checkpoint_at(c, part, i);
        struct conversion x = {
            .from_type = t->type, .n_dims = t->n_dims, .file = t->file, .offset = t->offset, .add_one = t->add_one};
        memcpy(x.name, t->name, sizeof x.name);
        memcpy(x.dims, t->dims, sizeof x.dims);
        TRY(made_add(m, &job->recipe, part, t->use, x, why));
    }
    return 0;
}

static int folder_keys(const void *source, enum chain part, uint32_t type, struct gguf_out *o, struct err *why)
{
    return checkpoint_put_metadata(source, o, part, type, why);
}

/* ---- writing ---- */

typedef int put_keys(const void *source, enum chain part, uint32_t file_type, struct gguf_out *o, struct err *why);

static int write_file(FILE *report, const struct quantize_job *job, const struct made *m, const void *source,
                      enum chain part, put_keys *keys, struct err *why)
{
    struct convert how = {
        .list = m->list, .count = m->count, .paths = m->paths, .n_paths = m->n_paths, .threads = job->threads,
        .label = part == CHAIN_TEXT ? "quantising" : "quantising the picture encoder",
        .error = job->table ? m->error : NULL,
    };
    uint64_t started = clock_ns();
    struct gguf_out *o;
    TRY(gguf_out_open(&o, m->path, why));
    int code = keys(source, part, file_type(m), o, why);
    if (!code) code = convert_write(o, &how, why);
    if (!code) code = gguf_out_finish(o, why);
    gguf_out_close(&o);
    if (!code) quantize_report(report, m->path, &how, (double)(clock_ns() - started) / 1e9);
    return code;
}

static int from_gguf(FILE *report, const struct quantize_job *job, struct err *why)
{
    struct gguf *g;
    struct made m = {0};
    enum chain part = CHAIN_TEXT;
    if (job->mmproj)
        return fail_about(why, ABOUT_ENCODER_OUT, E_USAGE, "%s is a file of one part; a picture encoder beside it comes only from a folder",
                          job->in);
    TRY(gguf_open(&g, job->in, why));
    int code = part_of_gguf(g, &part, why);
    if (!code) code = list_gguf(&m, job, g, part, why);
    if (!code) code = write_file(report, job, &m, g, part, gguf_keys, why);
    made_close(&m);
    gguf_close(&g);
    return code;
}

static int from_folder(FILE *report, const struct quantize_job *job, struct err *why)
{
    struct checkpoint *c;
    struct made text = {0}, vision = {0};
    TRY(checkpoint_open(&c, job->in, why));
    bool has = checkpoint_has_vision(c);
    int code = 0;
    if (job->mmproj && !has)
        code = fail_about(why, ABOUT_ENCODER_OUT, E_USAGE, "%s has no picture encoder to write", job->in);
    if (!job->mmproj && has) log_info("%s has a picture encoder too, and no file to write it to was named", job->in);
    char remark[300];
    size_t said = 0;
    while (checkpoint_remark(c, said, remark, sizeof remark)) said++; /* of the tokens alone; inspect tells all */
    if (!code) code = checkpoint_read_tokens(c, why);
    for (; !code && checkpoint_remark(c, said, remark, sizeof remark); said++) log_info("%s: %s", job->in, remark);
    if (!code) code = list_folder(&text, job, c, CHAIN_TEXT, why);
    if (!code && job->mmproj) code = list_folder(&vision, job, c, CHAIN_VISION, why);
    if (!code) code = write_file(report, job, &text, c, CHAIN_TEXT, folder_keys, why);
    if (!code && job->mmproj) code = write_file(report, job, &vision, c, CHAIN_VISION, folder_keys, why);
    made_close(&text);
    made_close(&vision);
    checkpoint_close(&c);
    return code;
}

int quantize_model(FILE *report, const struct quantize_job *job, struct err *why)
{
    struct stat in;
    if (stat(job->in, &in)) return fail_errno(why, E_FILE, "cannot read %s", job->in);
    if (job->mmproj && !strcmp(job->mmproj, job->out))
        return fail_about(why, ABOUT_ENCODER_OUT, E_USAGE, "%s cannot be both text model and picture encoder", job->out);
    return S_ISDIR(in.st_mode) ? from_folder(report, job, why) : from_gguf(report, job, why);
}
