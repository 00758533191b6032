/* coordinator/cmd/cmd_run.c — `gemmapipe run`: one prompt streamed, or many answered together and printed in order. */
#include "coordinator/cmd/ask_options.h"
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/stream.h"
#include "coordinator/engine/give_pictures.h"
#include "coordinator/text/text_writer.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct prompt {
    struct ids ids;
    struct picture_spans spans;
    size_t page; /* where its pictures begin in the album */
    size_t line; /* of the file, from 1 */
    struct collected answer; /* one that was refused has ended as FINISH_FAILED */
};

struct job { /* the prompts of one run */
    struct session session;
    struct prompt *prompts;
    size_t n, room;
    char *text;         /* of --prompts */
    struct album album; /* what --image named: every prompt is asked about all of it; or what the prompts name themselves */
};

static void prompt_free(struct prompt *p)
{
    ids_free(&p->ids);
    picture_spans_free(&p->spans);
    collected_free(&p->answer);
}

static void job_free(struct job *j)
{
    for (size_t i = 0; i < j->n; i++) prompt_free(&j->prompts[i]);
    free(j->prompts);
    free(j->text);
    if (j->session.engine) album_take_back(&j->album, engine_pictures(j->session.engine));
    album_close(&j->album);
}

/* ---- reading the prompts ---- */

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

/* This prompt alone is refused; of a single prompt that is the command's own failure. */
static int refuse(struct job *j, struct prompt *p, const struct err *why_not, struct err *why)
{
    if (j->session.options->prompt) {
        *why = *why_not;
        return why->code;
    }
    p->answer.ended.how = FINISH_FAILED;
    p->answer.why = *why_not;
    return 0;
}

static int encode(struct job *j, struct prompt *p, const char *text, size_t n, struct err *why)
{
    struct question q = {text, n, 0, j->session.options->n_images};
    if (j->session.options->prompts_file) TRY(question_pictures(&q, &j->album, &j->session, why));
    p->page = q.page;
    return question_encode(&q, &j->album, &j->session, &p->ids, &p->spans, why);
}

