/* coordinator/cmd/conversation.c — see conversation.h. */
#include "coordinator/cmd/conversation.h"

#include "base/log.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/engine/give_pictures.h"
#include "coordinator/text/text_writer.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_ROOM 64 /* tokens, for a short answer */

struct remembered { /* one turn: its pictures stand before its text */
    enum speaker who;
    char *text; /* owned */
    size_t n;
    size_t first_picture, pictures; /* the first of its pictures, and how many */
};

struct script { /* the conversation, or a part of it, as the workers have it or will have it */
    struct ids ids;
    struct picture_spans spans;
};

struct conversation {
    const struct session *session;
    struct script script;
    size_t asked_ids, asked_spans; /* the script's lengths before the question; it grew by appending */
    bool ended;                    /* the last answer brought its <end_of_turn>, which is among the ids */
    struct remembered *turns;
    size_t n_turns, first; /* turns before `first` are forgotten */
    struct prompt_pictures pictures;
    size_t shown; /* pictures that belong to turns, or to none any more; those after wait for the next question */
    uint64_t questions;
};

static void script_free(struct script *s)
{
    picture_spans_free(&s->spans);
    ids_free(&s->ids);
}

int conversation_open(struct conversation **out, const struct session *session, struct err *why)
{
    struct conversation *c = *out = calloc(1, sizeof *c);
    if (!c) return fail(why, E_MEMORY, "no memory for a conversation");
    c->session = session;
    if (session->pipe->encoder) c->pictures.side = session->pipe->encoder->config.image;
    c->pictures.pan_and_scan = session->options->pan_and_scan;
    c->pictures.memory = session->options->picture_memory;
    return 0;
}

void conversation_close(struct conversation **pc)
{
    struct conversation *c = *pc;
    *pc = NULL;
    if (!c) return;
    prompt_pictures_take_back(&c->pictures, fleet_pictures(c->session->fleet));
    prompt_pictures_close(&c->pictures);
    script_free(&c->script);
    for (size_t i = 0; i < c->n_turns; i++) free(c->turns[i].text);
    free(c->turns);
    free(c);
}

int conversation_show(struct conversation *c, const char *name, struct err *why)
{
    if (!c->session->pipe->encoder) return fail(why, E_USAGE, "a picture needs its encoder: start with --mmproj FILE.gguf");
    return prompt_pictures_add(&c->pictures, name, why);
}

/* ---- turns ---- */

static int remember(struct conversation *c, enum speaker who, const char *text, size_t n, struct err *why)
{
    struct remembered *more = realloc(c->turns, (c->n_turns + 1) * sizeof *more);
    if (more) c->turns = more;
    char *copy = malloc(n + 1);
    if (!more || !copy) {
        free(copy);
        return fail(why, E_MEMORY, "no memory for another turn");
    }
    memcpy(copy, text, n);
    copy[n] = 0;
    size_t pictures = who == SPEAKER_USER ? c->pictures.n - c->shown : 0;
    c->turns[c->n_turns++] = (struct remembered){who, copy, n, c->shown, pictures};
    c->shown += pictures;
    return 0;
}

/* The turn's parts into `parts`, which has room for them; returns how many. */
static size_t contents(const struct conversation *c, const struct remembered *t, struct content *parts)
{
    size_t n = 0;
    for (size_t i = 0; i < t->pictures; i++) parts[n++] = prompt_pictures_content(&c->pictures, t->first_picture + i);
    parts[n++] = (struct content){.text = t->text, .n = t->n};
    return n;
}

/* The turns from `first` on as one prompt. */
static int render(const struct conversation *c, size_t first, struct script *out, struct err *why)
{
    const struct session *s = c->session;
    size_t n = 0, parts = 0, turns = c->n_turns - first;
    struct chat_message *messages = calloc(turns + 1, sizeof *messages);
    struct content *content = calloc(turns + c->pictures.n + 1, sizeof *content);
    if (!messages || !content) {
        free(messages);
        free(content);
        return fail(why, E_MEMORY, "no memory for the turns");
    }
    const char *system = s->options->system;
    if (system) {
        content[parts] = (struct content){.text = system, .n = strlen(system)};
        messages[n++] = (struct chat_message){SPEAKER_SYSTEM, &content[parts++], 1};
    }
    for (size_t i = first; i < c->n_turns; i++) {
        size_t k = contents(c, &c->turns[i], &content[parts]);
        messages[n++] = (struct chat_message){c->turns[i].who, &content[parts], k};
        parts += k;
    }
    int code = prompt_messages(s->tokens, messages, n, typed_prompt_picture_rows(s), &out->ids, &out->spans, why);
    free(messages);
    free(content);
    return code;
}

/* ---- room in the context ---- */

