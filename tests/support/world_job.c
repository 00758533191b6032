/* tests/support/world_job.c — see world_job.h. */
#include "tests/support/world_job.h"

#include "coordinator/batch/answer_text.h"
#include "tests/support/world.h"

#include <stdlib.h>
#include <unistd.h>

#define CRASHES_BLAMED 5 /* as batch.c has it */
#define JOB_ROOM 20      /* ids, at least, for an answer */

/* ---- what it is ---- */

static void common(const struct world_job *j, struct result_common *out)
{
    *out = (struct result_common){.job = 1, .model = "hash", .fingerprint = "fp_0123456789abcdef", .tokens = j->leader->world->tokens};
}

static int make_result(struct world_job *j, int i, struct err *why)
{
    struct line said[JOB_CHOICES];
    struct answer_text text[JOB_CHOICES] = {0};
    struct result_choice choice[JOB_CHOICES];
    struct result_common c;
    const struct request request = {.choices = j->choices[i], .chat = j->leader->sees};
    const struct line *line = &j->leader->line[i];
    size_t n;
    int code = 0;
    for (uint32_t k = 0; k < request.choices && !code; k++) {
        said[k] = *line;
        said[k].key = k;
        line_golden(&said[k], j->leader->world);
        text[k].tokens = j->leader->world->tokens;
        for (uint32_t t = 0; t < said[k].n_golden && !code; t++) code = answer_text_add(&text[k], said[k].golden[t], why);
        if (!code) code = answer_text_end(&text[k], why);
        const bool stopped = said[k].golden_end == FINISH_STOP;
        choice[k] = (struct result_choice){.text = text[k].text, .n = text[k].n, .tokens = said[k].n_golden + stopped, .stopped = stopped};
    }
    common(j, &c);
    if (!code) code = result_answered(&j->golden[i], &n, &c, &request, (size_t)i + 1, choice, line->n, why);
    for (uint32_t k = 0; k < request.choices; k++) answer_text_free(&text[k]);
    return code;
}

static int write_ids(FILE *to, const struct line *a)
{
    fputs("\"prompt\":[", to);
    for (uint32_t i = 0; i < a->n; i++) fprintf(to, "%s%u", i ? "," : "", a->id[i]);
    fputs("]}\n", to);
    return 0;
}

/* Pictures and words in the place of what the line had; its ids are what the template makes of them. */
static int write_chat(FILE *to, struct line *a, struct world *w, struct err *why)
{
    struct content content[LEADER_PICTURES] = {0};
    struct picture_spans spans = {0};
    struct ids ids = {0};
    char words[25];
    size_t n = dice(&w->dice, a->leader->album ? 1 : LEADER_PICTURES);
    if (a->leader->album) n = LEADER_PICTURES - 1;
    fputs("\"messages\":[{\"role\":\"user\",\"content\":[", to);
    for (size_t i = 0; i < n; i++) {
        a->span[i].picture = dice(&w->dice, w->poisoned ? 6 : WORLD_PICTURES);
        fprintf(to, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"%s\"}},", w->things->picture[a->span[i].picture].name);
    }
    content[n].n = 1 + dice(&w->dice, sizeof words - 1);
    for (size_t i = 0; i < content[n].n; i++) words[i] = (char)('a' + dice(&w->dice, 26));
    content[n].text = words;
    fprintf(to, "{\"type\":\"text\",\"text\":\"%.*s\"}]}]}\n", (int)content[n].n, words);
    const struct chat_message message = {SPEAKER_USER, content, n + 1};
    int code = prompt_messages(w->tokens, &message, 1, WORLD_PICTURE_ROWS, &ids, &spans, why);
    if (!code && (ids.n + JOB_ROOM > a->leader->wanted.context || spans.n != n)) code = fail(why, E_INTERNAL, "a chat of %zu ids", ids.n);
    for (size_t i = 0; i < spans.n && !code; i++) a->span[i].first = spans.span[i].first, a->span[i].n = spans.span[i].n;
    a->n_spans = spans.n;
    a->n = code ? 1 : (uint32_t)ids.n;
    if (!code) memcpy(a->id, ids.id, ids.n * sizeof *ids.id);
    picture_spans_free(&spans);
    ids_free(&ids);
    return code;
}

