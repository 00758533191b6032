/* coordinator/batch/batch.c — see batch.h. */
#define _GNU_SOURCE
#include "coordinator/batch/batch.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/planted.h"
#include "coordinator/batch/answer_text.h"
#include "coordinator/batch/hash_set.h"
#include "coordinator/batch/question.h"

#include <stdlib.h>
#include <string.h>

#define CRASHES_SUSPECT 3       /* in a row: the line is run alone, */
#define CRASHES_MOST 5          /* and then not at all */
#define LINES_A_TURN 1000       /* taken at most before the engine, the disk and a Ctrl-C have their turn */
#define LOG_TOKENS 32           /* an answer is logged when so many tokens are not, */
#define LOG_NS 1000000000ull    /* or after so long: what a crash loses is made again */

/* One choice of a line. */
struct answer {
    struct job *job;
    struct ids ids; /* those of an earlier run first */
    size_t logged;
    struct answer_text text;
    struct logprobs logprobs;
    struct shaped *shaped; /* NULL: it may be any text */
    double likelihood;     /* of words that are judged */
    bool greedy;
    uint64_t number; /* the engine's */
    uint32_t tokens;
    bool over, stopped;
};

/* A line under way. */
struct job {
    struct job *next;
    struct batch *batch;
    size_t line;
    struct request request;
    struct question question;
    struct task *task; /* NULL: it is no question of a test */
    struct answer *answer; /* [request.choices] */
    uint32_t left;
};

struct batch {
    struct batch_setup setup;
    struct hash_set *names;
    struct job *first;
    uint32_t under_way; /* answers */
    const struct job *alone; /* nothing is taken beside it */
    size_t next_line, passed; /* to be taken; blank ones */
    size_t asked, answered, refused; /* of this run, as batch.h has them */
    uint64_t asked_bytes, prompt_tokens;
    struct err changed; /* of what the job is made of, while it runs or since; code 0: nothing */
    uint64_t logged_ns;
    char *inside; /* the folder of pictures, with all links followed */
};

/* ---- a line ends ---- */

/* `ps`: the engine's pictures, NULL when it is closed. */
static void job_free(struct job *j, struct pictures *ps)
{
    question_free(&j->question, ps);
    for (uint32_t i = 0; i < j->request.choices && j->answer; i++) {
        ids_free(&j->answer[i].ids);
        answer_text_free(&j->answer[i].text);
        logprobs_free(&j->answer[i].logprobs);
        shaped_close(&j->answer[i].shaped);
    }
    free(j->answer);
    if (j->task) task_free(j->task);
    free(j->task);
    request_free(&j->request);
    free(j);
}

static int put(struct batch *b, size_t line, bool ok, const char *text, size_t n, struct err *why)
{
    TRY(journal_put_done(b->setup.journal, line, ok, text, n, why));
    return b->setup.outputs ? outputs_add(b->setup.outputs, ok, text, n, why) : 0;
}

static int put_refused(struct batch *b, const struct request *r, size_t line, struct err *why)
{
    char *text;
    size_t n;
    TRY(result_refused(&text, &n, &b->setup.common, r, line, why));
    const int code = put(b, line, false, text, n, why);
    free(text);
    b->refused++;
    return code;
}

static int put_answered(struct job *j, struct err *why)
{
    struct batch *b = j->batch;
    struct result_choice choice[REQUEST_CHOICES];
    char *text;
    size_t n;
    struct task_answer worth[TASK_CHOICES];
    for (uint32_t i = 0; i < j->request.choices; i++) {
        struct answer *a = &j->answer[i];
        TRY(answer_text_end(&a->text, why));
        worth[i] = (struct task_answer){a->likelihood, a->greedy, a->text.text, a->text.n};
        choice[i] = (struct result_choice){.text = a->text.text, .n = a->text.n, .tokens = a->tokens, .cut = a->text.stopped,
                                           .stopped = a->stopped || a->text.stopped, .logprobs = j->request.wants_logprobs ? &a->logprobs : NULL};
    }
    if (j->task) TRY(task_result(&text, &n, j->task, j->line, b->setup.filter, worth, why));
    else TRY(result_answered(&text, &n, &b->setup.common, &j->request, j->line, choice, j->question.prompt.n, why));
    const int code = put(b, j->line, true, text, n, why);
    free(text);
    b->answered++;
    b->prompt_tokens += j->question.prompt.n;
    return code;
}

