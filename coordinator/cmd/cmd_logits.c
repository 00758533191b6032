/* coordinator/cmd/cmd_logits.c — `gemmapipe logits`: the scores of every position of a prompt, or of given ids, as float32
 * [ids, vocabulary]. */
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "base/whole_file.h"
#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/cmd/collect.h"
#include "coordinator/engine/give_pictures.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int read_ids(const char *text, struct ids *out, struct err *why)
{
    for (const char *at = text;;) {
        char *end;
        errno = 0;
        unsigned long id = strtoul(at, &end, 10);
        if (end == at || errno || id > UINT32_MAX || *at == '-' || *at == '+' || (*end && *end != ','))
            return fail(why, E_USAGE, "--ids wants numbers with commas between, as 2,105,2364; found \"%.20s\"", at);
        TRY(ids_push(out, (uint32_t)id, why));
        if (!*end) return 0;
        at = end + 1;
    }
}

struct scoring_job {
    struct session session;
    struct ids ids;
    struct picture_spans spans;
    struct prompt_pictures pictures;
    struct whole_file *file;
    struct collected answer;
};

/* Where a run of <image_soft_token> stands the next picture goes, whole or crop, in their order. */
static int place_pictures(struct scoring_job *j, struct err *why)
{
    const struct prompt_pictures *all = &j->pictures;
    const uint32_t rows = typed_prompt_picture_rows(&j->session);
    const int32_t soft = tokenizer_specials(j->session.tokens).image_soft;
    size_t picture = 0;
    uint32_t crop = 0;
    for (size_t i = 0, end; soft >= 0 && i < j->ids.n; i = end) {
        for (end = i; end < j->ids.n && j->ids.id[end] == (uint32_t)soft;) end++;
        if (end == i) {
            end++;
            continue;
        }
        if (end - i != rows) return fail(why, E_USAGE, "a picture has %u rows, --ids leaves %zu places at %zu", rows, end - i, i);
        if (picture == all->n) return fail(why, E_USAGE, "--ids has places for more pictures than --image names");
        TRY(picture_spans_add(&j->spans, (struct picture_span){i, rows, picture, crop}, why));
        bool last = crop == all->of[picture].crops;
        picture += last;
        crop = last ? 0 : crop + 1;
    }
    return picture == all->n && !crop ? 0 : fail(why, E_USAGE, "--ids has places for %zu of the %zu pictures", picture, all->n);
}

static int encode(struct scoring_job *j, struct err *why)
{
    const struct options *o = j->session.options;
    const struct typed_prompt q = {.text = o->prompt, .n = o->prompt ? strlen(o->prompt) : 0, .pictures = j->pictures.n};
    if (o->prompt) typed_prompt_hint(&q, &j->session);
    if (o->prompt) return typed_prompt_encode(&q, &j->pictures, &j->session, &j->ids, &j->spans, why);
    for (uint32_t i = 0; i < o->depth; i++) TRY(ids_push(&j->ids, 0, why));
    TRY(read_ids(o->ids, &j->ids, why));
    return j->pictures.n ? place_pictures(j, why) : 0;
}

static int write_row(void *user, uint32_t position, const uint8_t *scores, uint32_t n, struct err *why)
{
    struct scoring_job *j = user;
    (void)position;
    return whole_file_write(j->file, scores, n * sizeof(float), why);
}

static void take_end(void *user, const struct ended *ended)
{
    struct scoring_job *j = user;
    const struct listener l = collect_into(&j->answer);
    l.finished(l.user, ended);
}

static int launch(struct scoring_job *j, struct err *why)
{
    struct session *s = &j->session;
    const uint32_t whole = j->pictures.n ? typed_prompt_picture_rows(s) : 1;
    struct capacity c;
    TRY(capacity_for(&c, s->options, &s->pipe->model->config, &(struct load){.prompt = j->ids.n, .prompts = 1, .whole = whole}, why));
    capacity_of_scores(&c, &s->pipe->model->config, whole);
    s->pipe->wish.plan.all_scores = true;
    return session_launch(s, &c, why);
}

static int score(struct scoring_job *j, struct err *why)
{
    struct session *s = &j->session;
    const struct listener l = {.scores = write_row, .finished = take_end, .user = j};
    if (j->pictures.n) TRY(prompt_pictures_give(&j->pictures, fleet_pictures(s->fleet), 0, &j->spans, 0, why));
    const struct ask ask = {.ids = j->ids.id, .n = j->ids.n, .spans = j->spans.span, .n_spans = j->spans.n, .most = 1, .run_on = true,
                            .want_scores = true, .drawn = s->options->depth, .sampling = {.repeat_penalty = 1}};
    TRY(fleet_ask(s->fleet, &ask, &l, NULL, why));
    TRY(session_answer(s, why));
    if (j->answer.ended.how == FINISH_FAILED) {
        *why = j->answer.why;
        return why->code;
    }
    return session_finish(s, why);
}

static int compute_to_file(struct scoring_job *j, struct err *why)
{
    TRY(whole_file_open(&j->file, j->session.options->out, why));
    int code = launch(j, why);
    if (!code) code = score(j, why);
    return whole_file_close(&j->file, code, why);
}

static int print_fingerprint(struct scoring_job *j, struct err *why)
{
    fprintf(stdout_ring_stream(j->session.out), "fingerprint %016" PRIx64 "\n", j->answer.ended.fingerprint);
    return session_deliver(&j->session, why);
}

int command_logits(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct scoring_job j = {0};
    int code = session_open(&j.session, o, wish, mpi, why);
    if (!code) code = typed_prompt_images(&j.pictures, &j.session, why);
    if (!code) code = encode(&j, why);
    if (!code) code = compute_to_file(&j, why);
    if (!code && o->fingerprint) code = print_fingerprint(&j, why);
    if (j.session.fleet) prompt_pictures_take_back(&j.pictures, fleet_pictures(j.session.fleet));
    session_close(&j.session, code ? why : NULL);
    prompt_pictures_close(&j.pictures);
    collected_free(&j.answer);
    picture_spans_free(&j.spans);
    ids_free(&j.ids);
    return code;
}