static int write_line(FILE *to, struct world_job *j, int i, struct err *why)
{
    struct leader *l = j->leader;
    struct line *a = &l->line[i];
    fprintf(to, "{\"max_tokens\":%u,\"n\":%u,\"frequency_penalty\":%d,", a->most, j->choices[i], a->biased);
    return l->sees ? write_chat(to, a, l->world, why) : write_ids(to, a);
}

int world_job_draw(struct world_job *j, struct leader *l, struct err *why)
{
    struct world *w = l->world;
    char path[280];
    *j = (struct world_job){.leader = l, .as_they_come = dice(&w->dice, 2), .window = 1 + dice(&w->dice, 2 * l->wanted.sequences)};
    snprintf(j->in, sizeof j->in, "%s/job-%d.jsonl", w->folder, l->index);
    snprintf(j->out, sizeof j->out, "%s/results-%d.jsonl", w->folder, l->index);
    snprintf(path, sizeof path, "%s/journal-%d", w->folder, l->index);
    (void)unlink(path), (void)unlink(j->out);
    torn_disk_open(&j->disk, path, &w->dice);
    FILE *in = fopen(j->in, "wbe");
    if (!in) return fail_errno(why, E_FILE, "%s cannot be written", j->in);
    int code = 0;
    for (int i = 0; i < l->lines && !code; i++) {
        j->choices[i] = 1 + !dice(&w->dice, 4);
        code = write_line(in, j, i, why);
    }
    if (fclose(in) && !code) return fail_errno(why, E_FILE, "%s cannot be written", j->in);
    for (int i = 0; i < l->lines && !code; i++) code = make_result(j, i, why);
    return code;
}

void world_job_end(struct world_job *j)
{
    for (int i = 0; i < JOB_LINES; i++) free(j->golden[i]);
}

/* ---- what must hold ---- */

static int line_of(const struct world_job *j, const char *result, size_t n)
{
    for (int i = 0; i < j->leader->lines; i++)
        if (strlen(j->golden[i]) == n && !memcmp(j->golden[i], result, n)) return i;
    return -1;
}

/* Of a line alone, and not without a reason; i < 0: nobody knows of which. */
static bool may_have_failed(const struct world_job *j, int i)
{
    const struct leader *l = j->leader;
    if (l->world->poisoned) return i < 0 || line_is_poisoned(&l->line[i]);
    uint64_t losses = l->losses;
    for (int k = 0; k < l->replicas; k++) losses += (l->pipe[k] ? l->pipe[k]->losses : 0) + l->lost[k];
    return losses > SUSPECTED_MOST || l->lives > CRASHES_BLAMED;
}

static int check_line(struct world_job *j, int i, struct err *why)
{
    const size_t line = (size_t)i + 1;
    struct line said = j->leader->line[i];
    char *result;
    size_t n;
    bool ok;
    if (journal_is_done(j->journal, line)) {
        TRY(journal_result(j->journal, line, &ok, &result, &n, why));
        const bool right = ok ? line_of(j, result, n) == i : may_have_failed(j, i);
        j->safe[i] = ok;
        if (!right) fail(why, E_INTERNAL, "line %d of a job: the journal has another result: %.300s", i, result);
        free(result);
        return right ? 0 : leader_broken(j->leader, why);
    }
    if (j->safe[i]) return fail(why, E_INTERNAL, "line %d of a job: its result was safe, and is lost", i), leader_broken(j->leader, why);
    for (uint32_t k = 0; k < j->choices[i]; k++) {
        const struct ids *had = journal_tokens(j->journal, line, k);
        said.key = k;
        line_golden(&said, j->leader->world);
        if (had && (had->n > said.n_golden || memcmp(had->id, said.golden, had->n * sizeof *said.golden)))
            return fail(why, E_INTERNAL, "line %d of a job: the journal brings other tokens", i), leader_broken(j->leader, why);
    }
    return 0;
}

/* What was done before the last time that all was made sure of. */
static void note_safe(struct world_job *j)
{
    for (int i = 0; i < j->leader->lines; i++) j->safe[i] |= journal_is_done(j->journal, (size_t)i + 1);
}

