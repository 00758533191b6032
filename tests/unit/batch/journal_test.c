/* tests/unit/batch/journal_test.c — whatever the disk does, what a journal says is done is done, and what is not is done again. */
#include "coordinator/batch/journal.h"

#include "tests/support/check.h"
#include "tests/support/failing_disk.h"
#include "tests/support/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES 5

static const struct journal_fact facts[] = {{"weights", "abc"}, {"seed", "1"}};

static int open_it(struct journal **j, const char *path, enum journal_mode mode, const char *seed, struct err *why)
{
    struct journal_fact f[2] = {facts[0], facts[1]};
    if (seed) snprintf(f[1].value, sizeof f[1].value, "%s", seed);
    return journal_open(j, &(struct journal_setup){.path = path, .mode = mode, .lines = LINES, .facts = f, .n_facts = 2}, why);
}

static void result_of(size_t line, char out[64])
{
    snprintf(out, 64, "{\"custom_id\":\"line %zu\",\"n\":[1,2]}", line);
}

/* One more line, as a run would, and some of the next. */
static int do_line(struct journal *j, struct err *why)
{
    char text[64];
    size_t line = 1;
    while (line <= LINES && journal_is_done(j, line)) line++;
    if (line > LINES) return journal_end(j, why);
    result_of(line, text);
    TRY(journal_put_done(j, line, line != 2, text, strlen(text), why));
    TRY(journal_sync(j, why));
    return line < LINES ? journal_put_tokens(j, &(struct journal_tokens){.line = line + 1}, (uint32_t[]){7, 8, (uint32_t)line}, 3, why) : 0;
}

static bool says_what_was_put(struct journal *j)
{
    bool right = true;
    for (size_t line = 1; line <= LINES; line++) {
        char want[64], *got;
        struct err why;
        size_t n;
        bool ok;
        if (!journal_is_done(j, line)) continue;
        result_of(line, want);
        right &= !journal_result(j, line, &ok, &got, &n, &why) && n == strlen(want) && !memcmp(got, want, n) && ok == (line != 2);
        free(got);
    }
    return right;
}

TEST(a_job_that_meets_every_failure_of_the_disk_is_done_in_the_end)
{
    struct folder folder = folder_new();
    char path[300];
    struct err e;
    snprintf(path, sizeof path, "%s", folder_path(&folder, "journal"));
    for (int n = 1, seen = 0; n < 200; n++) {
        enum disk_call which;
        struct journal *j = NULL;
        size_t before = 0;
        unlink(path);
        failing_disk_use(n, n % 2 ? ENOSPC : EIO);
        int code = open_it(&j, path, JOURNAL_RESUME, NULL, &e);
        while (!code && !journal_ended(j)) {
            before = journal_done(j);
            code = do_line(j, &e);
        }
        journal_close(&j);
        const bool failed = failing_disk_done(&which);
        if (failed && which != DISK_CLOSE) CHECK(code == E_FILE, "call %d of kind %d failed, and the code is %d", n, which, code);
        NEED(open_it(&j, path, JOURNAL_RESUME, NULL, why));
        CHECK(journal_done(j) >= before && says_what_was_put(j), "call %d: %zu lines done, %zu were", n, journal_done(j), before);
        while (!journal_ended(j)) NEED(do_line(j, why));
        CHECK(journal_done(j) == LINES && journal_failed(j) == 1 && says_what_was_put(j), "call %d", n);
        journal_close(&j);
        seen++;
        if (failed) continue;
        CHECK(seen > 20, "%d calls", seen);
        break;
    }
    folder_end(&folder);
}

TEST(answers_under_way_are_known_until_their_line_is_done)
{
    struct folder folder = folder_new();
    char path[300], text[64];
    struct journal *j;
    snprintf(path, sizeof path, "%s", folder_path(&folder, "journal"));
    NEED(open_it(&j, path, JOURNAL_NEW, NULL, why));
    for (uint32_t i = 0; i < 3; i++) NEED(journal_put_tokens(j, &(struct journal_tokens){4, 1, 2 * i}, (uint32_t[]){10 * i, 10 * i + 1}, 2, why));
    journal_close(&j);
    NEED(open_it(&j, path, JOURNAL_RESUME, NULL, why));
    const struct ids *had = journal_tokens(j, 4, 1);
    CHECK(had && had->n == 6 && had->id[5] == 21 && !journal_tokens(j, 4, 0) && !journal_tokens(j, 3, 1), "%zu ids", had ? had->n : 0);
    result_of(4, text);
    NEED(journal_put_done(j, 4, true, text, strlen(text), why));
    CHECK(!journal_tokens(j, 4, 1), "of a line that is done");
    journal_close(&j);
    folder_end(&folder);
}

