/* coordinator/cmd/cmd_run.c — `gemmapipe run`: one prompt streamed, or many answered together and printed in order. */
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/prompts.h"
#include "coordinator/cmd/stream.h"
#include "coordinator/engine/give_pictures.h"
#include "coordinator/text/text_writer.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct job { /* the prompts of one run */
    struct session session;
    struct prompts prompts;
    struct collected *answer; /* [prompts.n], once they are read; one that was refused has ended as FINISH_FAILED */
};

static void job_free(struct job *j)
{
    for (size_t i = 0; i < j->prompts.n && j->answer; i++) collected_free(&j->answer[i]);
    free(j->answer);
    if (j->session.engine) prompt_pictures_take_back(&j->prompts.pictures, engine_pictures(j->session.engine));
    prompts_free(&j->prompts);
}

/* ---- preparing ---- */

static int prepare(struct job *j, struct err *why)
{
    struct capacity c;
    TRY(prompts_read(&j->prompts, &j->session, why));
    j->answer = calloc(j->prompts.n, sizeof *j->answer);
    if (!j->answer) return fail(why, E_MEMORY, "no memory for %zu answers", j->prompts.n);
    TRY(prompts_capacity(&c, &j->prompts, &j->session, why));
    return session_launch(&j->session, &c, why);
}

/* ---- answering ---- */

/* This prompt alone cannot be answered. */
static void refuse(struct job *j, size_t i, const struct err *why)
{
    j->answer[i].ended.how = FINISH_FAILED;
    j->answer[i].why = *why;
}

static struct ask ask_of(const struct job *j, size_t i)
{
    const struct prompt *p = &j->prompts.of[i];
    const struct options *o = j->session.options;
    return (struct ask){.ids = p->ids.id, .n = p->ids.n, .spans = p->spans.span, .n_spans = p->spans.n, .sampling = o->sampling,
                        .most = o->most, .key = i, .want_hash = o->fingerprint};
}

static int give_pictures(struct job *j, size_t i, struct err *why)
{
    struct prompt *p = &j->prompts.of[i];
    struct prompt_pictures *all = &j->prompts.pictures;
    return all->n ? prompt_pictures_give(all, engine_pictures(j->session.engine), p->first_picture, &p->spans, 0, why) : 0;
}

static int answer_one(struct job *j, struct err *why)
{
    TRY(give_pictures(j, 0, why));
    const struct ask ask = ask_of(j, 0);
    return stream_answer(&j->session, &ask, &j->answer[0], why);
}

static int answer_all(struct job *j, struct err *why)
{
    const size_t n = j->prompts.n;
    for (size_t i = 0; i < n; i++) {
        const struct listener l = collect_into(&j->answer[i]);
        struct err no = j->prompts.of[i].refused;
        if (!no.code) {
            TRY(give_pictures(j, i, why));
            const struct ask ask = ask_of(j, i);
            if (!engine_ask(j->session.engine, &ask, &l, NULL, &no)) continue;
        }
        refuse(j, i, &no);
    }
    return session_answer(&j->session, n > 1 ? "answering" : NULL, why);
}

/* ---- telling ---- */

/* A prompt that has no answer has an empty line, so that lines and prompts go together. */
static void print_answer(const struct job *j, const struct collected *answer)
{
    struct writer w = {.tokens = j->session.tokens, .to = stdout, .one_line = true};
    for (size_t i = 0; i < answer->ids.n; i++) writer_token(&w, answer->ids.id[i]);
    writer_end(&w);
    putchar('\n');
}

static void say_why_cut(const struct job *j)
{
    const size_t n = j->prompts.n;
    size_t cut = 0, full = 0;
    for (size_t i = 0; i < n; i++) {
        cut += j->answer[i].ended.how == FINISH_LENGTH;
        full += j->answer[i].ended.how == FINISH_CONTEXT;
    }
    if (cut) log_info("%zu of %zu answers were cut at their limit of tokens: -n raises it", cut, n);
    if (full) log_info("%zu of %zu answers were cut at the end of the context: --ctx raises it", full, n);
}

static void print_fingerprints(const struct job *j)
{
    const size_t n = j->prompts.n;
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all = hash_fold(all, j->answer[i].ended.fingerprint);
    for (size_t i = 0; i < n && n > 1; i++) printf("fingerprint %zu %016" PRIx64 "\n", i + 1, j->answer[i].ended.fingerprint);
    printf("fingerprint %016" PRIx64 "\n", n == 1 ? j->answer[0].ended.fingerprint : all);
}

/* Says of each prompt that failed why. E_PARTLY if there are any and others did not; if none did, the first one's code. */
static int tell_failures(struct job *j, struct err *why)
{
    const size_t n = j->prompts.n;
    size_t failed = 0, first = 0;
    for (size_t i = 0; i < n; i++) {
        struct collected *c = &j->answer[i];
        if (c->ended.how != FINISH_FAILED) continue;
        if (!failed++) first = i;
        if (n == 1) break;
        advise(&c->why);
        log_error("prompt in line %zu: %s", j->prompts.of[i].line, c->why.text);
    }
    if (failed && n == 1) {
        *why = j->answer[0].why;
        return why->code;
    }
    if (!failed) return 0;
    if (failed == n) return fail(why, j->answer[first].why.code, "none of the %zu prompts could be answered", n);
    return fail(why, E_PARTLY, "%zu of %zu prompts could not be answered", failed, n);
}

static int answer(struct job *j, struct err *why)
{
    const struct options *o = j->session.options;
    int code = o->prompt ? answer_one(j, why) : answer_all(j, why);
    for (size_t i = 0; i < j->prompts.n && !o->prompt; i++) {
        const enum finish how = j->answer[i].ended.how;
        if (!code || (how && how <= FINISH_CONTEXT)) print_answer(j, &j->answer[i]);
    }
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