/* Whoever read them relies on them. `all`: each line has one, `ordered`: in their order. */
static int check_delivered(struct world_job *j, bool all, bool ordered, struct err *why)
{
    bool there[JOB_LINES] = {0};
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    int lines = 0, code = 0;
    FILE *out = fopen(j->out, "rbe");
    for (; !code && out && (n = getline(&text, &room, out)) > 0 && text[n - 1] == '\n'; lines++) {
        const int i = line_of(j, text, (size_t)n - 1);
        if (i < 0 && strstr(text, "\"status_code\":500") && may_have_failed(j, i)) continue;
        if (i < 0 || there[i] || (ordered && i != lines)) {
            fail(why, E_INTERNAL, "result %d of a job, of line %d, is wrong or there twice: %.300s", lines, i, text);
            code = leader_broken(j->leader, why);
        } else there[i] = j->safe[i] = true;
    }
    free(text);
    if (out) fclose(out);
    if (code || !all || lines == j->leader->lines) return code;
    return fail(why, E_INTERNAL, "%d lines of %d have results", lines, j->leader->lines), leader_broken(j->leader, why);
}

/* ---- a life ---- */

static int open_journal(struct world_job *j, struct err *why)
{
    const struct journal_fact fact = {"seed", "1"};
    const struct journal_setup setup = {.path = j->disk.path, .mode = JOURNAL_RESUME, .no_lock = true, .lines = (size_t)j->leader->lines,
                                        .retry = j->retry, .facts = &fact, .n_facts = 1};
    size_t lost;
    const int code = journal_open(&j->journal, &setup, why);
    if (!code || !j->disk.holed || !strstr(why->text, "is damaged")) return code;
    TRY(journal_repair(j->disk.path, &lost, why));
    j->disk.holed = false;
    return journal_open(&j->journal, &setup, why);
}

int world_job_open(struct world_job *j, struct err *why)
{
    const struct outputs_names names = {j->out, NULL};
    disk_use(&j->disk.table);
    TRY(job_file_open(&j->file, j->in, why));
    TRY(open_journal(j, why));
    for (int i = 0; i < j->leader->lines; i++) TRY(check_line(j, i, why));
    return j->as_they_come ? outputs_open(&j->outputs, &names, j->journal, why) : 0;
}

int world_job_begin(struct world_job *j, struct err *why)
{
    const struct leader *l = j->leader;
    struct batch_setup setup = {.fleet = l->fleet, .tokens = l->world->tokens, .file = j->file, .journal = j->journal, .outputs = j->outputs,
                                .defaults = {.sampling = {.repeat_penalty = 1}, .most = 1, .file = "job"}, .window = j->window,
                                .context = l->wanted.context, .folder = l->world->folder};
    if (l->sees) setup.picture_rows = WORLD_PICTURE_ROWS, setup.picture_side = l->world->things->encoder->config.image;
    common(j, &setup.common);
    return batch_open(&j->batch, &setup, why);
}

int world_job_turn(struct world_job *j, int ms, bool *over, struct err *why)
{
    disk_use(&j->disk.table);
    TRY(batch_turn(j->batch, ms, why));
    note_safe(j);
    *over = batch_is_over(j->batch);
    return 0;
}

int world_job_finish(struct world_job *j, bool *done, struct err *why)
{
    const struct outputs_names names = {j->out, NULL};
    const size_t lines = (size_t)j->leader->lines;
    disk_use(&j->disk.table);
    TRY(j->as_they_come ? outputs_close(&j->outputs, why) : outputs_write(&names, j->journal, lines, why));
    TRY(journal_end(j->journal, why));
    if (journal_done(j->journal) != lines) return fail(why, E_INTERNAL, "the journal lacks lines"), leader_broken(j->leader, why);
    for (int i = 0; i < j->leader->lines; i++) TRY(check_line(j, i, why));
    j->retry = journal_failed(j->journal) && !j->leader->world->poisoned;
    if (j->leader->world->poisoned) j->leader->poisoned += journal_failed(j->journal);
    *done = !j->retry;
    return check_delivered(j, true, !j->as_they_come && !journal_failed(j->journal), why);
}

int world_job_stop(struct world_job *j, struct err *why)
{
    disk_use(&j->disk.table);
    return j->batch ? batch_put_away(j->batch, why) : 0;
}

int world_job_close(struct world_job *j, struct err *why)
{
    disk_use(&j->disk.table);
    batch_close(&j->batch);
    journal_close(&j->journal);
    job_file_close(&j->file);
    (void)outputs_close(&j->outputs, NULL);
    disk_use(NULL);
    return j->as_they_come ? check_delivered(j, false, false, why) : 0;
}
