/* tests/unit/base/mapped_test.c — files that others cut, write to or replace while they are open here, and what is no file. */
#include "base/mapped.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#include <fcntl.h>
#include <sys/wait.h>

#define PAGES 5
#define BYTES (PAGES * 4096)

static const char *put(struct folder *folder, uint8_t value)
{
    uint8_t bytes[BYTES];
    memset(bytes, value, sizeof bytes);
    folder_put(folder, "file", bytes, sizeof bytes);
    return folder_path(folder, "file");
}

TEST(a_pipe_a_device_and_a_folder_are_refused_by_what_they_are)
{
    struct folder folder = folder_new();
    struct mapped m;
    struct err no = {0};
    CHECK(mkfifo(folder_path(&folder, "pipe"), 0600) == 0); /* nobody writes to it: whoever waits, waits for ever */
    CHECK(mapped_open(&m, folder_path(&folder, "pipe"), 99, &no) == E_FILE && strstr(no.text, "is not a file but a pipe"), "%s", no.text);
    CHECK(mapped_open(&m, folder.path, 99, &no) == E_FILE && strstr(no.text, "is not a file but a folder"), "%s", no.text);
    CHECK(mapped_open(&m, "/dev/zero", 99, &no) == E_FILE && strstr(no.text, "is not a file but a device"), "%s", no.text);
    folder_end(&folder);
}

TEST(a_file_cut_under_its_mapping_ends_the_process_with_a_sentence)
{
    struct folder folder = folder_new();
    const char *path = put(&folder, 7);
    int pipes[2], status = 0;
    char said[400] = "";
    NEED(pipe(pipes) == 0 ? 0 : fail(why, E_INTERNAL, "no pipe"));
    const pid_t child = fork();
    if (child == 0) {
        struct mapped m;
        dup2(pipes[1], STDERR_FILENO);
        if (mapped_open(&m, path, BYTES, NULL) || truncate(path, 4096)) _exit(90);
        _exit(m.data[BYTES - 1] == 7 ? 91 : 92);
    }
    close(pipes[1]);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == E_FILE, "status %x", status);
    CHECK(read(pipes[0], said, sizeof said - 1) > 0 && strstr(said, path) && strstr(said, "cannot be read at byte 20479 of 20480"), "%s", said);
    close(pipes[0]);
    folder_end(&folder);
}

TEST(a_file_cut_or_written_to_is_noticed_and_one_that_was_replaced_is_not)
{
    struct folder folder = folder_new();
    struct file_state was;
    struct err no = {0};
    uint8_t byte;
    int fd;
    const char *path = put(&folder, 7);
    NEED(file_open(&fd, path, &was, why));
    NEED(file_unchanged(fd, path, &was, why));
    NEED(file_read(fd, path, BYTES - 1, &byte, 1, why));
    CHECK(byte == 7);
    unlink(path);
    path = put(&folder, 8); /* the way models are replaced */
    NEED(file_unchanged(fd, path, &was, why));
    close(fd);

    NEED(file_open(&fd, path, &was, why));
    CHECK(truncate(path, 4096) == 0);
    CHECK(file_unchanged(fd, path, &was, &no) == E_FILE && strstr(no.text, "has 4096 bytes; it had 20480"), "%s", no.text);
    CHECK(file_read(fd, path, 4095, &byte, 1, &no) == 0 && byte == 8);
    CHECK(file_read(fd, path, 4096, &byte, 1, &no) == E_FILE && strstr(no.text, "ends at byte 4096"), "%s", no.text);
    close(fd);

    NEED(file_open(&fd, path, &was, why));
    was.written_ns--; /* as if it had been written to a nanosecond later */
    CHECK(file_unchanged(fd, path, &was, &no) == E_FILE && strstr(no.text, "was written to"), "%s", no.text);
    close(fd);
    folder_end(&folder);
}
