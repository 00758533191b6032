/* coordinator/batch/outputs.c — see outputs.h. */
#include "coordinator/batch/outputs.h"

#include "base/disk.h"
#include "base/whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check(const char *path, struct err *why)
{
    struct whole_file *f;
    TRY(whole_file_open(&f, path, why));
    whole_file_close(&f, E_INTERNAL, NULL);
    return 0;
}

int outputs_check(const struct outputs_names *names, struct err *why)
{
    TRY(check(names->out, why));
    return names->errors ? check(names->errors, why) : 0;
}

/* ---- in the order of the lines ---- */

static int write_one(struct journal *j, size_t line, bool ok, bool both, struct whole_file *f, struct err *why)
{
    char *text;
    size_t n;
    bool is_ok;
    TRY(journal_result(j, line, &is_ok, &text, &n, why));
    int code = 0;
    if (both || is_ok == ok) {
        code = whole_file_write(f, text, n, why);
        if (!code) code = whole_file_write(f, "\n", 1, why);
    }
    free(text);
    return code;
}

static int write_those(const char *path, struct journal *j, size_t lines, bool ok, bool both, struct err *why)
{
    struct whole_file *f;
    TRY(whole_file_open(&f, path, why));
    int code = 0;
    for (size_t line = 1; line <= lines && !code; line++)
        if (journal_is_done(j, line)) code = write_one(j, line, ok, both, f, why);
    return whole_file_close(&f, code, why);
}

int outputs_write(const struct outputs_names *names, struct journal *j, size_t lines, struct err *why)
{
    TRY(write_those(names->out, j, lines, true, !names->errors, why));
    return names->errors && journal_failed(j) ? write_those(names->errors, j, lines, false, false, why) : 0;
}

/* ---- as they come ---- */

struct growing {
    const char *path;
    int fd; /* -1: not made yet */
    FILE *kept;
    char *text;
    size_t n;
};

struct outputs {
    struct growing good, bad;
    bool apart; /* failed ones in a file of their own */
};

static int growing_add(struct growing *g, const char *result, size_t n, struct err *why)
{
    if (!g->kept && !(g->kept = open_memstream(&g->text, &g->n))) return fail(why, E_MEMORY, "no memory for results");
    fwrite(result, 1, n, g->kept);
    fputc('\n', g->kept);
    return 0;
}

static int growing_make(struct growing *g, struct err *why)
{
    const struct disk *d = disk_now();
    if (g->fd < 0) g->fd = strcmp(g->path, "-") ? d->create(d->user, g->path) : dup(STDOUT_FILENO);
    return g->fd < 0 ? fail_errno(why, E_FILE, "%s cannot be written", g->path) : 0;
}

static int growing_flush(struct growing *g, struct err *why)
{
    if (!g->kept) return 0;
    int code = fclose(g->kept) ? fail(why, E_MEMORY, "no memory for results") : growing_make(g, why);
    g->kept = NULL;
    if (!code && disk_append(g->fd, g->text, g->n)) code = fail_errno(why, E_FILE, "%s cannot be written", g->path);
    free(g->text);
    g->text = NULL;
    return code;
}

static int add_earlier(void *user, bool ok, const char *result, size_t n, struct err *why)
{
    TRY(outputs_add(user, ok, result, n, why));
    return outputs_flush(user, why);
}

int outputs_open(struct outputs **out, const struct outputs_names *names, struct journal *j, struct err *why)
{
    struct outputs *o = *out = calloc(1, sizeof *o);
    if (!o) return fail(why, E_MEMORY, "no memory for results");
    o->good = (struct growing){.path = names->out, .fd = -1};
    o->bad = (struct growing){.path = names->errors, .fd = -1};
    o->apart = names->errors != NULL;
    const int code = growing_make(&o->good, why); /* also if no line ever comes */
    return code ? code : journal_walk(j, add_earlier, o, why);
}

int outputs_add(struct outputs *o, bool ok, const char *result, size_t n, struct err *why)
{
    return growing_add(ok || !o->apart ? &o->good : &o->bad, result, n, why);
}

int outputs_flush(struct outputs *o, struct err *why)
{
    TRY(growing_flush(&o->good, why));
    return growing_flush(&o->bad, why);
}

static int growing_close(struct growing *g, struct err *why)
{
    const struct disk *d = disk_now();
    int code = growing_flush(g, why);
    if (g->fd < 0) return code;
    if (!code && d->sync(d->user, g->fd) && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
        code = fail_errno(why, E_FILE, "%s cannot be made sure of", g->path);
    d->close(d->user, g->fd);
    return code;
}

int outputs_close(struct outputs **po, struct err *why)
{
    struct outputs *o = *po;
    *po = NULL;
    if (!o) return 0;
    const int good = growing_close(&o->good, why), bad = growing_close(&o->bad, good ? NULL : why);
    free(o);
    return good ? good : bad;
}
