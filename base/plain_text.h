/* base/plain_text.h — foreign words on their way to a person.
 *
 * Names in files, of hosts, and what another process says may hold bytes that move a terminal's cursor, run its commands, or turn
 * the order of what is read. Each such character, and each byte that is part of none, becomes a question mark. This is done where
 * lines and tables go out (base/log.c, and plain_page here), so that nobody who puts a name into a sentence has to think of it.
 * An answer of the model, and a result that is data, are not touched. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Whether the character moves, hides or turns what stands on a terminal. Line ends do. */
bool is_steering(uint32_t code);

/* In place; the new length. `lines`: line ends stay. */
size_t plain_text(char *text, size_t n, bool lines);

/* A table: what is printed to the stream goes to `to`, plain, when the page is closed. */
struct plain_page {
    FILE *to, *stream;
    char *text;
    size_t n;
};
FILE *plain_page_open(struct plain_page *p, FILE *to);
void plain_page_close(struct plain_page *p);
