/* coordinator/cmd/cmd_chat.c — `gemmapipe chat`: turns on a terminal. Each is asked with the whole conversation before it; the engine
 * finds that a slot holds its beginning, so a turn costs only its own tokens. When the context is full the oldest turns are
 * forgotten and the rest is read anew. A line "/image FILE" puts a picture in front of the next question. */
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/stream.h"
#include "coordinator/engine/give_pictures.h"
#include "coordinator/text/text_writer.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT_CONTEXT 4096
#define LINE_MOST (1u << 20)

struct line_reader { /* stdin, without blocking the pings that keep the workers with us */
    char *text;
    size_t n, room, line; /* bytes held; of the line handed out last */
    bool ended;
};

struct remembered { /* one turn: its pictures stand before its text */
    enum speaker who;
    char *text; /* owned */
    size_t n;
    size_t first_picture, pictures; /* the first of its pictures, and how many */
};

struct chat {
    struct session session;
    struct ids ids; /* the conversation as the workers have it, or will have it */
    struct picture_spans spans;
    bool ended; /* the last answer brought its <end_of_turn>, which is among the ids */
    struct remembered *turns;
    size_t n_turns, first; /* turns before `first` are forgotten */
    struct prompt_pictures pictures;
    size_t shown;          /* pictures of it that belong to turns; those after wait for the next question */
    uint64_t questions;
    struct line_reader in;
};

/* ---- lines from stdin ---- */

static int wait_for_input(struct chat *c, struct err *why)
{
    for (;;) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        int n = poll(&in, 1, 300);
        TRY(engine_turn(c->session.engine, 0, why));
        if (n > 0) return 0;
        if (n < 0 && errno != EINTR) return fail_errno(why, E_INTERNAL, "cannot wait for stdin");
    }
}

/* *line is NULL at the end of the input. Lives until the next call. */
static int read_line(struct chat *c, char **line, struct err *why)
{
    struct line_reader *in = &c->in;
    memmove(in->text, in->text + in->line, in->n - in->line);
    in->n -= in->line;
    in->line = 0;
    for (;;) {
        char *stop = in->n ? memchr(in->text, '\n', in->n) : 0;
        if (stop || (in->ended && in->n)) {
            if (!stop) stop = in->text + in->n++;
            *stop = 0;
            in->line = (size_t)(stop - in->text) + 1;
            *line = in->text;
            return 0;
        }
        if (in->ended) {
            *line = 0;
            return 0;
        }
        if (in->n + 2 > in->room) return fail(why, E_USAGE, "a line of more than %u bytes is no question", LINE_MOST);
        TRY(wait_for_input(c, why));
        ssize_t k = read(STDIN_FILENO, in->text + in->n, in->room - in->n - 1);
        if (k < 0 && errno != EINTR) return fail_errno(why, E_INTERNAL, "cannot read stdin");
        if (k == 0) in->ended = true;
        if (k > 0) in->n += (size_t)k;
    }
}

/* ---- turns ---- */

static int remember(struct chat *c, enum speaker who, const char *text, size_t n, struct err *why)
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
static size_t contents(const struct chat *c, const struct remembered *t, struct content *parts)
{
    size_t n = 0;
    for (size_t i = 0; i < t->pictures; i++) parts[n++] = prompt_pictures_content(&c->pictures, t->first_picture + i);
    parts[n++] = (struct content){.text = t->text, .n = t->n};
    return n;
}

static int remember_answer(struct chat *c, const struct ids *answer, struct err *why)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return fail(why, E_MEMORY, "no memory for the answer");
    struct writer w = {.tokens = c->session.tokens, .to = f};
    for (size_t i = 0; i < answer->n; i++) writer_token(&w, answer->id[i]);
    writer_end(&w);
    fclose(f);
    int code = remember(c, SPEAKER_MODEL, text, n, why);
    free(text);
    return code;
}

/* The remembered turns as one prompt. */
static int render(struct chat *c, struct err *why)
{
    size_t n = 0, parts = 0, turns = c->n_turns - c->first;
    struct chat_message *messages = calloc(turns + 1, sizeof *messages);
    struct content *content = calloc(turns + c->pictures.n + 1, sizeof *content);
    if (!messages || !content) {
        free(messages);
        free(content);
        return fail(why, E_MEMORY, "no memory for the turns");
    }
    const char *system = c->session.options->system;
    if (system) {
        content[parts] = (struct content){.text = system, .n = strlen(system)};
        messages[n++] = (struct chat_message){SPEAKER_SYSTEM, &content[parts++], 1};
    }
    for (size_t i = c->first; i < c->n_turns; i++) {
        size_t k = contents(c, &c->turns[i], &content[parts]);
        messages[n++] = (struct chat_message){c->turns[i].who, &content[parts], k};
        parts += k;
    }
    int code = prompt_messages(c->session.tokens, messages, n, typed_prompt_picture_rows(&c->session), &c->ids, &c->spans, why);
    free(messages);
    free(content);
    return code;
}

static uint32_t context_of(const struct chat *c)
{
    return c->session.pipe->plan.capacity.context;
}

/* Room an answer should find, so that a conversation does not end in the middle of one. */
static uint32_t answer_room(const struct chat *c)
{
    const uint32_t most = c->session.options->most, quarter = context_of(c) / 4;
    return most < quarter ? most : quarter;
}

