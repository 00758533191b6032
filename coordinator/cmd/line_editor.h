/* coordinator/cmd/line_editor.h — a question typed at a terminal: arrow keys, history, completion, several lines, pastes.
 *
 * What is pasted, or arrives with the end of a line in its middle, is one question and waits for Enter. Lines of one question are typed
 * with Alt-Enter between them, or a backslash at their ends. libedit draws and edits; what it does not do is done here. */
#pragma once

#include "coordinator/cmd/line_reader.h"

#include <stdio.h>

struct line_editor;

/* What could follow a text, as chat_commands_complete. */
typedef char *completer(const char *text, FILE *several);

/* *out is NULL if standard input is no terminal, or there is none to write to. From now on, until line_editor_close, nothing typed is
 * shown but by line_editor_next, and Ctrl-C only asks (base/interrupt.h). */
int line_editor_open(struct line_editor **out, completer *complete, struct err *why);
void line_editor_close(struct line_editor **e);

/* TYPED_NOTHING: Ctrl-C; the second in a row, with nothing typed between, is E_INTERRUPTED. */
int line_editor_next(struct line_editor *e, const struct idle *idle, struct typed *out, struct err *why);