/* `run_over`: what failed did so with the run, and is no result of its line. */
static int finish_jobs(struct batch *b, bool run_over, struct err *why)
{
    for (struct job **at = &b->first; *at;) {
        struct job *j = *at;
        if (j->left || (run_over && j->request.refused.status >= 500)) {
            at = &j->next;
            continue;
        }
        TRY(j->request.refused.status ? put_refused(b, &j->request, j->line, why) : put_answered(j, why));
        *at = j->next;
        if (b->alone == j) b->alone = NULL;
        job_free(j, fleet_pictures(b->setup.fleet));
    }
    return 0;
}

/* ---- an answer comes ---- */

static void fail_job(struct job *j, const struct err *why)
{
    const bool asked_too_much = why->code == E_USAGE;
    request_refuse(&j->request, asked_too_much ? 400 : 500, asked_too_much && why->about == ABOUT_CONTEXT ? "context_length_exceeded"
                   : asked_too_much ? "invalid_value" : "failed", "", "%s", why->text);
}

static bool hear_token(void *user, const struct said *said)
{
    struct answer *a = user;
    struct err why;
    a->tokens++;
    if (a->job->request.wants_logprobs && logprobs_add(&a->logprobs, said->token, a->text.n, &why)) fail_job(a->job, &why);
    if (ids_push(&a->ids, said->id, &why) || answer_text_add(&a->text, said->id, &why)) fail_job(a->job, &why);
    if (a->shaped && shaped_say(a->shaped, said->id, &why)) fail_job(a->job, &why);
    if (a->text.stopped || a->job->request.refused.status) fleet_cancel(a->job->batch->setup.fleet, said->number);
    return true;
}

static bool hear_judged(void *user, const struct said *said)
{
    struct answer *a = user;
    a->likelihood += (double)said->token->logprob;
    a->greedy &= said->token->alternatives[0].id == said->id;
    a->tokens++;
    return true;
}

static const uint8_t *may_say(void *user)
{
    const struct answer *a = user;
    return a->shaped ? shaped_mask(a->shaped) : NULL;
}

static void hear_end(void *user, const struct ended *ended)
{
    struct answer *a = user;
    a->over = true;
    a->job->left--;
    a->job->batch->under_way--;
    a->stopped = ended->how == FINISH_STOP;
    a->tokens += a->stopped; /* the one that ends an answer is not told */
    if (ended->how == FINISH_FAILED) fail_job(a->job, ended->why);
}

/* ---- a line begins ---- */

/* A picture's own place: within the folder of the job, wherever links lead, and never another machine's. */
static int find_picture(void *user, const char *name, char **path, struct err *why)
{
    const struct batch *b = user;
    if (!b->inside) return b->setup.find_picture(b->setup.find_user, name, path, why);
    const char *inside = b->inside;
    char *joined;
    if (asprintf(&joined, "%s/%s", inside, name) < 0) return fail(why, E_MEMORY, "no memory for a picture's path");
    *path = realpath(joined, NULL);
    const size_t n = strlen(inside);
    const bool is_inside = *path && !strncmp(*path, inside, n) && ((*path)[n] == '/' || n == 1);
    int code = 0;
    if (strstr(name, "://")) code = fail(why, E_USAGE, "%.80s is an address; a picture is a data: URL or a file beside the job", name);
    else if (!*path) code = fail_errno(why, E_FILE, "cannot open the picture %.200s", name);
    else if (name[0] == '/' || !is_inside) code = fail(why, E_USAGE, "%.80s is not beside the job, where its pictures must be", name);
    free(joined);
    return code;
}

