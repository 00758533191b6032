/* coordinator/cmd/chat_commands.c — see chat_commands.h. */
#include "coordinator/cmd/chat_commands.h"

#include "coordinator/text/utf8.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *word, *argument, *help;
    enum chat_command command;
} commands[] = {
    {"/image", "FILE", "shows the model a picture before the next question; may be repeated", CHAT_IMAGE},
    {"/help", NULL, "this list", CHAT_HELP},
    {"/bye", NULL, "ends the conversation, as Ctrl-D does; /exit and /quit too", CHAT_BYE},
    {"/exit", NULL, NULL, CHAT_BYE},
    {"/quit", NULL, NULL, CHAT_BYE},
};
#define COMMANDS (sizeof commands / sizeof *commands)

void chat_commands_help(FILE *to)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            fprintf(to, "  %-7s%-6s%s\n", commands[i].word, commands[i].argument ? commands[i].argument : "", commands[i].help);
    fputs("A question that begins with a slash is typed with a blank before it.\n", to);
}

static int refuse(const char *word, size_t n, const char *what, struct err *why)
{
    return fail(why, E_USAGE, "%.*s %s; there are /image FILE, /help and /bye, and a question that begins with a slash is typed with a "
                "blank before it", n < 40 ? (int)n : 40, word, what);
}

static int take_argument(char **argument, const char *text, size_t n, struct err *why)
{
    utf8_trim(&text, &n);
    if (n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text) text++, n -= 2;
    if (memchr(text, 0, n)) return fail(why, E_USAGE, "the name of a file holds a byte that is zero");
    *argument = n ? strndup(text, n) : NULL;
    return n && !*argument ? fail(why, E_MEMORY, "no memory for a name") : 0;
}

int chat_command_read(enum chat_command *out, char **argument, const char *text, size_t n, struct err *why)
{
    *out = CHAT_QUESTION;
    *argument = NULL;
    if (!n || *text != '/') return 0;
    while (strchr(" \t\r\n", text[n - 1]) && text[n - 1]) n--;
    if (memchr(text, '\n', n)) return 0;
    size_t word = 0;
    while (word < n && text[word] != ' ' && text[word] != '\t') word++;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strlen(commands[i].word) != word || strncasecmp(commands[i].word, text, word)) continue;
        TRY(take_argument(argument, text + word, n - word, why));
        if (commands[i].argument && !*argument) return refuse(text, word, "wants the name of a file", why);
        if (!commands[i].argument && *argument) break;
        *out = commands[i].command;
        return 0;
    }
    free(*argument);
    *argument = NULL;
    return refuse(text, n, "is no command", why);
}

/* ---- completion ---- */

static size_t shared(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n]) n++;
    return n;
}

/* Of words that all begin with the `typed` bytes that stand there already. */
static char *common_part(char *const *words, size_t n, size_t typed, FILE *several)
{
    size_t most = n ? strlen(words[0]) : 0;
    for (size_t i = 1; i < n; i++) {
        const size_t k = shared(words[0], words[i]);
        if (k < most) most = k;
    }
    if (most > typed) return strndup(words[0] + typed, most - typed);
    for (size_t i = 0; n > 1 && i < n; i++) fprintf(several, "%s\n", words[i]);
    return NULL;
}

static char *complete_word(const char *text, FILE *several)
{
    char *words[COMMANDS], room[COMMANDS][16];
    size_t n = 0;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strncmp(text, commands[i].word, strlen(text))) continue;
        snprintf(room[n], sizeof room[n], "%s%s", commands[i].word, commands[i].argument ? " " : "");
        words[n] = room[n];
        n++;
    }
    return common_part(words, n, strlen(text), several);
}

/* A name of several words may be typed as it is: it is all that follows the command. */
static char *complete_file(const char *text, FILE *several)
{
    glob_t found = {0};
    char *pattern = malloc(2 * strlen(text) + 2), *to = pattern;
    if (!pattern) return NULL;
    for (const char *from = text; *from; *to++ = *from++)
        if (strchr("*?[\\", *from)) *to++ = '\\';
    strcpy(to, "*");
    char *part = glob(pattern, GLOB_MARK, NULL, &found) ? NULL : common_part(found.gl_pathv, found.gl_pathc, strlen(text), several);
    globfree(&found);
    free(pattern);
    return part;
}

char *chat_commands_complete(const char *text, FILE *several)
{
    const size_t word = strcspn(text, " \t");
    if (*text != '/' || strchr(text, '\n')) return NULL;
    if (!text[word]) return complete_word(text, several);
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].argument && strlen(commands[i].word) == word && !strncasecmp(text, commands[i].word, word))
            return complete_file(text + word + strspn(text + word, " \t"), several);
    return NULL;
}
