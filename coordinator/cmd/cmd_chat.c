/* coordinator/cmd/cmd_chat.c — `gemmapipe chat`: turns on a terminal. Keys and values of earlier turns stay with the workers, so
 * a turn costs only its own tokens. When the context is full the oldest turns are forgotten and the rest is read anew.
 * A line "/image FILE" puts a picture in front of the next question. */
#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/cluster/remedy.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/text/text_writer.h"
#include "coordinator/text/prompt.h"
#include "coordinator/report/report.h"
#include "coordinator/report/trace.h"

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

struct said { /* one turn: its pictures stand before its text */
    enum speaker who;
    char *text; /* owned */
    size_t n;
    size_t page, pages; /* of the album */
};

struct chat {
    struct pipeline *pipe;
    struct server *server;
    const struct options *options;
    struct request request;
    bool begun;          /* the request is with the server */
    struct said *turns;
    size_t n_turns, first; /* turns before `first` are forgotten */
    struct album album;
    size_t shown;          /* pages of it that belong to turns; those after wait for the next question */
    uint64_t questions;
    struct line_reader in;
};

/* ---- lines from stdin ---- */

static int wait_for_input(struct chat *c, struct err *why)
{
    for (;;) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        int n = poll(&in, 1, 300);
        struct event e;
        TRY(roster_next(c->pipe->roster, &e, 0, why));
        event_free(&e);
        TRY(remedy_or_fail(&e, why));
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
    struct said *more = realloc(c->turns, (c->n_turns + 1) * sizeof *more);
    if (more) c->turns = more;
    char *copy = malloc(n + 1);
    if (!more || !copy) {
        free(copy);
        return fail(why, E_MEMORY, "no memory for another turn");
    }
    memcpy(copy, text, n);
    copy[n] = 0;
    size_t pages = who == SPEAKER_USER ? c->album.n - c->shown : 0;
    c->turns[c->n_turns++] = (struct said){who, copy, n, c->shown, pages};
    c->shown += pages;
    return 0;
}

static uint32_t rows_of_picture(const struct chat *c)
{
    return c->pipe->encoder ? vision_tokens(&c->pipe->encoder->config) : 0;
}

/* The turn's parts into `parts`, which has room for them; returns how many. */
static size_t contents(const struct chat *c, const struct said *t, struct content *parts)
{
    size_t n = 0;
    for (size_t i = 0; i < t->pages; i++) parts[n++] = album_content(&c->album, t->page + i);
    parts[n++] = (struct content){.text = t->text, .n = t->n};
    return n;
}

static int remember_answer(struct chat *c, struct err *why)
{
    char *text = 0;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return fail(why, E_MEMORY, "no memory for the answer");
    struct writer w = {.tokens = c->pipe->tokens, .to = f};
    const struct request *r = &c->request;
    size_t end = r->ids.n - (r->finish == FINISH_STOP);
    for (size_t i = r->prompt_rows; i < end; i++) writer_token(&w, r->ids.id[i]);
    writer_end(&w);
    fclose(f);
    int code = remember(c, SPEAKER_MODEL, text, n, why);
    free(text);
    return code;
}

/* The remembered turns as one prompt. */
static int render(const struct chat *c, struct request *r, struct err *why)
{
    size_t n = 0, parts = 0, turns = c->n_turns - c->first;
    struct chat_message *messages = calloc(turns + 1, sizeof *messages);
    struct content *content = calloc(turns + c->album.n + 1, sizeof *content);
    if (!messages || !content) {
        free(messages);
        free(content);
        return fail(why, E_MEMORY, "no memory for the turns");
    }
    const char *system = c->options->system;
    if (system) {
        content[parts] = (struct content){.text = system, .n = strlen(system)};
        messages[n++] = (struct chat_message){SPEAKER_SYSTEM, &content[parts++], 1};
    }
    for (size_t i = c->first; i < c->n_turns; i++) {
        size_t k = contents(c, &c->turns[i], &content[parts]);
        messages[n++] = (struct chat_message){c->turns[i].who, &content[parts], k};
        parts += k;
    }
    int code = prompt_messages(c->pipe->tokens, messages, n, rows_of_picture(c), &r->ids, &r->spans, why);
    free(messages);
    free(content);
    return code;
}

/* Forgets the oldest pairs of turns until the prompt fits and leaves room for an answer. */
static int whole_prompt(struct chat *c, struct err *why)
{
    struct request *r = &c->request;
    uint32_t context = c->pipe->plan.capacity.context, room = c->options->most < context / 4 ? c->options->most : context / 4;
    for (;; c->first += 2) {
        serve_forget(c->server, r);
        TRY(render(c, r, why));
        if (r->ids.n + room <= context || c->first + 2 >= c->n_turns) break;
    }
    return r->spans.n ? album_bind(&c->album, serve_pictures(c->server), c->turns[c->first].page, r, 0, why) : 0;
}