/* The pixels as the encoder gets them: what else is in the file changes no result. */
static int check_picture(void *user, const char *name, const struct prompt_picture *picture, struct err *why)
{
    struct batch *b = user;
    struct hash_stream *all = hash_stream_open();
    bool same;
    if (!all) return fail(why, E_MEMORY, "no memory to look at a picture");
    for (uint32_t i = 0; i <= picture->crops; i++) {
        const struct image *square = &picture->squares[i];
        hash_stream_add(all, square->rgb, (size_t)3 * square->width * square->height);
    }
    TRY(journal_put_picture(b->setup.journal, name, hash_stream_close(&all), &same, why));
    if (same) return 0;
    fail(&b->changed, E_FILE, "the picture %.200s is not what it was when a line of this job was first asked with it: put it back, or begin "
         "anew with --overwrite", name);
    return *why = b->changed, why->code;
}

static int go_on_from_journal(struct answer *a, struct err *why)
{
    const struct batch *b = a->job->batch;
    const struct ids *had = journal_tokens(b->setup.journal, a->job->line, (uint32_t)(a - a->job->answer));
    for (size_t i = 0; had && i < had->n && a->ids.n < a->job->request.most && !a->text.stopped; i++) {
        TRY(ids_push(&a->ids, had->id[i], why));
        TRY(answer_text_add(&a->text, had->id[i], why));
        if (a->shaped) TRY(shaped_say(a->shaped, had->id[i], why));
    }
    a->logged = a->ids.n;
    a->tokens = (uint32_t)a->ids.n;
    return 0;
}

/* All that was known when it stopped may have been all there is. */
static bool is_complete(const struct answer *a)
{
    return a->text.stopped || a->ids.n >= a->job->request.most ||
           (a->ids.n && a->job->question.prompt.n + a->ids.n > a->job->batch->setup.context);
}

static int ask(struct answer *a, struct err *why)
{
    struct job *j = a->job;
    const struct batch_setup *s = &j->batch->setup;
    const struct listener listener = {.token = hear_token, .finished = hear_end, .mask = j->request.shape ? may_say : NULL, .user = a};
    const uint32_t choice = (uint32_t)(a - j->answer);
    struct ids all = {0};
    int code = j->request.shape ? shaped_open(&a->shaped, j->request.shape, s->words, why) : 0;
    if (!code) code = go_on_from_journal(a, why);
    if (!code && is_complete(a)) {
        a->over = true;
        j->left--;
        return 0;
    }
    for (size_t i = 0; i < j->question.prompt.n && !code; i++) code = ids_push(&all, j->question.prompt.id[i], why);
    for (size_t i = 0; i < a->ids.n && !code; i++) code = ids_push(&all, a->ids.id[i], why);
    struct ask what = {.ids = all.id, .n = all.n, .spans = j->question.spans.span, .n_spans = j->question.spans.n, .sampling = j->request.sampling,
                       .most = j->request.most - (uint32_t)a->ids.n, .key = choice, .run_on = j->request.run_on, .begun = a->ids.n,
                       .wish = j->request.wish, .top = j->request.top, .priority = s->priority};
    if (!j->request.has_seed) what.sampling.seed = hash_fold(s->seed, j->line);
    if (!code) code = fleet_ask(s->fleet, &what, &listener, &a->number, why);
    ids_free(&all);
    if (!code) j->batch->under_way++;
    return code;
}

