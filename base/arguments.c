/* base/arguments.c — see arguments.h.
 *
 * getopt_long tells that a word is wrong, not which, and knows neither types nor ranges; hence this table. A mistyped word is
 * compared with every name by the letters to change, add or leave out; one or two are a slip, more are another word. */
#include "base/arguments.h"

#include "base/size_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MOST 32
#define SLIP 2 /* letters */

const char *argument_name(char out[48], const struct argument *a)
{
    snprintf(out, 48, "%s%s", a->name[1] ? "--" : "-", a->name);
    return out;
}

/* ---- which option a word is ---- */

static bool has(const struct arguments *of, const struct argument *a)
{
    return !a->commands || a->commands & of->command;
}

/* What follows the option's name in the word, NULL if it is not this option. */
static const char *behind_name(const struct argument *a, const char *word)
{
    char name[48];
    const size_t n = a->name ? strlen(argument_name(name, a)) : 0;
    if (!n || strncmp(word, name, n)) return NULL;
    const bool number = a->place.kind == ARGUMENT_WHOLE || a->place.kind == ARGUMENT_REAL;
    return !word[n] || word[n] == '=' || (!a->name[1] && number && isdigit((unsigned char)word[n])) ? word + n : NULL;
}

static const struct argument *find(const struct arguments *of, const char *word, const char **behind)
{
    for (size_t i = 0; i < of->rows; i++)
        if (has(of, &of->row[i]) && (*behind = behind_name(&of->row[i], word))) return &of->row[i];
    return NULL;
}

static unsigned letters_apart(const char *a, size_t n, const char *b)
{
    unsigned row[NAME_MOST + 1];
    const size_t m = strlen(b);
    for (unsigned j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 0; i < n; i++) {
        unsigned corner = row[0]++;
        for (size_t j = 0; j < m; j++) {
            const unsigned change = corner + (a[i] != b[j]), above = row[j + 1] + 1, left = row[j] + 1;
            corner = row[j + 1];
            row[j + 1] = change < above ? change : above;
            if (left < row[j + 1]) row[j + 1] = left;
        }
    }
    return row[m];
}

/* The option that was meant, perhaps; NULL if none is near. The beginning of a name is as near as one slip. */
static const struct argument *nearest(const struct arguments *of, const char *word)
{
    const struct argument *best = NULL;
    unsigned least = SLIP + 1;
    word += strspn(word, "-");
    const size_t n = strcspn(word, "=");
    for (size_t i = 0; i < of->rows; i++) {
        const struct argument *a = &of->row[i];
        if (!a->name || !has(of, a) || strlen(a->name) > NAME_MOST) continue;
        unsigned apart = letters_apart(word, n, a->name);
        if (n > 1 && apart > 1 && !strncmp(word, a->name, n)) apart = 1;
        if (apart < least && apart < strlen(a->name)) least = apart, best = a;
    }
    return best;
}

static int unknown(const struct arguments *of, const char *word, struct err *why)
{
    struct arguments all = *of;
    const char *behind;
    char name[48];
    bool words = false;
    all.command = -1;
    if (find(&all, word, &behind)) return fail(why, E_USAGE, "%.100s is an option, but not one of %s", word, of->whose);
    const struct argument *near = nearest(of, word);
    if (near) return fail(why, E_USAGE, "unknown option %.100s: did you mean %s? (--help lists all)", word, argument_name(name, near));
    for (size_t i = 0; i < of->rows; i++) words |= !of->row[i].name && has(of, &of->row[i]);
    return fail(why, E_USAGE, "unknown option \"%.100s\" (--help lists all%s)", word,
                words ? "; a text that begins with - goes behind --" : "");
}

/* ---- values ---- */

static int take_whole(void *to, const struct argument *a, const char *text, struct err *why)
{
    const struct argument_place *p = &a->place;
    const bool hexadecimal = text[0] == '0' && text[1] == 'x' && isxdigit((unsigned char)text[2]);
    const char *at = text;
    char name[48], *end;
    uint64_t n;
    errno = 0;
    if (hexadecimal) n = strtoull(text, &end, 16), at = end;
    if ((!hexadecimal && !read_digits(&at, &n)) || *at || errno || n < p->least || n > p->most)
        return fail(why, E_USAGE, "%s wants a whole number from %" PRIu64 " to %" PRIu64 ", not \"%.60s\"", argument_name(name, a),
                    p->least, p->most, text);
    if (p->bytes == sizeof n) memcpy(to, &n, sizeof n);
    else memcpy(to, &(uint32_t){(uint32_t)n}, sizeof(uint32_t));
    return 0;
}