static uint32_t context_of(const struct conversation *c)
{
    return c->session->pipe->plan.capacity.context;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Whoever forgets makes more room than an answer must find: all that is kept has to be read anew, so it should be done seldom. */
static uint32_t room_made(const struct conversation *c)
{
    return smaller(c->session->options->most, context_of(c) / 4);
}

/* An answer's most tokens are not what it will have, so they are no measure of what must be free. */
static uint32_t room_needed(const struct conversation *c)
{
    const uint32_t sixteenth = context_of(c) / 16;
    return smaller(room_made(c), sixteenth > LEAST_ROOM ? sixteenth : LEAST_ROOM);
}

static int give_pictures(struct conversation *c, size_t first_picture, struct script *s, size_t from, struct err *why)
{
    if (s->spans.n == from) return 0;
    return prompt_pictures_give(&c->pictures, fleet_pictures(c->session->fleet), first_picture, &s->spans, from, why);
}

/* All remembered turns anew, without the oldest questions and answers where they do not fit. */
static int begin_again(struct conversation *c, struct err *why)
{
    struct script anew = {0};
    size_t first = c->first;
    int code = render(c, first, &anew, why);
    while (!code && anew.ids.n + room_made(c) > context_of(c) && first + 2 < c->n_turns) {
        script_free(&anew);
        code = render(c, first += 2, &anew, why);
    }
    if (!code) code = capacity_holds(c->session->options, &c->session->pipe->model->config, anew.ids.n, why);
    if (!code) code = give_pictures(c, c->turns[first].first_picture, &anew, 0, why);
    if (code) {
        script_free(&anew);
        return code;
    }
    if (first > c->first)
        log_info("the context of %u tokens is full: its oldest turns are forgotten (questions with their answers: %zu)", context_of(c),
                 (first - c->first) / 2);
    c->first = first;
    script_free(&c->script);
    c->script = anew;
    c->asked_ids = c->asked_spans = 0;
    return 0;
}

/* Appends the newest turn to what the workers hold. *fits is false, and nothing has changed, where the context has no room for it. */
static int append(struct conversation *c, bool *fits, struct err *why)
{
    const struct session *s = c->session;
    const struct remembered *t = &c->turns[c->n_turns - 1];
    struct content *parts = calloc(t->pictures + 1, sizeof *parts);
    if (!parts) return fail(why, E_MEMORY, "no memory for a turn");
    struct chat_message user = {SPEAKER_USER, parts, contents(c, t, parts)};
    c->asked_ids = c->script.ids.n;
    c->asked_spans = c->script.spans.n;
    int code = prompt_next_message(s->tokens, c->ended, &user, typed_prompt_picture_rows(s), &c->script.ids, &c->script.spans, why);
    free(parts);
    *fits = !code && c->script.ids.n + room_needed(c) <= context_of(c);
    if (*fits) return give_pictures(c, t->first_picture, &c->script, c->asked_spans, why);
    c->script.ids.n = c->asked_ids;
    c->script.spans.n = c->asked_spans;
    return code;
}

/* ---- a question and its answer ---- */

int conversation_ask(struct conversation *c, const char *text, size_t n, struct ask *ask, struct err *why)
{
    const struct options *o = c->session->options;
    bool fits = false;
    TRY(remember(c, SPEAKER_USER, text, n, why));
    int code = c->script.ids.n ? append(c, &fits, why) : 0;
    if (!code && !fits) code = begin_again(c, why);
    if (code) {
        conversation_drop(c);
        return code;
    }
    *ask = (struct ask){.ids = c->script.ids.id, .n = c->script.ids.n, .spans = c->script.spans.span, .n_spans = c->script.spans.n,
                        .sampling = o->sampling, .most = o->most, .key = c->questions++};
    return 0;
}

/* After a beginning anew there is no earlier script to go back to: the next question makes another. */
void conversation_drop(struct conversation *c)
{
    free(c->turns[--c->n_turns].text);
    c->script.ids.n = c->asked_ids;
    c->script.spans.n = c->asked_spans;
}

static int remember_answer(struct conversation *c, const struct ids *answer, struct err *why)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return fail(why, E_MEMORY, "no memory for the answer");
    struct writer w = {.tokens = c->session->tokens, .to = f};
    for (size_t i = 0; i < answer->n; i++) writer_token(&w, answer->id[i]);
    writer_end(&w);
    fclose(f);
    int code = remember(c, SPEAKER_MODEL, text, n, why);
    free(text);
    return code;
}

/* The answer's tokens belong to the conversation; the one that ended it does if it is <end_of_turn>. */
int conversation_answered(struct conversation *c, const struct collected *answer, struct err *why)
{
    const int32_t end_of_turn = tokenizer_specials(c->session->tokens).end_of_turn;
    for (size_t i = 0; i < answer->ids.n; i++) TRY(ids_push(&c->script.ids, answer->ids.id[i], why));
    c->ended = answer->ended.how == FINISH_STOP && (int32_t)answer->ended.last_id == end_of_turn;
    if (c->ended) TRY(ids_push(&c->script.ids, answer->ended.last_id, why));
    return remember_answer(c, &answer->ids, why);
}