/* One argument of a question, whose words are judged. */
static int ask_argument(struct answer *a, struct err *why)
{
    struct job *j = a->job;
    const struct batch_setup *s = &j->batch->setup;
    const struct listener listener = {.token = hear_judged, .finished = hear_end, .user = a};
    const uint32_t i = (uint32_t)(a - j->answer);
    struct ids ids = {0};
    struct picture_spans spans = {0};
    uint32_t judged;
    a->greedy = true;
    int code = task_prompt(j->task, i, s->tokens, s->picture_rows, &ids, &spans, &judged, why);
    if (!code && spans.n) code = prompt_pictures_give(&j->question.pictures, fleet_pictures(s->fleet), 0, &spans, 0, why);
    const struct ask what = {.ids = ids.id, .n = ids.n, .spans = spans.span, .n_spans = spans.n, .judged = judged, .top = 1};
    if (!code) code = fleet_ask(s->fleet, &what, &listener, &a->number, why);
    if (!code) j->question.prompt.n += i ? 0 : ids.n, j->batch->under_way++;
    picture_spans_free(&spans);
    ids_free(&ids);
    return code;
}

static int ask_choices(struct job *j, struct err *why)
{
    const uint32_t n = j->request.choices;
    j->answer = calloc(n, sizeof *j->answer);
    if (!j->answer) return fail(why, E_MEMORY, "no memory for %u answers", n);
    for (uint32_t i = 0; i < n; i++) {
        struct answer *a = &j->answer[i];
        *a = (struct answer){.job = j, .text = {.tokens = j->batch->setup.tokens, .stop = j->task ? j->task->stop : j->request.stop,
                                                .n_stops = j->task ? j->task->n_stops : j->request.n_stops}};
        j->left++;
        const int code = j->task && j->task->kind != TASK_GENERATE ? ask_argument(a, why) : ask(a, why);
        if (code) return j->left--, code;
    }
    return 0;
}

/* Of a question of a test its pictures, and where an answer is to be generated the prompt; else each argument has its own. */
static int make_task(struct job *j, const struct question_setup *setup, struct err *why)
{
    const struct task *t = j->task;
    struct question *q = &j->question;
    const struct request pictures = {.pictures = (char **)t->pictures, .n_pictures = t->n_pictures};
    uint32_t judged;
    for (uint32_t i = 0; i < t->n; i++) TRY(question_fits(t->context[i].n + t->continuation[i].n, t->n_pictures, setup, why));
    TRY(question_pictures(q, &pictures, setup, why));
    if (t->kind != TASK_GENERATE) return 0;
    TRY(task_prompt(t, 0, setup->tokens, setup->picture_rows, &q->prompt, &q->spans, &judged, why));
    return q->spans.n ? prompt_pictures_give(&q->pictures, fleet_pictures(j->batch->setup.fleet), 0, &q->spans, 0, why) : 0;
}

/* What is wrong with the line alone is its result. */
static int start(struct job *j, struct err *why)
{
    struct fleet *e = j->batch->setup.fleet;
    struct err mine = {0};
    const struct batch_setup *s = &j->batch->setup;
    const struct question_setup setup = {.tokens = s->tokens, .context = s->context, .picture_rows = s->picture_rows, .picture_side = s->picture_side,
                                         .picture_memory = s->picture_memory, .find_picture = find_picture,
                                         .picture_read = check_picture, .user = j->batch};
    int code = j->task ? make_task(j, &setup, &mine) : question_make(&j->question, &j->request, &setup, fleet_pictures(e), &mine);
    if (j->batch->changed.code) return *why = j->batch->changed, why->code;
    if (code == E_FILE) request_refuse(&j->request, 400, "invalid_image", "messages", "%s", mine.text);
    if (!code) code = ask_choices(j, &mine);
    if (!code) return 0;
    if (code != E_USAGE && code != E_FILE) return *why = mine, code;
    fail_job(j, &mine);
    for (uint32_t i = 0; i < j->request.choices && j->answer; i++)
        if (j->answer[i].number && !j->answer[i].over) fleet_cancel(e, j->answer[i].number);
    return 0;
}

/* The same of a question of a test, as a request for as many answers as it has arguments. */
static int open_task(struct job *j, const struct job_line *text, struct err *why)
{
    struct err mine = {0};
    struct request *r = &j->request;
    if (!(j->task = calloc(1, sizeof *j->task))) return fail(why, E_MEMORY, "no memory for a question");
    const int code = task_read(j->task, text->text, text->n, j->batch->setup.defaults.file, j->line, &mine);
    if (code == E_MEMORY) return *why = mine, code;
    if (code) return request_refuse(r, 400, "invalid_task", "", "%s", mine.text);
    r->choices = j->task->n;
    r->most = j->task->most;
    r->sampling = (struct sampling){.repeat_penalty = 1};
    r->has_seed = true;
    return 0;
}

