/* coordinator/cmd/line_editor.c — see line_editor.h.
 *
 * libedit asks us for characters, so the workers hear from us while somebody thinks, and calls us back for the keys that are bound to
 * functions of ours. Two of its habits are avoided. Its terminal modes show what is typed during an answer, and keep no more than 4095
 * bytes of it: ours do not (see modes). Its history loses what is beyond 1024 characters of an unfinished line: ours is chat_history.h. */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "coordinator/cmd/line_editor.h"

#include "base/interrupt.h"
#include "base/plain_text.h"
#include "coordinator/cmd/chat_history.h"
#include "coordinator/cmd/terminal.h"

#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define TOGETHER_MS 20 /* nobody types the next key so soon after Enter */
#define CTRL_C 3
#define CTRL_D 4
#define PASTE_ENDS L"\033[201~"
#define PASTE_END_LENGTH 6
#define ACCEPT L"\033[9999~" /* no key: what our own Enter types for libedit to end the line */

struct line_editor {
    EditLine *el;
    FILE *to;
    completer *complete;
    struct chat_history *history;
    size_t back;     /* steps in the history; 0: the line itself */
    char *unfinished; /* the line itself while another is shown */
    const struct idle *idle;
    struct err *why;
    int code;        /* why libedit was told that the input has ended; 0: it has */
    char bytes[4096];
    size_t at, n;    /* [at, n) are read and not used yet */
    mbstate_t state; /* of the character they are in */
    bool pasting, asked, cleared; /* asked: the Ctrl-C that was heard of was told */
    const char *refused; /* what is wrong with the paste */
};

static char sign[] = "> ";

static struct line_editor *of(EditLine *el)
{
    void *e;
    el_get(el, EL_CLIENTDATA, &e);
    return e;
}

/* ---- characters ---- */

/* Is there more within so long? Then it is read, if nothing was. */
static bool more_comes(struct line_editor *e, int ms)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (e->at < e->n) return true;
    if (poll(&in, 1, ms) <= 0) return false;
    const ssize_t k = read(STDIN_FILENO, e->bytes, sizeof e->bytes);
    e->at = 0;
    e->n = k > 0 ? (size_t)k : 0;
    return k > 0;
}

/* Rows between the prompt and the cursor, as the terminal has laid them out for its new width. */
static int rows_above(EditLine *el)
{
    const LineInfoW *line = el_wline(el);
    int columns = 80, rows = 0, column = (int)strlen(sign);
    el_get(el, EL_GETTC, "co", &columns, NULL);
    for (const wchar_t *at = line->buffer; at < line->cursor; at++) {
        const int width = wcwidth(*at);
        column += width > 0 ? width : 1;
        if (*at != '\n' && column < columns) continue;
        rows++;
        column = 0;
    }
    return rows;
}

/* libedit would remember a cursor that may be outside of the window now, so all is drawn anew. */
static void follow_the_window(EditLine *el)
{
    el_resize(el);
    for (int i = rows_above(el); i > 0; i--) el_set(el, EL_ECHOTC, "-s", "up", NULL);
    el_set(el, EL_ECHOTC, "-s", "cr", NULL);
    el_set(el, EL_ECHOTC, "-s", "cd", NULL);
    el_set(el, EL_REFRESH);
}

static void follow_the_terminal(struct line_editor *e)
{
    if (terminal_resized()) follow_the_window(e->el);
    if (terminal_came_back()) el_set(e->el, EL_REFRESH);
}

/* 1, or 0 at the end of the input or on an error. A Ctrl-C comes as a signal from elsewhere and as a byte from the keyboard. */
static int next_byte(struct line_editor *e, char *byte)
{
    for (int ready = 0;;) {
        if (interrupt_asked() && !e->asked) {
            e->asked = true;
            *byte = CTRL_C;
            return 1;
        }
        if (e->at == e->n) {
            follow_the_terminal(e);
            e->code = stdin_wait(e->idle, &ready, e->why);
            follow_the_terminal(e); /* before what was typed into it as it is now */
            if (e->code || (ready && !more_comes(e, 0))) return 0;
            continue;
        }
        *byte = e->bytes[e->at++];
        if (*byte == CTRL_C && !(e->pasting && more_comes(e, TOGETHER_MS))) {
            raise(SIGINT);
            continue;
        }
        interrupt_forget();
        e->asked = false;
        return 1;
    }
}

