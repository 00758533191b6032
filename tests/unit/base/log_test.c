/* tests/unit/base/log_test.c — lines of several threads stay whole, also while the speaker gets another name, and are plain. */
#include "base/log.h"
#include "base/plain_text.h"
#include "tests/support/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define LINES 20000
static atomic_bool done;

static void *rename_again_and_again(void *user)
{
    (void)user;
    for (int i = 0; !done; i++) log_open(i % 2 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" : "bb", LOG_INFO);
    return NULL;
}

static void *speak(void *user)
{
    (void)user;
    for (int i = 0; i < LINES; i++) log_info("a line");
    return NULL;
}

static bool possible(const char *line)
{
    return !strcmp(line, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: a line\n") || !strcmp(line, "bb: a line\n");
}

/* What `say` writes to stderr. */
static void overhear(char *out, size_t room, void (*say)(void))
{
    int ends[2];
    const int terminal = dup(STDERR_FILENO);
    CHECK(!pipe(ends) && dup2(ends[1], STDERR_FILENO) >= 0);
    say();
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    close(ends[1]);
    const ssize_t n = read(ends[0], out, room - 1);
    out[n > 0 ? n : 0] = 0;
    close(ends[0]);
}

/* A chunk of a picture, a host, a file, a sentence of another process: names as who means harm would choose them. */
#define FOREIGN "a\x1b[2J\r\n\x07\x7f \xc2\x9b \xe2\x80\xae \xe2\x81\xa6 \xff\xc2 caf\xc3\xa9 \xf0\x9f\x99\x82"

static void say_foreign(void)
{
    log_warn("%s", FOREIGN);
}

static void print_foreign(void)
{
    struct plain_page page;
    fprintf(plain_page_open(&page, stderr), "%s\n|", FOREIGN);
    plain_page_close(&page);
}

TEST(foreign_words_do_not_move_a_terminal)
{
    char seen[200];
    log_open("gemmapipe", LOG_INFO);
    overhear(seen, sizeof seen, say_foreign);
    CHECK(!strcmp(seen, "gemmapipe: warning: a?[2J???? ? ? ? ?? caf\xc3\xa9 \xf0\x9f\x99\x82\n"), "%s", seen);
    overhear(seen, sizeof seen, print_foreign);
    CHECK(!strcmp(seen, "a?[2J?\n?? ? ? ? ?? caf\xc3\xa9 \xf0\x9f\x99\x82\n|"), "%s", seen);
}

/* stderr goes through a pipe and is read while they speak. */
TEST(a_name_is_never_seen_half_changed)
{
    int ends[2], lines = 0, wrong = 0;
    char line[200];
    const int terminal = dup(STDERR_FILENO);
    pthread_t renames, speaks;
    CHECK(!pipe(ends) && dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    log_open("bb", LOG_INFO);
    pthread_create(&renames, NULL, rename_again_and_again, NULL);
    pthread_create(&speaks, NULL, speak, NULL);
    FILE *from = fdopen(ends[0], "r");
    while (lines < LINES && fgets(line, sizeof line, from)) {
        lines++;
        wrong += !possible(line);
    }
    done = true;
    pthread_join(speaks, NULL);
    pthread_join(renames, NULL);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    fclose(from);
    log_open("gemmapipe", LOG_INFO);
    CHECK(lines == LINES && !wrong, "%d of %d lines were wrong", wrong, lines);
}