static int open_job(struct batch *b, size_t line, const struct job_line *text, struct job **out, struct err *why)
{
    struct job *j = *out = calloc(1, sizeof *j);
    if (!j) return fail(why, E_MEMORY, "no memory for a line of the job");
    j->batch = b;
    j->line = line;
    if (!text->text)
        return request_refuse(&j->request, 413, "line_too_long", "", "line %zu has %zu bytes; %zu are the most", line, text->n, JOB_LINE_MOST);
    if (b->setup.tasks) return open_task(j, text, why);
    TRY(request_read(&j->request, text->text, text->n, line, &b->setup.defaults, why));
    if (!j->request.custom_id) return 0;
    const uint64_t name = hash64(j->request.custom_id, strlen(j->request.custom_id));
    const bool twice = hash_set_has(b->names, name);
    TRY(hash_set_add(b->names, name, why));
    if (twice) request_refuse(&j->request, 400, "duplicate_custom_id", "custom_id", "an earlier line has this custom_id too");
    return 0;
}

/* The next line that asks for something. */
static int take_line(struct batch *b, struct err *why)
{
    struct job_line text;
    struct job *j;
    const size_t line = b->next_line++;
    if (job_file_line(b->setup.file, line, &text, &b->changed)) return *why = b->changed, why->code;
    if (text.blank) return b->passed++, 0;
    int code = open_job(b, line, &text, &j, why);
    if (!code && !journal_is_done(b->setup.journal, line)) {
        const uint32_t crashes = journal_crashes(b->setup.journal, line);
        if (crashes >= CRASHES_MOST)
            request_refuse(&j->request, 500, "crashed", "", "the coordinator crashed %u times in a row with this line under way", crashes);
        if (crashes >= CRASHES_SUSPECT) b->alone = j;
        if (!j->request.refused.status) code = journal_put_begun(b->setup.journal, line, why);
        if (!code && !j->request.refused.status) code = start(j, why);
        b->asked++;
        b->asked_bytes += text.n;
        j->next = b->first;
        b->first = j;
        if (code) j->left++; /* the run is over, and this is nobody's result */
        return code;
    }
    if (j) job_free(j, fleet_pictures(b->setup.fleet));
    return code;
}

/* ---- turning ---- */

int batch_open(struct batch **out, const struct batch_setup *setup, struct err *why)
{
    struct batch *b = *out = calloc(1, sizeof *b);
    if (!b) return fail(why, E_MEMORY, "no memory for a job");
    b->setup = *setup;
    b->next_line = 1;
    b->inside = setup->folder ? realpath(setup->folder, NULL) : NULL;
    const int code = b->inside || !setup->folder ? hash_set_open(&b->names, why) : fail_errno(why, E_FILE, "%s cannot be found", setup->folder);
    if (code) batch_close(out);
    return code;
}

void batch_close(struct batch **pb)
{
    struct batch *b = *pb;
    *pb = NULL;
    if (!b) return;
    for (struct job *j; (j = b->first);) {
        b->first = j->next;
        job_free(j, NULL);
    }
    hash_set_close(&b->names);
    free(b->inside);
    free(b);
}

bool batch_is_over(const struct batch *b)
{
    return b->next_line > job_file_lines(b->setup.file) && !b->first;
}

/* Of the answers under way what the journal does not have yet, where it is enough to be worth a record. A log-probability cannot be had
 * again without its row, so an answer that wants them has no record before its end. */
