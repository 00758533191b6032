/* tests/unit/base/whole_file_test.c — whatever the disk does, a name stands for a whole file, and no half of one is left. */
#include "base/disk.h"
#include "base/whole_file.h"

#include "base/mapped.h"
#include "tests/support/check.h"
#include "tests/support/failing_disk.h"
#include "tests/support/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[100];

static const char *content(const char *path)
{
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
    return f ? text : "(none)";
}

static int files_in(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) n += *e->d_name != '.';
    if (d) closedir(d);
    return n;
}

static int descriptors(void)
{
    return files_in("/proc/self/fd");
}

/* All kinds of writing: room, a stream, and bytes past it. */
static int write_new(const char *path, struct err *why)
{
    struct whole_file *f;
    TRY(whole_file_open(&f, path, why));
    int code = whole_file_reserve(f, 12, why);
    fprintf(whole_file_stream(f), "new ");
    if (!code) code = whole_file_write(f, "file", 4, why);
    fprintf(whole_file_stream(f), " %d!\n", 1);
    return whole_file_close(&f, code, why);
}

static void fails_at_every_call(bool nameless, int reason)
{
    struct folder folder = folder_new();
    char path[300];
    snprintf(path, sizeof path, "%s", folder_path(&folder, "out"));
    bool seen[DISK_CALLS] = {false}, done = false;
    for (int n = 1; !done && n < 100; n++) {
        struct err why = {0};
        enum disk_call which;
        folder_put_text(&folder, "out", "old file");
        const int open_before = descriptors();
        failing_disk_use(n, reason);
        if (!nameless) failing_disk_without_nameless();
        const int code = write_new(path, &why);
        done = !failing_disk_done(&which);
        if (!done) seen[which] = true;
        /* Without a name until the end, or with one; and a name that may not outlive a loss of power is no failure. */
        const bool harmless = done || which == DISK_CREATE_NAMELESS || which == DISK_SYNC_FOLDER || which == DISK_REMOVE ||
                              (which == DISK_RESERVE && reason == EIO);
        CHECK(code == (harmless ? 0 : E_FILE), "call %d, kind %d: %d %s", n, which, code, why.text);
        CHECK(!strcmp(content(path), harmless ? "new file 1!\n" : "old file"), "call %d, kind %d: %s", n, which, text);
        CHECK(files_in(folder.path) == 1 && descriptors() == open_before, "call %d, kind %d leaves something behind", n, which);
        CHECK(harmless || (strstr(why.text, path) && strstr(why.text, which == DISK_RESERVE ? "the disk has" : strerror(reason))),
              "call %d, kind %d: %s", n, which, why.text);
    }
    CHECK(done && seen[DISK_APPEND] && seen[DISK_SYNC] && seen[DISK_RENAME] && seen[DISK_CLOSE] && seen[DISK_SYNC_FOLDER] &&
          seen[DISK_RESERVE]);
    CHECK(seen[DISK_CREATE] == !nameless);
    folder_path(&folder, "out.partial");
    folder_end(&folder);
}

TEST(a_full_disk_at_any_moment_leaves_the_old_file)
{
    fails_at_every_call(true, ENOSPC);
    fails_at_every_call(false, ENOSPC);
}

TEST(a_damaged_disk_at_any_moment_leaves_the_old_file)
{
    fails_at_every_call(true, EIO);
    fails_at_every_call(false, EIO);
}

TEST(a_file_that_is_given_up_leaves_nothing)
{
    struct folder folder = folder_new();
    char path[300];
    snprintf(path, sizeof path, "%s", folder_path(&folder, "out"));
    struct whole_file *f = NULL;
    struct err no = {0};
    NEED(whole_file_open(&f, path, why));
    fprintf(whole_file_stream(f), "half");
    CHECK(whole_file_close(&f, E_INTERRUPTED, &no) == E_INTERRUPTED && !f && !*no.text);
    CHECK(files_in(folder.path) == 0 && whole_file_close(&f, 7, NULL) == 7);
    folder_end(&folder);
}

TEST(a_device_is_written_as_it_is_and_a_folder_is_refused)
{
    struct folder folder = folder_new();
    struct whole_file *f = NULL;
    struct err no = {0};
    char pipe_path[300], got[16] = "";
    NEED(write_new("/dev/null", why));
    CHECK(whole_file_open(&f, folder.path, &no) == E_FILE && strstr(no.text, "folder") && !f, "%s", no.text);
    snprintf(pipe_path, sizeof pipe_path, "%s", folder_path(&folder, "pipe"));
    CHECK(!mkfifo(pipe_path, 0600));
    const int reader = open(pipe_path, O_RDONLY | O_NONBLOCK);
    NEED(write_new(pipe_path, why));
    CHECK(read(reader, got, sizeof got - 1) == 12 && !strcmp(got, "new file 1!\n"), "%s", got);
    close(reader);
    folder_end(&folder);
}

/* Read before the result is opened, or while it is written; by its own name, by links of both kinds. */
TEST(a_result_never_takes_the_place_of_what_was_read)
{
    struct folder folder = folder_new();
    struct whole_file *f = NULL;
    struct mapped m;
    struct err no = {0};
    char path[4][300];
    for (int i = 0; i < 4; i++) snprintf(path[i], sizeof path[i], "%s", folder_path(&folder, (const char *const[]){"in", "hard", "soft", "later"}[i]));
    NEED(write_new(path[0], why));
    NEED(write_new(path[3], why));
    CHECK(!link(path[0], path[1]) && !symlink(path[0], path[2]));
    NEED(mapped_open(&m, path[0], 100, why));
    mapped_close(&m);
    for (int i = 0; i < 3; i++) CHECK(write_new(path[i], &no) == E_USAGE && strstr(no.text, "are the same file"), "%s", no.text);
    NEED(whole_file_open(&f, path[3], why));
    NEED(mapped_open(&m, path[3], 100, why));
    mapped_close(&m);
    CHECK(whole_file_close(&f, 0, &no) == E_USAGE && strstr(no.text, "are the same file"), "%s", no.text);
    CHECK(files_in(folder.path) == 4, "%d files", files_in(folder.path));
    folder_end(&folder);
}

TEST(the_folder_of_a_path_is_what_stands_before_its_name)
{
    static const char *const of[][2] = {{"a", "."}, {"/a", "/"}, {"b/a", "b"}, {"/c/b/a", "/c/b"}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char *folder = disk_folder_of(of[i][0]);
        CHECK(folder && !strcmp(folder, of[i][1]), "%s: %s", of[i][0], folder);
        free(folder);
    }
}
