/* coordinator/cmd/cmd_run.c — `gemmapipe run`: one prompt streamed, or many answered together and printed in order, each as soon as all
 * before it are. */
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

#define ASKED_AHEAD 8 /* prompts, beyond the sequences there are: of these the encoder may work on pictures already */

struct job { /* the prompts of one run */
    struct session session;
    struct prompts prompts;
    struct collected *answer; /* [prompts.n], once they are read; one that was refused has ended as FINISH_FAILED */
    size_t asked, printed;    /* of the prompts; of the answers */
    struct err over;          /* why the run ended before all was answered; code 0: it did not */
};

static void job_free(struct job *j)
{
    for (size_t i = 0; i < j->prompts.n && j->answer; i++) collected_free(&j->answer[i]);
    free(j->answer);
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

static bool answered(const struct collected *c)
{
    return c->ended.how != FINISH_NOT && c->ended.how <= FINISH_CONTEXT;
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
    return all->n ? prompt_pictures_give(all, fleet_pictures(j->session.fleet), p->first_picture, &p->spans, 0, why) : 0;
}

static int answer_one(struct job *j, struct err *why)
{
    TRY(give_pictures(j, 0, why));
    const struct ask ask = ask_of(j, 0);
    return stream_answer(&j->session, &ask, &j->answer[0], why);
}

static int ask_one_of_many(struct job *j, size_t i, struct err *why)
{
    const struct prompt *p = &j->prompts.of[i];
    const struct listener l = collect_into(&j->answer[i]);
    if (p->refused.code) return *why = p->refused, why->code;
    int code = give_pictures(j, i, why);
    const struct ask ask = ask_of(j, i);
    if (!code) code = fleet_ask(j->session.fleet, &ask, &l, NULL, why);
    /* What it shows it holds, as long as it needs it. */
    prompt_pictures_take_some_back(&j->prompts.pictures, fleet_pictures(j->session.fleet), p->first_picture, p->own_pictures);
    return code;
}

/* No more than keep the pipe full: the pictures of those that wait are not read yet. And one with pictures at a time, because reading
 * them takes as long as the workers should hear nothing of us. Returns whether more could be asked. What cannot be fails alone. */
static bool ask_more(struct job *j)
{
    const uint32_t most = (uint32_t)fleet_size(j->session.fleet) * j->session.pipe->plan.capacity.sequences + ASKED_AHEAD;
    while (j->asked < j->prompts.n && fleet_unanswered(j->session.fleet) < most) {
        const size_t i = j->asked++;
        if (ask_one_of_many(j, i, &j->answer[i].why)) j->answer[i].ended.how = FINISH_FAILED;
        if (j->prompts.of[i].own_pictures) return true;
    }
    return false;
}

/* The run is over. */
static void leave_unasked(struct job *j, const struct err *over)
{
    for (; j->asked < j->prompts.n; j->asked++) {
        j->answer[j->asked].ended.how = FINISH_FAILED;
        j->answer[j->asked].why = *over;
    }
}

/* A prompt that has no answer has a line too, so that lines and prompts go together: one that no answer can be, as a backslash of an
 * answer is doubled. */
static void print_next(struct job *j)
{
    const struct collected *c = &j->answer[j->printed++];
    struct writer w = {.tokens = j->session.tokens, .to = stdout_ring_stream(j->session.out), .one_line = true};
    if (!answered(c)) fputs("\\unanswered", w.to);
    for (size_t i = 0; answered(c) && i < c->ids.n; i++) writer_token(&w, c->ids.id[i]);
    writer_end(&w);
    fputc('\n', w.to);
}

/* All that have ended, up to the first that has not or to what stdout takes. */
static void print_ended(struct job *j)
{
    while (j->printed < j->prompts.n && j->answer[j->printed].ended.how != FINISH_NOT && !stdout_ring_full(j->session.out)) print_next(j);
}

static int answer_many(struct job *j, struct err *why)
{
    const size_t n = j->prompts.n;
    struct progress progress;
    int code = 0;
    progress_begin(&progress, "answering", "prompts", n);
    while (!code) {
        const bool more = ask_more(j);
        print_ended(j);
        if (j->printed == n) break;
        code = session_turn(&j->session, more ? 0 : TURN_MS, why);
        if (n > 1) progress_at(&progress, j->asked - fleet_unanswered(j->session.fleet));
    }
    progress_end(&progress);
    if (code) leave_unasked(j, why);
    return code;
}

/* ---- telling ---- */

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
    FILE *to = stdout_ring_stream(j->session.out);
    const size_t n = j->prompts.n;
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all = hash_fold(all, j->answer[i].ended.fingerprint);
    for (size_t i = 0; i < n && n > 1; i++) fprintf(to, "fingerprint %zu %016" PRIx64 "\n", i + 1, j->answer[i].ended.fingerprint);
    fprintf(to, "fingerprint %016" PRIx64 "\n", n == 1 ? j->answer[0].ended.fingerprint : all);
}

/* Says of each prompt that failed why; what ended the run, and with it all that were still unanswered, is said once. E_PARTLY if there
 * are any and others did not; if none did, the code of the end, or of the first one. */
static int tell_failures(struct job *j, struct err *why)
{
    const size_t n = j->prompts.n;
    size_t failed = 0, first = 0;
    for (size_t i = 0; i < n; i++) {
        struct collected *c = &j->answer[i];
        if (c->ended.how <= FINISH_CONTEXT) continue;
        if (!failed++) first = i;
        if (n == 1 || (j->over.code && !strcmp(c->why.text, j->over.text))) continue;
        advise(&c->why);
        log_error("prompt in line %zu: %s", j->prompts.of[i].line, c->why.text);
    }
    *why = n == 1 && failed ? j->answer[0].why : j->over;
    if (n == 1 || !failed) return why->code;
    if (j->over.code) log_error("%s", j->over.text);
    int code = j->over.code ? j->over.code : j->answer[first].why.code;
    if (failed < n && code != E_INTERRUPTED) code = E_PARTLY;
    return fail(why, code, "%zu of %zu prompts could not be answered", failed, n);
}

/* What was answered is given out whatever ended the run. */
static int answer(struct job *j, struct err *why)
{
    const struct options *o = j->session.options;
    if (o->prompt ? answer_one(j, &j->over) : answer_many(j, &j->over)) {
        TRY(stdout_ring_flush(j->session.out, why));
        while (!o->prompt && j->printed < j->prompts.n) print_next(j);
        return tell_failures(j, why);
    }
    j->over = (struct err){0}; /* a sentence about what was mended on the way is no failure */
    say_why_cut(j);
    if (o->fingerprint) print_fingerprints(j);
    TRY(session_deliver(&j->session, why));
    TRY(session_finish(&j->session, why));
    return tell_failures(j, why);
}

int command_run(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct job j = {0};
    int code = session_open(&j.session, o, wish, mpi, why);
    if (!code) code = prepare(&j, why);
    if (!code) code = answer(&j, why);
    if (j.session.fleet) prompt_pictures_take_back(&j.prompts.pictures, fleet_pictures(j.session.fleet));
    session_close(&j.session, j.over.code ? &j.over : code && code != E_PARTLY ? why : NULL);
    job_free(&j);
    return code;
}