static int take_real(float *to, const struct argument *a, const char *text, struct err *why)
{
    char name[48], *end;
    const double v = strtod(text, &end);
    if (end == text || *end || !(v >= a->place.low && v <= a->place.high))
        return fail(why, E_USAGE, "%s wants a number from %g to %g, not \"%.60s\"", argument_name(name, a), a->place.low,
                    a->place.high, text);
    *to = (float)v;
    return 0;
}

int argument_choice(const struct argument *a, const char *text, uint32_t *out, struct err *why)
{
    char name[48];
    const size_t n = strlen(text);
    const char *word = a->value;
    for (*out = 0; word; word = strchr(word, '|'), (*out)++) {
        word += *word == '|';
        if (strcspn(word, "|") == n && !strncasecmp(word, text, n)) return 0;
    }
    return fail(why, E_USAGE, "%s wants one of %s, not \"%.60s\"", argument_name(name, a), a->value, text);
}

static int take_choice(bool *to, const struct argument *a, const char *text, struct err *why)
{
    uint32_t which;
    TRY(argument_choice(a, text, &which, why));
    *to = which;
    return 0;
}

static int take(void *into, const struct argument *a, const char *value, struct err *why)
{
    void *to = argument_to(into, a);
    switch (a->place.kind) {
    case ARGUMENT_FLAG: *(bool *)to = true; return 0;
    case ARGUMENT_TEXT: *(const char **)to = value; return 0;
    case ARGUMENT_ONE_OF: return take_choice(to, a, value, why);
    case ARGUMENT_WHOLE: return take_whole(to, a, value, why);
    case ARGUMENT_REAL: return take_real(to, a, value, why);
    case ARGUMENT_OWN: break;
    }
    return a->place.reader(into, a, value, why);
}

/* ---- words, one after the other ---- */

static int take_word(const struct arguments *of, void *into, const char *word, struct err *why)
{
    bool any = false;
    for (size_t i = 0; i < of->rows; i++) {
        const struct argument *a = &of->row[i];
        if (a->name || !has(of, a)) continue;
        if (!*(const char **)argument_to(into, a)) return take(into, a, word, why);
        any = true;
    }
    return fail(why, E_USAGE, "\"%.100s\" is one word too many%s", word,
                any ? "; a text with blanks goes in quotes" : " (--help lists the options)");
}

int arguments_read(const struct arguments *of, void *into, int argc, char *const *argv, struct err *why)
{
    bool words_only = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *behind, *next;
        if (words_only || word[0] != '-' || !word[1]) {
            TRY(take_word(of, into, word, why));
            continue;
        }
        if (!strcmp(word, "--")) {
            words_only = true;
            continue;
        }
        const struct argument *a = find(of, word, &behind);
        if (!a) return unknown(of, word, why);
        if (!a->value && *behind) return fail(why, E_USAGE, "%.100s: this option takes no value", word);
        const bool apart = a->value && !*behind;
        if (apart && i + 1 == argc) return fail(why, E_USAGE, "%s wants a value: %s", word, a->value);
        if (apart && find(of, argv[i + 1], &next))
            return fail(why, E_USAGE, "%s wants a value, and %.100s is an option", word, argv[i + 1]);
        TRY(take(into, a, apart ? argv[++i] : behind + (*behind == '='), why));
    }
    return 0;
}

void arguments_help(const struct arguments *of, FILE *to)
{
    for (size_t i = 0; i < of->rows; i++) {
        const struct argument *a = &of->row[i];
        char left[64], name[48];
        if (!a->name || !a->help || !has(of, a)) continue;
        snprintf(left, sizeof left, "%s %s", argument_name(name, a), a->value ? a->value : "");
        fprintf(to, "  %-24s %s\n", left, a->help);
    }
}