/* All remembered turns anew; forgets the oldest pairs of them until the rest fits and leaves room for an answer. */
static int begin_again(struct chat *c, struct err *why)
{
    for (;; c->first += 2) {
        picture_spans_free(&c->spans);
        ids_free(&c->ids);
        TRY(render(c, why));
        if (c->ids.n + answer_room(c) <= context_of(c) || c->first + 2 >= c->n_turns) break;
    }
    if (!c->spans.n) return 0;
    return prompt_pictures_give(&c->pictures, engine_pictures(c->session.engine), c->turns[c->first].first_picture, &c->spans, 0, why);
}

/* Appends the new turn to what the workers hold, or begins again where it does not fit. */
static int go_on(struct chat *c, struct err *why)
{
    const struct remembered *t = &c->turns[c->n_turns - 1];
    const size_t before = c->spans.n;
    struct content *parts = calloc(t->pictures + 1, sizeof *parts);
    if (!parts) return fail(why, E_MEMORY, "no memory for a turn");
    struct chat_message user = {SPEAKER_USER, parts, contents(c, t, parts)};
    int code = prompt_next_message(c->session.tokens, c->ended, &user, typed_prompt_picture_rows(&c->session), &c->ids, &c->spans, why);
    free(parts);
    if (code) return code;
    if (c->spans.n > before)
        TRY(prompt_pictures_give(&c->pictures, engine_pictures(c->session.engine), t->first_picture, &c->spans, before, why));
    if (c->ids.n + c->session.options->most / 4 <= context_of(c)) return 0;
    log_info("the conversation no longer fits the context of %u: its oldest turns are forgotten", context_of(c));
    c->first += 2;
    return begin_again(c, why);
}

/* The answer's tokens belong to the conversation; the one that ended it does if it is <end_of_turn>. */
static int keep_answer(struct chat *c, const struct collected *answer, struct err *why)
{
    const int32_t end_of_turn = tokenizer_specials(c->session.tokens).end_of_turn;
    for (size_t i = 0; i < answer->ids.n; i++) TRY(ids_push(&c->ids, answer->ids.id[i], why));
    c->ended = answer->ended.how == FINISH_STOP && (int32_t)answer->ended.last_id == end_of_turn;
    if (c->ended) TRY(ids_push(&c->ids, answer->ended.last_id, why));
    return remember_answer(c, &answer->ids, why);
}

static int turn(struct chat *c, const char *text, struct err *why)
{
    struct collected answer = {0};
    TRY(remember(c, SPEAKER_USER, text, strlen(text), why));
    TRY(c->ids.n ? go_on(c, why) : begin_again(c, why));
    const struct ask ask = {.ids = c->ids.id, .n = c->ids.n, .spans = c->spans.span, .n_spans = c->spans.n,
                            .sampling = c->session.options->sampling, .most = c->session.options->most, .key = c->questions++};
    int code = stream_answer(&c->session, &ask, &answer, why);
    if (!code) code = keep_answer(c, &answer, why);
    collected_free(&answer);
    return code;
}

static int show(struct chat *c, const char *name, struct err *why)
{
    struct err no = {0};
    while (*name == ' ') name++;
    if (!c->session.pipe->encoder) return fail(why, E_USAGE, "a picture needs its encoder: start with --mmproj FILE.gguf");
    if (!prompt_pictures_add(&c->pictures, name, &no)) return 0;
    show_error(&no); /* a misspelt name does not end a conversation */
    return 0;
}

static int converse(struct chat *c, struct err *why)
{
    bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    for (;;) {
        char *line = NULL;
        if (terminal) fputs("> ", stderr);
        TRY(read_line(c, &line, why));
        if (!line || (terminal && !*line)) return 0;
        if (!strncmp(line, "/image ", 7)) TRY(show(c, line + 7, why));
        else if (*line) TRY(turn(c, line, why));
    }
}

static int prepare(struct chat *c, struct err *why)
{
    struct session *s = &c->session;
    struct options asked = *s->options;
    const struct model_config *config = &s->pipe->model->config;
    struct capacity capacity;
    if (!asked.context) asked.context = config->context < CHAT_CONTEXT ? config->context : CHAT_CONTEXT;
    TRY(capacity_for(&capacity, &asked, config, &(struct load){.prompts = 1, .whole = typed_prompt_picture_rows(s)}, why));
    if (s->pipe->encoder) c->pictures.side = s->pipe->encoder->config.image;
    c->pictures.pan_and_scan = s->options->pan_and_scan;
    c->in.room = LINE_MOST;
    c->in.text = malloc(c->in.room);
    if (!c->in.text) return fail(why, E_MEMORY, "no memory for a line");
    return session_launch(s, &capacity, why);
}

int command_chat(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct chat c = {0};
    int code = session_open(&c.session, o, wish, mpi, why);
    if (!code) code = prepare(&c, why);
    if (!code) code = converse(&c, why);
    if (!code) code = session_finish(&c.session, why);
    if (c.session.engine) prompt_pictures_take_back(&c.pictures, engine_pictures(c.session.engine));
    session_close(&c.session, code ? why : NULL);
    prompt_pictures_close(&c.pictures);
    picture_spans_free(&c.spans);
    ids_free(&c.ids);
    for (size_t i = 0; i < c.n_turns; i++) free(c.turns[i].text);
    free(c.turns);
    free(c.in.text);
    return code;
}