static int add_prompt(struct job *j, size_t line, const char *text, size_t n, struct err *why)
{
    if (j->n == j->room) {
        size_t room = j->room ? 2 * j->room : 16;
        struct prompt *more = realloc(j->prompts, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %zu prompts", room);
        j->prompts = more;
        j->room = room;
    }
    struct prompt *p = &j->prompts[j->n++];
    struct err no;
    *p = (struct prompt){.line = line};
    return encode(j, p, text, n, &no) ? refuse(j, p, &no, why) : 0;
}

static int read_prompts(struct job *j, struct err *why)
{
    const struct options *o = j->session.options;
    size_t n = 0, line = 0;
    if (o->prompt) return add_prompt(j, 1, o->prompt, strlen(o->prompt), why);
    TRY(read_all(o->prompts_file, &j->text, &n, why));
    for (char *at = j->text, *end = j->text + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t k = (size_t)(stop - at);
        if (k && at[k - 1] == '\r') k--;
        line++;
        if (k) TRY(add_prompt(j, line, at, k, why));
        at = stop + 1;
    }
    if (!j->n) return fail(why, E_USAGE, "%s holds no prompt", o->prompts_file);
    return 0;
}

/* ---- preparing ---- */

/* Of those that can fit at all, the longest: what cannot is refused when it is asked. */
static uint64_t longest_prompt(const struct job *j)
{
    const struct options *o = j->session.options;
    const uint32_t trained = j->session.pipe->model->config.context, most = o->context ? o->context : trained;
    uint64_t longest = 0;
    for (size_t i = 0; i < j->n; i++) {
        const uint64_t n = j->prompts[i].ids.n;
        if (n > longest && (n <= most || o->prompt)) longest = n;
    }
    return longest;
}

static int prepare(struct job *j, struct err *why)
{
    struct session *s = &j->session;
    struct capacity c;
    TRY(question_album(&j->album, s, why));
    TRY(read_prompts(j, why));
    TRY(capacity_for(&c, s->options, &s->pipe->model->config, longest_prompt(j), s->options->most, (uint32_t)j->n,
                     j->album.n ? question_picture_rows(s) : 0, why));
    return session_launch(s, &c, why);
}

/* ---- answering ---- */

static struct ask ask_of(const struct job *j, size_t i)
{
    const struct prompt *p = &j->prompts[i];
    const struct options *o = j->session.options;
    return (struct ask){.ids = p->ids.id, .n = p->ids.n, .spans = p->spans.span, .n_spans = p->spans.n, .sampling = o->sampling,
                        .most = o->most, .key = i, .want_hash = o->fingerprint};
}

static int give_pictures(struct job *j, struct prompt *p, struct err *why)
{
    return j->album.n ? album_give(&j->album, engine_pictures(j->session.engine), p->page, &p->spans, 0, why) : 0;
}

static int answer_one(struct job *j, struct err *why)
{
    struct prompt *p = &j->prompts[0];
    TRY(give_pictures(j, p, why));
    const struct ask ask = ask_of(j, 0);
    return stream_answer(&j->session, &ask, &p->answer, why);
}

static int answer_all(struct job *j, struct err *why)
{
    for (size_t i = 0; i < j->n; i++) {
        struct prompt *p = &j->prompts[i];
        const struct listener l = collect_into(&p->answer);
        struct err no;
        if (p->answer.ended.how) continue;
        TRY(give_pictures(j, p, why));
        const struct ask ask = ask_of(j, i);
        if (engine_ask(j->session.engine, &ask, &l, NULL, &no)) TRY(refuse(j, p, &no, why));
    }
    return session_answer(&j->session, j->n > 1 ? "answering" : NULL, why);
}

/* ---- telling ---- */

/* A prompt that has no answer has an empty line, so that lines and prompts go together. */
static void print_answer(const struct job *j, const struct prompt *p)
{
    struct writer w = {.tokens = j->session.tokens, .to = stdout, .one_line = true};
    for (size_t i = 0; i < p->answer.ids.n; i++) writer_token(&w, p->answer.ids.id[i]);
    writer_end(&w);
    putchar('\n');
}

static void say_why_cut(const struct job *j)
{
    size_t cut = 0, full = 0;
    for (size_t i = 0; i < j->n; i++) {
        cut += j->prompts[i].answer.ended.how == FINISH_LENGTH;
        full += j->prompts[i].answer.ended.how == FINISH_CONTEXT;
    }
    if (cut) log_info("%zu of %zu answers were cut at their limit of tokens: -n raises it", cut, j->n);
    if (full) log_info("%zu of %zu answers were cut at the end of the context: --ctx raises it", full, j->n);
}

static void print_fingerprints(const struct job *j)
{
    uint64_t all = 0;
    for (size_t i = 0; i < j->n; i++) all = hash_fold(all, j->prompts[i].answer.ended.fingerprint);
    for (size_t i = 0; i < j->n && j->n > 1; i++)
        printf("fingerprint %zu %016" PRIx64 "\n", i + 1, j->prompts[i].answer.ended.fingerprint);
    printf("fingerprint %016" PRIx64 "\n", j->n == 1 ? j->prompts[0].answer.ended.fingerprint : all);
}

/* Says of each prompt that failed why. E_PARTLY if there are any and others did not; if none did, the first one's code. */
static int tell_failures(struct job *j, struct err *why)
{
    size_t failed = 0, first = 0;
    for (size_t i = 0; i < j->n; i++) {
        struct prompt *p = &j->prompts[i];
        if (p->answer.ended.how != FINISH_FAILED) continue;
        if (!failed++) first = i;
        if (j->n == 1) break;
        advise(&p->answer.why);
        log_error("prompt in line %zu: %s", p->line, p->answer.why.text);
    }
    if (failed && j->n == 1) {
        *why = j->prompts[0].answer.why;
        return why->code;
    }
    if (!failed) return 0;
    if (failed == j->n) return fail(why, j->prompts[first].answer.why.code, "none of the %zu prompts could be answered", j->n);
    return fail(why, E_PARTLY, "%zu of %zu prompts could not be answered", failed, j->n);
}

static int answer(struct job *j, struct err *why)
{
    const struct options *o = j->session.options;
    int code = o->prompt ? answer_one(j, why) : answer_all(j, why);
    for (size_t i = 0; i < j->n && !o->prompt; i++)
        if (!code || (j->prompts[i].answer.ended.how && j->prompts[i].answer.ended.how <= FINISH_CONTEXT)) print_answer(j, &j->prompts[i]);
    if (code) return code;
    say_why_cut(j);
    if (o->fingerprint) print_fingerprints(j);
    if (fflush(stdout) || ferror(stdout)) return fail(why, E_FILE, "the answer could not be written to stdout");
    TRY(session_finish(&j->session, why));
    return tell_failures(j, why);
}

int command_run(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct job j = {0};
    int code = session_open(&j.session, o, wish, mpi, why);
    if (!code) code = prepare(&j, why);
    if (!code) code = answer(&j, why);
    job_free(&j);
    session_close(&j.session, code && code != E_PARTLY ? why : NULL);
    return code;
}
