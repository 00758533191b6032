/* coordinator/cmd/chat_commands.h — lines of a chat that are meant for the program and not for the model.
 *
 * A command is one line that begins with a slash. What has several lines, or a blank before the slash, is a question; "/image FILE"
 * may stand above one. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdio.h>

enum chat_command { CHAT_QUESTION, CHAT_IMAGE, CHAT_HELP, CHAT_BYE };

/* *argument: what follows the word, without white space around it and without quotes; the caller frees it, it may be NULL.
 * E_USAGE: no command is called that, or it wants an argument and has none; the sentence lists them. */
int chat_command_read(enum chat_command *out, char **argument, const char *text, size_t n, struct err *why);

void chat_commands_help(FILE *to);

/* What could follow `text`, of a command or the name of a file: the part that all possibilities share, which the caller frees, or NULL
 * if there is none. Where there are several and nothing is shared they are printed to `several`. */
char *chat_commands_complete(const char *text, FILE *several);