static int log_tokens(struct batch *b, size_t least, struct err *why)
{
    for (struct job *j = b->first; j; j = j->next)
        for (uint32_t i = 0; i < j->request.choices && j->answer && !j->request.wants_logprobs; i++) {
            struct answer *a = &j->answer[i];
            if (a->ids.n - a->logged < least) continue;
            const struct journal_tokens where = {j->line, i, a->logged};
            TRY(journal_put_tokens(b->setup.journal, &where, a->ids.id + a->logged, a->ids.n - a->logged, why));
            a->logged = a->ids.n;
        }
    return 0;
}

static int log_some(struct batch *b, struct err *why)
{
    const uint64_t now = clock_now(roster_clock(fleet_pipe(b->setup.fleet, 0)->roster));
    const bool all = now - b->logged_ns >= LOG_NS;
    if (all) b->logged_ns = now;
    return log_tokens(b, all ? 1 : LOG_TOKENS, why);
}

/* A line that may be what crashes the coordinator waits until nothing else is under way. */
static bool may_take(const struct batch *b, uint32_t window)
{
    const bool suspicious = journal_crashes(b->setup.journal, b->next_line) >= CRASHES_SUSPECT;
    return !b->alone && b->under_way < (suspicious && window ? 1 : window);
}

int batch_feed(struct batch *b, uint32_t window, struct err *why)
{
    const size_t lines = job_file_lines(b->setup.file);
    for (int taken = 0; taken < LINES_A_TURN && b->next_line <= lines && may_take(b, window); taken++) {
        const int code = take_line(b, why);
        if (b->changed.code) TRY(batch_put_away(b, why)); /* what there is of answers stays good, and no line is to blame */
        if (code) return *why = b->changed.code ? b->changed : *why, code;
        TRY(finish_jobs(b, false, why));
    }
    return 0;
}

int batch_turn(struct batch *b, int timeout_ms, struct err *why)
{
    TRY(batch_feed(b, b->setup.window, why));
    if (interrupt_seen()) return fail(why, E_INTERRUPTED, "%s", interrupt_reason());
    if (fleet_is_busy(b->setup.fleet)) TRY(fleet_turn(b->setup.fleet, timeout_ms, why));
    return batch_settle(b, why);
}

int batch_settle(struct batch *b, struct err *why)
{
    TRY(finish_jobs(b, false, why));
    TRY(log_some(b, why));
    if (PLANTED(RESULT_TOLD_TOO_EARLY) && b->setup.outputs) TRY(outputs_flush(b->setup.outputs, why));
    TRY(journal_sync(b->setup.journal, why));
    return b->setup.outputs ? outputs_flush(b->setup.outputs, why) : 0;
}

uint32_t batch_under_way(const struct batch *b)
{
    return b->under_way;
}

void batch_cancel(struct batch *b)
{
    for (struct job *j = b->first; j; j = j->next)
        for (uint32_t i = 0; i < j->request.choices && j->answer; i++)
            if (j->answer[i].number && !j->answer[i].over) fleet_cancel(b->setup.fleet, j->answer[i].number);
}

void batch_forget(struct batch *b)
{
    for (struct job *j; (j = b->first);) {
        b->first = j->next;
        job_free(j, fleet_pictures(b->setup.fleet));
    }
}

int batch_put_away(struct batch *b, struct err *why)
{
    TRY(finish_jobs(b, true, why));
    TRY(log_tokens(b, 1, why));
    return journal_stop(b->setup.journal, why);
}

struct batch_counts batch_counts(const struct batch *b)
{
    const struct journal *j = b->setup.journal;
    const struct job_file *f = b->setup.file;
    const size_t lines = job_file_lines(f) - b->passed, done = journal_done(j), under_way = b->asked - b->answered - b->refused;
    return (struct batch_counts){
        .lines = lines, .done = done, .failed = journal_failed(j),
        .unread = lines > done + under_way ? lines - done - under_way : 0, .unread_bytes = job_file_unread(f),
        .asked = b->asked, .answered = b->answered, .refused = b->refused, .asked_bytes = b->asked_bytes, .prompt_tokens = b->prompt_tokens,
    };
}
