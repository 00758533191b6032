/* coordinator/cmd/cmd_chat.c — `gemmapipe chat`: questions one after the other, each asked with the whole conversation before it.
 *
 * What cannot be asked (too long for the context, a picture that is not there, no such command) is said and dropped, and the
 * conversation goes on: nobody should lose a loaded model to a slip of the fingers. Only the run's own end ends it. */
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/chat_commands.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/conversation.h"
#include "coordinator/cmd/line_editor.h"
#include "coordinator/cmd/stream.h"
#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/text/utf8.h"

#include "base/interrupt.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHAT_CONTEXT 4096

struct chat {
    struct options options; /* the command line's, and the context that follows from it */
    struct session session;
    struct conversation *conversation;
    struct line_editor *editor; /* at a terminal */
    struct line_reader *lines;  /* elsewhere */
    bool unseen;    /* a picture could not be read, and the question about it has not come yet */
    size_t refused; /* lines that could not be served */
};

static int keep_workers(void *user, struct err *why)
{
    struct chat *c = user;
    return fleet_turn(c->session.fleet, 0, why);
}

static void refuse(struct chat *c, struct err *no, const char *more)
{
    advise(no);
    err_add(no, more);
    show_error(no);
    c->refused++;
}

/* True if only this question was refused, and not the whole run is over. */
static bool can_go_on(struct chat *c, int code)
{
    struct err over;
    return code == E_USAGE && !fleet_turn(c->session.fleet, 0, &over);
}

static int take_answer(struct chat *c, const struct collected *answer, struct err *why)
{
    if (answer->ended.how == FINISH_FAILED) {
        struct err no = answer->why;
        conversation_drop(c->conversation);
        refuse(c, &no, "; this question is dropped");
        return 0;
    }
    if (answer->ended.how == FINISH_CONTEXT) log_info("the context is full: the answer ends here");
    if (interrupt_asked()) {
        fputs(answer->ids.n ? "(stopped; another Ctrl-C ends the conversation)\n"
                            : "(stopped before it began, so the question is dropped; another Ctrl-C ends the conversation)\n", stderr);
        if (!answer->ids.n) return conversation_drop(c->conversation), 0;
    }
    return conversation_answered(c->conversation, answer, why);
}

static int question(struct chat *c, const char *text, size_t n, struct err *why)
{
    struct collected answer = {0};
    struct ask ask;
    if (c->unseen) {
        c->unseen = false;
        fail(why, E_USAGE, "this question is dropped, because its picture was not there to be seen");
        return refuse(c, why, c->editor ? "; ask again to ask without it" : ""), 0;
    }
    int code = conversation_ask(c->conversation, text, n, &ask, why);
    if (code) return can_go_on(c, code) ? refuse(c, why, "; this question is dropped"), 0 : code;
    code = stream_answer(&c->session, &ask, &answer, why);
    if (!code) {
        code = take_answer(c, &answer, why);
    } else if (can_go_on(c, code)) {
        conversation_drop(c->conversation);
        refuse(c, why, "; this question is dropped");
        code = 0;
    }
    collected_free(&answer);
    return code;
}

/* Who sees the error names the right file in its place; in a script nobody does. */
static void show(struct chat *c, const char *name)
{
    struct err no = {0};
    if (conversation_show(c->conversation, name, &no)) {
        refuse(c, &no, "; the next question is dropped, unless a picture comes before it");
        c->unseen = true;
    } else if (c->editor) {
        c->unseen = false;
    }
}

static int take_line(struct chat *c, const struct typed *line, bool *over, struct err *why);

/* "/image FILE" with the question under it, as it is pasted. False if it is no such text. */
static bool take_picture_and_question(struct chat *c, const struct typed *line, bool *over, int *code, struct err *why)
{
    const char *end = memchr(line->text, '\n', line->n);
    if (!end || line->n < 7 || strncasecmp(line->text, "/image ", 7)) return false;
    const struct typed first = {.what = line->what, .text = line->text, .n = (size_t)(end - line->text)};
    const struct typed rest = {.what = line->what, .text = end + 1, .n = line->n - first.n - 1};
    *code = take_line(c, &first, over, why);
    if (!*code) *code = take_line(c, &rest, over, why);
    return true;
}

/* *over: this was the command that ends it. */
static int take_line(struct chat *c, const struct typed *line, bool *over, struct err *why)
{
    enum chat_command command;
    char *argument;
    const char *words = line->text;
    size_t n = line->n;
    struct err no = {0};
    utf8_trim(&words, &n);
    int code = 0;
    if (!n || take_picture_and_question(c, line, over, &code, why)) return code;
    if (chat_command_read(&command, &argument, line->text, line->n, &no)) return refuse(c, &no, ""), 0;
    switch (command) {
    case CHAT_QUESTION: return question(c, line->text, line->n, why);
    case CHAT_IMAGE: show(c, argument); break;
    case CHAT_HELP: chat_commands_help(stderr); break;
    case CHAT_BYE: *over = true; break;
    }
    free(argument);
    return 0;
}

static int next_line(struct chat *c, struct typed *line, struct err *why)
{
    const struct idle idle = {keep_workers, c};
    return c->editor ? line_editor_next(c->editor, &idle, line, why) : line_reader_next(c->lines, &idle, line, why);
}

static int converse(struct chat *c, struct err *why)
{
    for (bool over = false; !over;) {
        struct typed line;
        TRY(next_line(c, &line, why));
        if (line.what == TYPED_END) break;
        if (line.what == TYPED_TEXT) TRY(take_line(c, &line, &over, why));
        if (line.what == TYPED_TOO_LONG) {
            struct err no;
            fail(&no, E_USAGE, "a line of more than %u bytes is no question, and is dropped", LINE_MOST);
            refuse(c, &no, "");
        }
    }
    return 0;
}

static int prepare(struct chat *c, struct err *why)
{
    struct session *s = &c->session;
    const struct model_config *config = &s->pipe->model->config;
    struct capacity capacity;
    if (!c->options.context) c->options.context = config->context < CHAT_CONTEXT ? config->context : CHAT_CONTEXT;
    TRY(capacity_for(&capacity, &c->options, config, &(struct load){.prompts = 1, .whole = typed_prompt_picture_rows(s)}, why));
    s->verify_idle_ms = VERIFY_IDLE_MS;
    TRY(session_launch(s, &capacity, why));
    TRY(conversation_open(&c->conversation, s, why));
    TRY(line_editor_open(&c->editor, chat_commands_complete, why));
    if (!c->editor) return line_reader_open(&c->lines, why);
    log_info("/help lists the commands, Ctrl-D ends");
    return 0;
}

int command_chat(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct chat c = {.options = *o};
    int code = session_open(&c.session, &c.options, wish, mpi, why);
    if (!code) code = prepare(&c, why);
    if (!code) code = converse(&c, why);
    if (!code) code = session_finish(&c.session, why);
    const bool reads_lines = c.lines;
    line_editor_close(&c.editor);
    line_reader_close(&c.lines);
    conversation_close(&c.conversation);
    session_close(&c.session, code ? why : NULL);
    if (!code && c.refused && reads_lines) code = fail(why, E_PARTLY, "%zu of the lines could not be served", c.refused);
    return code;
}