static int next_character(EditLine *el, wchar_t *c)
{
    struct line_editor *e = of(el);
    for (char byte; next_byte(e, &byte);) {
        const bool first = mbsinit(&e->state);
        const size_t k = mbrtowc(c, &byte, 1, &e->state);
        if (k == (size_t)-2) continue;
        if (k != (size_t)-1) return 1;
        if (!first && byte != CTRL_C) e->at--; /* it may begin another */
        memset(&e->state, 0, sizeof e->state);
        *c = 0xFFFD;
        return 1;
    }
    return 0;
}

/* ---- keys ---- */

static unsigned char accept_line(EditLine *el)
{
    el_wpush(el, ACCEPT);
    return CC_NORM;
}

static unsigned char on_newline(EditLine *el, wint_t key)
{
    (void)key;
    el_winsertstr(el, L"\n");
    return CC_REFRESH;
}

static unsigned char on_enter(EditLine *el, wint_t key)
{
    struct line_editor *e = of(el);
    bool more = more_comes(e, TOGETHER_MS);
    if (more && key == '\r' && e->bytes[e->at] == '\n') {
        e->at++;
        more = more_comes(e, TOGETHER_MS);
    }
    if (more && e->bytes[e->at] != CTRL_C && e->bytes[e->at] != CTRL_D) return on_newline(el, key);
    const LineInfoW *line = el_wline(el);
    if (line->cursor != line->lastchar || line->cursor == line->buffer || line->cursor[-1] != '\\') return accept_line(el);
    el_deletestr(el, 1);
    return on_newline(el, key);
}

static unsigned char on_ctrl_c(EditLine *el, wint_t key)
{
    (void)key;
    of(el)->cleared = true;
    return accept_line(el);
}

/* To all that were started with us, as the terminal itself would. */
static unsigned char on_ctrl_z(EditLine *el, wint_t key)
{
    (void)el, (void)key;
    kill(0, SIGTSTP);
    return CC_NORM;
}

/* Terminals send a carriage return for the end of a line. */
static size_t with_plain_ends(wchar_t *text, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n') continue;
        text[kept++] = text[i] == '\r' ? '\n' : text[i];
    }
    return kept;
}

/* Fills `text`, which has room for LINE_MOST, up to the mark of the end; false if there is none, or a Ctrl-C came. */
static bool take_paste(struct line_editor *e, wchar_t *text, size_t *n)
{
    wchar_t c;
    for (*n = 0; el_wgetc(e->el, &c) == 1;) {
        if (c == CTRL_C && e->asked) return false;
        if (!c) e->refused = "holds a byte that is zero";
        if (*n == LINE_MOST) {
            e->refused = "is too long";
            wmemmove(text, text + LINE_MOST - PASTE_END_LENGTH, *n = PASTE_END_LENGTH);
        }
        text[(*n)++] = c;
        if (*n < PASTE_END_LENGTH || wmemcmp(text + *n - PASTE_END_LENGTH, PASTE_ENDS, PASTE_END_LENGTH) != 0) continue;
        *n = with_plain_ends(text, *n - PASTE_END_LENGTH);
        return true;
    }
    return false;
}

static unsigned char on_paste(EditLine *el, wint_t key)
{
    struct line_editor *e = of(el);
    wchar_t *text = malloc((LINE_MOST + 1) * sizeof *text);
    size_t n;
    if (!text) return CC_ERROR;
    e->pasting = true;
    const bool whole = take_paste(e, text, &n);
    e->pasting = false;
    text[n] = 0;
    if (whole && !e->refused) el_winsertstr(el, text);
    free(text);
    if (whole && e->refused) return accept_line(el);
    return whole ? CC_REFRESH : on_ctrl_c(el, key);
}

static unsigned char on_tab(EditLine *el, wint_t key)
{
    (void)key;
    struct line_editor *e = of(el);
    const LineInfo *line = el_line(el);
    char *text = strndup(line->buffer, (size_t)(line->cursor - line->buffer)), *list = NULL;
    size_t n = 0;
    FILE *several = open_memstream(&list, &n);
    char *part = text && several ? e->complete(text, several) : NULL;
    if (several) fclose(several);
    if (part) el_insertstr(el, part);
    else if (n) fprintf(e->to, "\n%.*s", (int)plain_text(list, n, true), list), el_set(el, EL_REFRESH);
    const bool found = part || n;
    free(part);
    free(list);
    free(text);
    return found ? CC_REFRESH : CC_ERROR;
}

