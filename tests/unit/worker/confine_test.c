/* tests/unit/worker/confine_test.c — what a confined process may not do, tried by processes that confine themselves as a worker does. */
#define _GNU_SOURCE
#include "worker/confine.h"

#include "tests/support/check.h"
#include "tests/support/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { UNHELD = 254 }; /* neither the kernel nor the program can confine */

static char cache[300], reads[300], other[300];
static bool files, calls;

/* In a process of its own. 0 if all was as it should be, else the line where it was not. */
static int in_another(int (*what)(void), bool with_cache)
{
    int status = 0;
    const pid_t child = fork();
    if (!child) {
        struct err why;
        const struct confinement c = {.cache = with_cache ? cache : NULL, .reads = {reads}, .socket = "tcp://127.0.0.1:1"};
        if (confine_files(&c, &files, &why) || confine_calls(&c, &calls, &why)) fprintf(stderr, "%s\n", why.text), _exit(255);
        _exit(what());
    }
    return child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

#define WANT(condition)                                                                                                  \
    do {                                                                                                                \
        if (!(condition)) return __LINE__;                                                                              \
    } while (0)

static void in_folders(int (*what)(void), bool with_cache)
{
    struct folder f = folder_new();
    snprintf(cache, sizeof cache, "%s/cache", f.path);
    snprintf(reads, sizeof reads, "%s", folder_path(&f, "model"));
    folder_put(&f, "model", "m", 1);
    snprintf(other, sizeof other, "%s", folder_path(&f, "other"));
    folder_put(&f, "other", "o", 1);
    const int line = in_another(what, with_cache);
    folder_end(&f);
    if (line == UNHELD) test_skip("neither this kernel nor this program can confine");
    else CHECK(line == 0, "line %d", line);
}

static bool refused(long code)
{
    return code < 0 && (errno == EPERM || errno == EACCES);
}

static int starts_nothing(void)
{
    char *const words[] = {"/bin/true", NULL};
    if (!files && !calls) return UNHELD;
    WANT(refused(execv(words[0], words)));
    if (!calls) return 0;
    const pid_t child = fork();
    if (!child) _exit(0);
    WANT(refused(child));
    WANT(refused(kill(getppid(), 0)));
    WANT(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    WANT(page != MAP_FAILED && refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
    WANT(refused(socket(AF_PACKET, SOCK_RAW, 0)));
    return 0;
}

TEST(a_confined_process_starts_no_program_and_no_other_process)
{
    in_folders(starts_nothing, true);
}

static int writes_nowhere(void)
{
    if (!files && !calls) return UNHELD;
    WANT(refused(open(other, O_WRONLY)));
    WANT(refused(open(reads, O_RDWR)));
    WANT(refused(creat(cache, 0600)));
    WANT(refused(unlink(other)));
    WANT(refused(truncate(other, 0)));
    const int fd = open(reads, O_RDONLY);
    WANT(fd >= 0);
    close(fd);
    return 0;
}

TEST(without_a_cache_it_writes_nowhere)
{
    in_folders(writes_nowhere, false);
}

static int writes_in_its_cache(void)
{
    char one[320], two[320];
    snprintf(one, sizeof one, "%s/one", cache);
    snprintf(two, sizeof two, "%s/two", cache);
    if (!files) return UNHELD;
    WANT(refused(open(other, O_WRONLY)));
    WANT(refused(open(other, O_RDONLY)));
    WANT(refused(unlink(other)));
    WANT(refused(symlink(other, one)));
    const int fd = open(one, O_WRONLY | O_CREAT, 0600);
    WANT(fd >= 0 && write(fd, "1", 1) == 1 && !close(fd));
    WANT(!rename(one, two) && !unlink(two));
    return 0;
}

TEST(with_one_it_writes_there_alone_and_reads_what_it_was_told)
{
    in_folders(writes_in_its_cache, true);
}

static atomic_int turn;

/* There before calls were taken from its process. */
static void *older(void *refusals)
{
    while (!turn) usleep(1000);
    *(int *)refusals = refused(open(other, O_WRONLY));
    return NULL;
}

static void *younger(void *ran)
{
    *(int *)ran = 1;
    return NULL;
}

static int threads(void)
{
    int held = 0, ran = 0;
    pthread_t a, b;
    struct err why;
    const struct confinement none = {.socket = ""};
    WANT(!pthread_create(&a, NULL, older, &held));
    WANT(!confine_calls(&none, &calls, &why));
    turn = 1;
    WANT(!pthread_create(&b, NULL, younger, &ran));
    WANT(!pthread_join(a, NULL) && !pthread_join(b, NULL));
    if (!calls) return UNHELD;
    WANT(held && ran);
    return 0;
}

TEST(threads_that_were_there_are_held_too_and_new_ones_run)
{
    int status = 0;
    const pid_t child = fork();
    snprintf(other, sizeof other, "/dev/null");
    if (!child) _exit(threads());
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) == UNHELD) test_skip("this program was built without libseccomp");
    else CHECK(!WEXITSTATUS(status), "line %d", WEXITSTATUS(status));
}

static int becomes_nobody(void)
{
    struct err why;
    struct confinement c = {.user = "nobody"};
    const struct confinement root = {.user = "root"}, unknown = {.user = "no such user"};
    WANT(confine_user(&root, &why) == E_USAGE && strstr(why.text, "and root is root"));
    WANT(confine_user(&unknown, &why) == E_USAGE && strstr(why.text, "no user"));
    WANT(!confine_user(&c, &why));
    WANT(getuid() && geteuid() && getgid() && getegid() && getgroups(0, NULL) <= 1);
    WANT(setuid(0) < 0 && setgid(0) < 0 && open("/etc/shadow", O_RDONLY) < 0);
    c.user = "daemon";
    WANT(confine_user(&c, &why) == E_USAGE && strstr(why.text, "only root"));
    return 0;
}

TEST(root_becomes_another_user_and_keeps_nothing)
{
    int status = 0;
    if (getuid()) {
        test_skip("only root can become another");
        return;
    }
    const pid_t child = fork();
    if (!child) _exit(becomes_nobody());
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status), "line %d", WEXITSTATUS(status));
}