TEST(another_job_another_process_and_another_result_are_refused)
{
    struct folder folder = folder_new();
    char path[300], text[64];
    struct journal *j, *second;
    struct err e;
    snprintf(path, sizeof path, "%s", folder_path(&folder, "journal"));
    NEED(open_it(&j, path, JOURNAL_NEW, NULL, why));
    CHECK(open_it(&second, path, JOURNAL_RESUME, NULL, &e) == E_FILE && strstr(e.text, "is held by process"), "%s", e.text);
    result_of(1, text);
    NEED(journal_put_done(j, 1, true, text, strlen(text), why));
    NEED(journal_put_done(j, 1, true, text, strlen(text), why));
    text[3]++;
    CHECK(journal_put_done(j, 1, true, text, strlen(text), &e) == E_WORKER && strstr(e.text, "not the same"), "%s", e.text);
    journal_close(&j);
    CHECK(open_it(&j, path, JOURNAL_NEW, NULL, &e) == E_FILE && e.about == ABOUT_JOURNAL, "%s", e.text);
    CHECK(open_it(&j, path, JOURNAL_RESUME, "2", &e) == E_FILE && strstr(e.text, "seed is 1, this job's is 2"), "%s", e.text);
    NEED(open_it(&j, path, JOURNAL_OVERWRITE, "2", why));
    CHECK(journal_done(j) == 0, "%zu", journal_done(j));
    journal_close(&j);
    folder_end(&folder);
}

/* A line that is under way at every end of a run is suspected, but not while it gets on. */
TEST(a_line_is_suspected_of_crashes_only_if_nothing_came_of_it)
{
    struct folder folder = folder_new();
    char path[300];
    struct journal *j;
    snprintf(path, sizeof path, "%s", folder_path(&folder, "journal"));
    for (uint32_t run = 0; run < 8; run++) {
        NEED(open_it(&j, path, JOURNAL_RESUME, NULL, why));
        const uint32_t crashes = journal_crashes(j, 3), wanted = run > 4 ? run - 4 : 0;
        CHECK(crashes == wanted, "before run %u: %u crashes, wanted %u", run, crashes, wanted);
        NEED(journal_put_begun(j, 3, why));
        if (run < 4) NEED(journal_put_tokens(j, &(struct journal_tokens){3, 0, run}, &run, 1, why));
        journal_close(&j);
    }
    NEED(open_it(&j, path, JOURNAL_RESUME, NULL, why));
    NEED(journal_stop(j, why));
    journal_close(&j);
    NEED(open_it(&j, path, JOURNAL_RESUME, NULL, why));
    CHECK(journal_crashes(j, 3) == 0, "a run that ended in good order accuses nobody");
    journal_close(&j);
    folder_end(&folder);
}

TEST(room_that_was_never_filled_is_begun_anew_and_what_is_somebodys_is_left_alone)
{
    static const char zeros[100];
    static const struct {
        const char *first, *then;
        bool mine;
    } files[] = {{"", "", true}, {"{\"jour", "", true}, {"", "x", false}, {"{\"jou", "r", false}, {"{x", "", false}};
    struct folder folder = folder_new();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = folder_path(&folder, "journal");
        struct journal *j;
        struct err e = {0};
        struct stat st;
        FILE *f = fopen(path, "wb");
        fputs(files[i].first, f);
        fwrite(zeros, 1, sizeof zeros, f);
        fputs(files[i].then, f);
        fclose(f);
        const int code = open_it(&j, path, JOURNAL_RESUME, NULL, &e);
        CHECK(files[i].mine ? !code && journal_done(j) == 0 : code == E_FILE && strstr(e.text, "is no journal"), "%s", e.text);
        CHECK(files[i].mine || (!stat(path, &st) && (size_t)st.st_size == sizeof zeros + strlen(files[i].first) + strlen(files[i].then)));
        while (files[i].mine && !journal_ended(j)) NEED(do_line(j, why));
        CHECK(!j || says_what_was_put(j));
        journal_close(&j);
    }
    folder_end(&folder);
}

TEST(damage_inside_is_refused_and_repaired)
{
    struct folder folder = folder_new();
    char path[300];
    struct journal *j;
    struct err e;
    size_t lost;
    snprintf(path, sizeof path, "%s", folder_path(&folder, "journal"));
    NEED(open_it(&j, path, JOURNAL_NEW, NULL, why));
    while (!journal_ended(j)) NEED(do_line(j, why));
    journal_close(&j);
    char text[4096] = "";
    FILE *f = fopen(path, "r+b");
    const size_t n = fread(text, 1, sizeof text - 1, f);
    const char *third = strstr(text, "\"line 3\"");
    CHECK(n && third);
    fseek(f, third ? third - text : 0, SEEK_SET);
    fputc('#', f);
    fclose(f);
    CHECK(open_it(&j, path, JOURNAL_RESUME, NULL, &e) == E_FILE && strstr(e.text, "damaged at byte"), "%s", e.text);
    NEED(journal_repair(path, &lost, why));
    NEED(open_it(&j, path, JOURNAL_RESUME, NULL, why));
    CHECK(lost == 1 && journal_done(j) == LINES - 1 && !journal_ended(j) && says_what_was_put(j), "%zu lost, %zu done", lost, journal_done(j));
    journal_close(&j);
    folder_end(&folder);
}