/* ---- up and down: the lines of a question, and beyond them the history ---- */

static void replace_line(EditLine *el, const char *text)
{
    const LineInfoW *line = el_wline(el);
    const int n = (int)(line->lastchar - line->buffer);
    el_cursor(el, n);
    el_deletestr(el, n);
    if (*text) el_insertstr(el, text);
}

/* So many steps back, 0: to the line itself. */
static unsigned char show(struct line_editor *e, size_t steps)
{
    if (e->back == 0) {
        const LineInfo *line = el_line(e->el);
        free(e->unfinished);
        e->unfinished = strndup(line->buffer, (size_t)(line->lastchar - line->buffer));
    }
    e->back = steps;
    replace_line(e->el, steps ? chat_history_back(e->history, steps) : e->unfinished ? e->unfinished : "");
    return CC_REFRESH;
}

static unsigned char go_back(EditLine *el, bool further)
{
    struct line_editor *e = of(el);
    if (e->back == (further ? chat_history_size(e->history) : 0)) return CC_ERROR;
    return show(e, further ? e->back + 1 : e->back - 1);
}

/* The next older line that holds what was typed. */
static unsigned char on_ctrl_r(EditLine *el, wint_t key)
{
    (void)key;
    struct line_editor *e = of(el);
    const LineInfo *line = el_line(el);
    char *typed = e->back && e->unfinished ? strdup(e->unfinished) : strndup(line->buffer, (size_t)(line->lastchar - line->buffer));
    size_t steps = e->back + 1;
    while (typed && steps <= chat_history_size(e->history) && !strstr(chat_history_back(e->history, steps), typed)) steps++;
    const bool found = typed && steps <= chat_history_size(e->history);
    free(typed);
    return found ? show(e, steps) : CC_ERROR;
}

static const wchar_t *start_of_line(const LineInfoW *all, const wchar_t *at)
{
    while (at > all->buffer && at[-1] != '\n') at--;
    return at;
}

static const wchar_t *end_of_line(const LineInfoW *all, const wchar_t *at)
{
    while (at < all->lastchar && *at != '\n') at++;
    return at;
}

/* The column of the cursor in the line that begins at `start`, or its end. */
static unsigned char move_to(EditLine *el, const LineInfoW *all, const wchar_t *start)
{
    const long column = all->cursor - start_of_line(all, all->cursor), length = end_of_line(all, start) - start;
    el_cursor(el, (int)(start + (column < length ? column : length) - all->cursor));
    return CC_CURSOR;
}

static unsigned char on_up(EditLine *el, wint_t key)
{
    (void)key;
    const LineInfoW *all = el_wline(el);
    const wchar_t *start = start_of_line(all, all->cursor);
    return start == all->buffer ? go_back(el, true) : move_to(el, all, start_of_line(all, start - 1));
}

static unsigned char on_down(EditLine *el, wint_t key)
{
    (void)key;
    const LineInfoW *all = el_wline(el);
    const wchar_t *end = end_of_line(all, all->cursor);
    return end == all->lastchar ? go_back(el, false) : move_to(el, all, end + 1);
}

/* ---- opening and closing ---- */

static char *prompt(EditLine *el)
{
    (void)el;
    return sign;
}

static const struct {
    const wchar_t *name;
    unsigned char (*call)(EditLine *el, wint_t key);
    const wchar_t *keys[4];
} ours[] = {
    {L"gp-enter", on_enter, {L"^M", L"^J"}},
    {L"gp-newline", on_newline, {L"\\e^M", L"\\e^J"}},
    {L"gp-ctrl-c", on_ctrl_c, {L"^C"}},
    {L"gp-ctrl-z", on_ctrl_z, {L"^Z"}},
    {L"gp-paste", on_paste, {L"\\e[200~"}},
    {L"gp-tab", on_tab, {L"^I"}},
    {L"gp-ctrl-r", on_ctrl_r, {L"^R"}},
    {L"gp-up", on_up, {L"^P", L"\\e[A", L"\\eOA"}},
    {L"gp-down", on_down, {L"^N", L"\\e[B", L"\\eOB"}},
};

