/* partition/tool/arguments.h — the words of gemmapipe-partition's command line, after the verb. */
#ifndef PARTITION_TOOL_ARGUMENTS_H
#define PARTITION_TOOL_ARGUMENTS_H

#include "base/error.h"

#include <stdint.h>

struct words {
    int at, count;
    char **word;
};

/* If the current word is `option`, takes it and its value; else *value is NULL. */
int take_value(struct words *w, const char *option, const char **value, struct err *why);
int read_number(const char *option, const char *text, uint64_t most, uint64_t *out, struct err *why);
/* Appends to a sentence that is about something which an option changes how to change it; the second call adds nothing. */
void advise_tool(struct err *why);

/* The sentence for a current word that nobody took. */
int unknown_word(const struct words *w, const char *verb, struct err *why);

#endif
