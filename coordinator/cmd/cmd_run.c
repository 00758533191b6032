/* coordinator/cmd/cmd_run.c — `gemmapipe run`: one prompt streamed, or many answered together and printed in order. */
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/text/text_writer.h"
#include "coordinator/cmd/ask_options.h"
#include "coordinator/report/report.h"
#include "coordinator/report/trace.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct job { /* the prompts of one run */
    struct request *requests;
    size_t n;
    char *text; /* of --prompts */
    struct album album; /* what --image named: every prompt is asked about all of it; or what the prompts name themselves */
    size_t *page;       /* of each request: where its pictures begin in the album */
};

static void job_free(struct job *j, struct server *s)
{
    for (size_t i = 0; i < j->n; i++) serve_forget(s, &j->requests[i]);
    album_close(&j->album, s ? serve_pictures(s) : 0);
    free(j->requests);
    free(j->page);
    free(j->text);
}

#define PROMPTS_MOST (256u << 20)

static int read_all(const char *path, char **out, size_t *n, struct err *why)
{
    FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    if (!f) return fail_errno(why, E_FILE, "cannot open %s", path);
    size_t room = 1 << 16, k = 0;
    char *text = malloc(room);
    int code = text ? 0 : fail(why, E_MEMORY, "no memory for the prompts");
    while (!code) {
        k += fread(text + k, 1, room - k, f);
        if (k < room) break;
        if (room >= PROMPTS_MOST) {
            code = fail(why, E_FILE, "%s is larger than %u MiB", path, PROMPTS_MOST >> 20);
            break;
        }
        char *more = realloc(text, room *= 2);
        if (!more) code = fail(why, E_MEMORY, "no memory for the prompts");
        else text = more;
    }
    if (!code && ferror(f)) code = fail_errno(why, E_FILE, "cannot read %s", path);
    if (f != stdin) fclose(f);
    if (code) {
        free(text);
        return code;
    }
    *out = text;
    *n = k;
    return 0;
}

static int add_prompt(struct job *j, size_t *room, const struct pipeline *p, const struct options *o, const char *text, size_t n, struct err *why)
{
    if (j->n == *room) {
        *room = *room ? 2 * *room : 16;
        struct request *more = realloc(j->requests, *room * sizeof *more);
        if (more) j->requests = more;
        size_t *pages = realloc(j->page, *room * sizeof *pages);
        if (pages) j->page = pages;
        if (!more || !pages) return fail(why, E_MEMORY, "no memory for %zu prompts", *room);
    }
    struct question q = {text, n, 0, o->n_images};
    if (o->prompts_file) TRY(question_pictures(&q, &j->album, p, o, why));
    struct request *r = &j->requests[j->n];
    *r = (struct request){.key = j->n, .most = o->most, .sampling = o->sampling, .want_hash = o->fingerprint};
    j->page[j->n++] = q.page;
    return question_encode(&q, &j->album, p, o, r, why);
}

static int read_prompts(struct job *j, const struct pipeline *p, const struct options *o, struct err *why)
{
    size_t room = 0, n = 0;
    if (o->prompt) return add_prompt(j, &room, p, o, o->prompt, strlen(o->prompt), why);
    TRY(read_all(o->prompts_file, &j->text, &n, why));
    for (char *at = j->text, *end = j->text + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t k = (size_t)(stop - at);
        if (k && at[k - 1] == '\r') k--;
        if (k) TRY(add_prompt(j, &room, p, o, at, k, why));
        at = stop + 1;
    }
    if (!j->n) return fail(why, E_USAGE, "%s holds no prompt", o->prompts_file);
    return 0;
}

static void stream(struct request *r, uint32_t id, void *user)
{
    struct writer *w = user;
    writer_token(w, id);
    if (ferror(w->to)) r->most = r->made; /* nobody reads on */
}

static void print_answer(const struct pipeline *p, const struct request *r)
{
    struct writer w = {.tokens = p->tokens, .to = stdout, .one_line = true};
    size_t end = r->ids.n - (r->finish == FINISH_STOP);
    for (size_t i = r->prompt_rows; i < end; i++) writer_token(&w, r->ids.id[i]);
    writer_end(&w);
    putchar('\n');
}

static void say_why_cut(const struct job *j)
{
    size_t cut = 0, full = 0;
    for (size_t i = 0; i < j->n; i++) {
        cut += j->requests[i].finish == FINISH_LENGTH;
        full += j->requests[i].finish == FINISH_CONTEXT;
    }
    if (cut) log_info("%zu of %zu answers were cut at their limit of tokens: -n raises it", cut, j->n);
    if (full) log_info("%zu of %zu answers were cut at the end of the context: --ctx raises it", full, j->n);
}

static void print_fingerprints(const struct job *j)
{
    uint64_t all = 0;
    for (size_t i = 0; i < j->n; i++) all = hash_fold(all, j->requests[i].fingerprint);
    for (size_t i = 0; i < j->n && j->n > 1; i++) printf("fingerprint %zu %016" PRIx64 "\n", i + 1, j->requests[i].fingerprint);
    printf("fingerprint %016" PRIx64 "\n", j->n == 1 ? j->requests[0].fingerprint : all);
}

static int answer(struct pipeline *p, struct server *s, struct job *j, const struct options *o, struct err *why)
{
    struct writer w = {.tokens = p->tokens, .to = stdout};
    for (size_t i = 0; i < j->n; i++) {
        if (j->n == 1 && o->prompt) j->requests[i].on_token = stream, j->requests[i].user = &w;
        if (j->album.n) TRY(album_bind(&j->album, serve_pictures(s), j->page[i], &j->requests[i], 0, why));
        TRY(serve_add(s, &j->requests[i], why));
    }
    int code = serve_run(s, j->n > 1 ? "answering" : 0, why);
    if (o->prompt) {
        writer_end(&w);
        putchar('\n');
    }
    for (size_t i = 0; i < j->n && !o->prompt; i++)
        if (j->requests[i].finish) print_answer(p, &j->requests[i]);
    if (code) return code;
    say_why_cut(j);
    if (o->fingerprint) print_fingerprints(j);
    if (fflush(stdout) || ferror(stdout)) return fail(why, E_FILE, "the answer could not be written to stdout");
    if (o->report) TRY(report_print(p, s, j->requests, j->n, why));
    return trace_finish(p, why);
}

static int prepare(struct pipeline *p, struct job *j, const struct options *o, struct err *why)
{
    uint64_t longest = 0;
    struct capacity c;
    TRY(question_album(&j->album, p, o, why));
    TRY(read_prompts(j, p, o, why));
    for (size_t i = 0; i < j->n; i++)
        if (j->requests[i].ids.n > longest) longest = j->requests[i].ids.n;
    TRY(capacity_for(&c, o, &p->model->config, longest, o->most, (uint32_t)j->n,
                     j->album.n ? vision_tokens(&p->encoder->config) : 0, why));
    return pipeline_launch(p, &c, why);
}

int command_run(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct pipeline *p = 0;
    struct server *s = 0;
    struct job j = {0};
    int code = open_pipeline(&p, o, wish, mpi, why);
    if (!code) code = prepare(p, &j, o, why);
    if (!code) code = serve_open(&s, p, why);
    if (!code) code = answer(p, s, &j, o, why);
    job_free(&j, s);
    serve_close(&s);
    pipeline_close(&p, code ? why : 0);
    return code;
}
