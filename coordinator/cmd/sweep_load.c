/* coordinator/cmd/sweep_load.c — see sweep_load.h. */
#include "coordinator/cmd/sweep_load.h"

#include "coordinator/cmd/batch_load.h"
#include "coordinator/cmd/capacity.h"

/* ---- at random ---- */

static void hear_end(void *user, const struct ended *ended)
{
    struct sweep_load *l = user;
    l->ended++;
    if (ended->how == FINISH_LENGTH || l->failed.code) return;
    if (ended->why) l->failed = *ended->why;
    else fail(&l->failed, E_INTERNAL, "an answer of %u tokens ended after %u", l->value[SWEPT_ANSWER], ended->made);
}

/* The number of a prompt and of a place in it say the token: so every point of a sweep asks the same. What all share is prompt 0's. */
static uint32_t draw(uint32_t prompt, uint32_t at, uint32_t words)
{
    return (uint32_t)((hash_fold(hash_fold(1, prompt), at) >> 32) * words >> 32);
}

static int ask(struct sweep_load *l, const struct session *s, struct err *why)
{
    const struct model *m = s->pipe->model;
    const uint32_t words = m->config.vocab < m->embedding.rows ? m->config.vocab : m->embedding.rows;
    const uint32_t shared = (uint32_t)((uint64_t)l->value[SWEPT_PROMPT] * l->value[SWEPT_PREFIX] / 100);
    const struct listener listener = {.finished = hear_end, .user = l};
    struct ids ids = {0};
    int code = 0;
    l->asked++;
    for (uint32_t i = 0; i < l->value[SWEPT_PROMPT] && !code; i++) code = ids_push(&ids, draw(i < shared ? 0 : l->asked, i, words), why);
    const struct ask what = {.ids = ids.id, .n = ids.n, .most = l->value[SWEPT_ANSWER], .key = l->asked, .run_on = true,
                             .sampling = {.repeat_penalty = 1}};
    if (!code) code = fleet_ask(s->fleet, &what, &listener, NULL, why);
    ids_free(&ids);
    return code;
}

static int run_random(struct sweep_load *l, struct session *s, struct err *why)
{
    const uint32_t all = l->value[SWEPT_SEQUENCES] * l->repeats;
    while (l->ended < all) {
        while (l->asked < all && l->asked - l->ended < l->value[SWEPT_SEQUENCES]) TRY(ask(l, s, why));
        TRY(session_turn(s, TURN_MS, why));
        if (l->failed.code) return *why = l->failed, why->code;
    }
    return 0;
}

/* ---- either ---- */

int sweep_load_prepare(struct sweep_load *l, struct session *s, struct err *why)
{
    struct options o = *s->options;
    const struct load load = {.prompt = l->value[SWEPT_PROMPT], .answer = l->value[SWEPT_ANSWER], .prompts = l->value[SWEPT_SEQUENCES]};
    const struct model_config *c = &s->pipe->model->config;
    if (l->file) return batch_load_prepare(&l->capacity, s, l->file, why);
    if (load.prompt + load.answer > c->context)
        return fail(why, E_USAGE, "a prompt of %u and an answer of %u tokens are more than the %u positions this model was trained for",
                    l->value[SWEPT_PROMPT], l->value[SWEPT_ANSWER], c->context);
    o.sequences = l->value[SWEPT_SEQUENCES];
    return capacity_for(&l->capacity, &o, c, &load, why);
}

static int run_file(struct sweep_load *l, struct session *s, uint64_t *failed, struct err *why)
{
    struct batch_setup setup = batch_load_setup(s, &l->capacity, l->file, l->folder);
    setup.defaults.file = s->options->jobs;
    TRY(batch_open(&l->batch, &setup, why));
    while (!batch_is_over(l->batch)) TRY(batch_turn(l->batch, TURN_MS, why));
    *failed = batch_counts(l->batch).refused;
    return 0;
}

int sweep_load_run(struct sweep_load *l, struct session *s, uint64_t *requests, uint64_t *failed, struct err *why)
{
    *failed = 0;
    TRY(l->file ? run_file(l, s, failed, why) : run_random(l, s, why));
    *requests = l->file ? batch_counts(l->batch).lines : l->ended;
    return 0;
}

void sweep_load_close(struct sweep_load *l)
{
    batch_close(&l->batch);
}