static const char *const theirs[][2] = {
    {"\\e[9999~", "ed-newline"},    {"\\e[3~", "ed-delete-next-char"},  {"\\e[1~", "ed-move-to-beg"}, {"\\e[4~", "ed-move-to-end"},
    {"\\e[1;5C", "em-next-word"},   {"\\e[1;5D", "ed-prev-word"},       {"^W", "ed-delete-prev-word"}, {"^U", "vi-kill-line-prev"},
};

static void bind_keys(EditLine *el)
{
    el_set(el, EL_EDITOR, "emacs");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        el_wset(el, EL_ADDFN, ours[i].name, L"see line_editor.c", ours[i].call); /* el_set would never free its copies */
        for (const wchar_t *const *key = ours[i].keys; *key; key++) el_wset(el, EL_BIND, *key, ours[i].name, NULL);
    }
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) el_set(el, EL_BIND, theirs[i][0], theirs[i][1], NULL);
}

/* -d: while a line is edited; -x: during an answer. Keys come as they are, and what comes is neither shown nor cut into lines by the
 * system. Ctrl-C is a signal during an answer only: on a signal the system throws away what was typed. */
static void modes(EditLine *el)
{
    el_set(el, EL_SETTY, "-d", "-isig", "-ixon", "-inlcr", "-icrnl", NULL);
    el_set(el, EL_SETTY, "-x", "-icanon", "-echo", "-icrnl", "quit=", NULL);
}

/* Standard error, or where it goes into a file the terminal itself. */
static FILE *open_terminal(void)
{
    const int fd = !isatty(STDIN_FILENO) ? -1 : isatty(STDERR_FILENO) ? dup(STDERR_FILENO) : open("/dev/tty", O_WRONLY | O_CLOEXEC);
    FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && !to) close(fd);
    return to;
}

int line_editor_open(struct line_editor **out, completer *complete, struct err *why)
{
    FILE *to = open_terminal();
    *out = NULL;
    if (!to) return 0;
    if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, ""); /* of a terminal everywhere; libedit asks the locale */
    terminal_open(fileno(to));
    struct line_editor *e = *out = calloc(1, sizeof *e);
    EditLine *el = e ? el_init("gemmapipe", stdin, to, to) : NULL;
    if (!el) {
        terminal_close();
        fclose(to);
        free(e);
        *out = NULL;
        return fail(why, E_MEMORY, "no memory for a line");
    }
    *e = (struct line_editor){.el = el, .to = to, .complete = complete, .history = chat_history_open()};
    el_set(el, EL_CLIENTDATA, e);
    el_set(el, EL_GETCFN, next_character);
    el_set(el, EL_PROMPT, prompt);
    bind_keys(el);
    modes(el);
    interrupt_ask_first(0);
    return 0;
}

void line_editor_close(struct line_editor **pe)
{
    struct line_editor *e = *pe;
    *pe = NULL;
    if (!e) return;
    el_end(e->el);
    terminal_close();
    chat_history_close(&e->history);
    fclose(e->to);
    free(e->unfinished);
    free(e);
}

static bool only_blanks(const char *text)
{
    return !text[strspn(text, " \t\n")];
}

int line_editor_next(struct line_editor *e, const struct idle *idle, struct typed *out, struct err *why)
{
    int n = 0;
    e->idle = idle;
    e->why = why;
    e->code = 0;
    e->back = 0;
    e->cleared = false;
    e->refused = NULL;
    e->asked = interrupt_asked();
    terminal_came_back();
    char *text = (char *)el_gets(e->el, &n); /* libedit's own, to be written to by us alone */
    *out = (struct typed){.what = TYPED_NOTHING};
    if (!text) fputc('\n', e->to);
    if (e->cleared) fputs("(Ctrl-D or /bye ends the conversation, another Ctrl-C too)\n", e->to);
    if (e->refused) fprintf(e->to, "(what was pasted %s, and was not taken)\n", e->refused);
    fflush(e->to);
    if (e->code || e->cleared || e->refused) return e->code;
    if (!text) out->what = TYPED_END;
    if (!text) return 0;
    if (n > 0 && text[n - 1] == '\n') text[--n] = 0;
    *out = (struct typed){.what = n <= (int)LINE_MOST ? TYPED_TEXT : TYPED_TOO_LONG, .text = text, .n = (size_t)n};
    if (!only_blanks(text)) chat_history_add(e->history, text);
    return 0;
}
