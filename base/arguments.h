/* base/arguments.h — a command line as a table: what each option is called, takes and means, and where its value goes.
 *
 * Written are `--name VALUE` or `--name=VALUE`, and with names of one letter `-n VALUE` or, for numbers, `-n8`. A word that is no
 * option goes to the next row without a name. Behind `--` there are only such words, so one may begin with -; a lone - is
 * one too. A name is never shortened: what is short for one option today would mean two tomorrow. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct argument;

/* Reads `value` into the struct to fill, as a rule at argument_to; a sentence says what was wanted instead. */
typedef int argument_reader(void *into, const struct argument *a, const char *value, struct err *why);

struct argument_place {
    enum { ARGUMENT_FLAG, ARGUMENT_TEXT, ARGUMENT_ONE_OF, ARGUMENT_WHOLE, ARGUMENT_REAL, ARGUMENT_OWN } kind;
    size_t at, bytes;
    uint64_t least, most;
    double low, high;
    argument_reader *reader;
};

struct argument {
    const char *name;  /* without dashes; NULL: words that are no option */
    const char *value; /* what it takes, as help calls it; words with | between are a choice. NULL: nothing */
    int commands;      /* bits, of the commands that have it; 0: all */
    struct argument_place place;
    const char *help;  /* NULL: not listed */
};

static inline void *argument_to(void *into, const struct argument *a)
{
    return (char *)into + a->place.at;
}

/* Places in INTO, which the file with the table defines as the struct to fill. */
#define ARG(field) .at = offsetof(INTO, field), .bytes = sizeof(((INTO *)0)->field)
#define FLAG(field) {.kind = ARGUMENT_FLAG, ARG(field)}                           /* bool: true */
#define TEXT(field) {.kind = ARGUMENT_TEXT, ARG(field)}                           /* const char *, of argv */
#define ONE_OF(field) {.kind = ARGUMENT_ONE_OF, ARG(field)}                       /* bool: is it the second of "one|other" */
#define WHOLE(field, from, to) {.kind = ARGUMENT_WHOLE, ARG(field), .least = from, .most = to}   /* int or unsigned, 4 or 8 bytes */
#define REAL(field, from, to) {.kind = ARGUMENT_REAL, ARG(field), .low = from, .high = to}       /* float */
#define OWN(field, how) {.kind = ARGUMENT_OWN, ARG(field), .reader = how}
#define OWN_RANGE(field, how, from, to) {.kind = ARGUMENT_OWN, ARG(field), .reader = how, .least = from, .most = to}

struct arguments {
    const char *whose; /* the program or the command, for sentences */
    int command;       /* bits: rows with one of them are taken */
    const struct argument *row;
    size_t rows;
};

/* Of one command that shares its table with none. */
#define ARGUMENTS(name, table) (struct arguments){.whose = name, .row = table, .rows = sizeof table / sizeof *table}

/* Fills `into`, which holds the defaults, from the words of argv[0 .. argc). E_USAGE with a sentence that quotes the word. */
int arguments_read(const struct arguments *of, void *into, int argc, char *const *argv, struct err *why);

/* A line for each option that has help. */
void arguments_help(const struct arguments *of, FILE *to);

/* Which of the row's words the text is, in any case; E_USAGE lists them. */
int argument_choice(const struct argument *a, const char *text, uint32_t *out, struct err *why);

/* "-n", "--name": as a sentence calls it. */
const char *argument_name(char out[48], const struct argument *a);