static int begin_again(struct chat *c, struct err *why)
{
    struct request *r = &c->request;
    if (c->begun) {
        log_info("the conversation no longer fits the context of %u: its oldest turns are forgotten", c->pipe->plan.capacity.context);
        TRY(serve_drop(c->server, r, why));
        c->begun = false;
    }
    TRY(whole_prompt(c, why));
    TRY(serve_add(c->server, r, why));
    c->begun = true;
    return 0;
}

static int append(struct chat *c, const struct said *t, bool ended, struct err *why)
{
    struct request *r = &c->request;
    size_t before = r->spans.n;
    struct content *parts = calloc(t->pages + 1, sizeof *parts);
    if (!parts) return fail(why, E_MEMORY, "no memory for a turn");
    struct chat_message user = {SPEAKER_USER, parts, contents(c, t, parts)};
    int code = prompt_next_message(c->pipe->tokens, ended, &user, rows_of_picture(c), &r->ids, &r->spans, why);
    free(parts);
    if (code || r->spans.n == before) return code;
    return album_bind(&c->album, serve_pictures(c->server), t->page, r, before, why);
}

/* Appends the new turn to what the workers hold, or begins again where it does not fit. */
static int go_on(struct chat *c, struct err *why)
{
    struct request *r = &c->request;
    int32_t end_of_turn = tokenizer_specials(c->pipe->tokens).end_of_turn;
    bool ended = r->finish == FINISH_STOP && (int32_t)r->ids.id[r->ids.n - 1] == end_of_turn;
    if (r->finish == FINISH_STOP && !ended) r->ids.n--; /* <eos> is no part of a conversation */
    TRY(append(c, &c->turns[c->n_turns - 1], ended, why));
    if (r->ids.n + c->options->most / 4 <= c->pipe->plan.capacity.context) return serve_more(c->server, r, why);
    c->first += 2;
    return begin_again(c, why);
}

static void stream(struct request *r, uint32_t id, void *user)
{
    (void)r;
    writer_token(user, id);
}

static int turn(struct chat *c, const char *text, struct err *why)
{
    size_t n = strlen(text);
    struct writer w = {.tokens = c->pipe->tokens, .to = stdout};
    c->request.user = &w;
    c->request.key = c->questions++;
    TRY(remember(c, SPEAKER_USER, text, n, why));
    if (c->begun) TRY(go_on(c, why));
    else TRY(begin_again(c, why));
    TRY(serve_run(c->server, 0, why));
    writer_end(&w);
    putchar('\n');
    fflush(stdout);
    return remember_answer(c, why);
}

static int show(struct chat *c, const char *name, struct err *why)
{
    struct err no = {0};
    while (*name == ' ') name++;
    if (!c->pipe->encoder) return fail(why, E_USAGE, "a picture needs its encoder: start with --mmproj FILE.gguf");
    if (!album_add(&c->album, name, &no)) return 0;
    show_error(&no); /* a misspelt name does not end a conversation */
    return 0;
}

static int converse(struct chat *c, struct err *why)
{
    bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    for (;;) {
        char *line = 0;
        if (terminal) fputs("> ", stderr);
        TRY(read_line(c, &line, why));
        if (!line || (terminal && !*line)) return 0;
        if (!strncmp(line, "/image ", 7)) TRY(show(c, line + 7, why));
        else if (*line) TRY(turn(c, line, why));
    }
}

static int prepare(struct chat *c, struct err *why)
{
    struct options asked = *c->options;
    const struct model_config *config = &c->pipe->model->config;
    struct capacity capacity;
    if (!asked.context) asked.context = config->context < CHAT_CONTEXT ? config->context : CHAT_CONTEXT;
    TRY(capacity_for(&capacity, &asked, config, 0, 0, 1, rows_of_picture(c), why));
    TRY(pipeline_launch(c->pipe, &capacity, why));
    if (c->pipe->encoder) c->album = (struct album){.side = c->pipe->encoder->config.image, .pan_and_scan = c->options->pan_and_scan};
    c->in.room = LINE_MOST;
    c->in.text = malloc(c->in.room);
    if (!c->in.text) return fail(why, E_MEMORY, "no memory for a line");
    return serve_open(&c->server, c->pipe, why);
}

int command_chat(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct chat c = {.options = o};
    c.request = (struct request){.most = o->most, .sampling = o->sampling, .keep = true, .on_token = stream};
    int code = open_pipeline(&c.pipe, o, wish, mpi, why);
    if (!code) code = prepare(&c, why);
    if (!code) code = converse(&c, why);
    if (!code && o->report) code = report_print(c.pipe, c.server, &c.request, 1, why);
    if (!code) code = trace_finish(c.pipe, why);
    serve_forget(c.server, &c.request);
    album_close(&c.album, c.server ? serve_pictures(c.server) : 0);
    serve_close(&c.server);
    pipeline_close(&c.pipe, code ? why : 0);
    for (size_t i = 0; i < c.n_turns; i++) free(c.turns[i].text);
    free(c.turns);
    free(c.in.text);
    return code;
}
