/* tests/unit/base/log_test.c — lines of several threads stay whole, also while the speaker gets another name. */
#include "base/log.h"
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
