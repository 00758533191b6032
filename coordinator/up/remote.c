/* coordinator/up/remote.c — see remote.h. */
#define _GNU_SOURCE
#include "coordinator/up/remote.h"

#include "base/clock.h"
#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 32  /* connections */
#define LOOK_MS 200
#define COMMAND_MOST 8192

/* Global: where ARM's addresses come from a table, assemblers give names that are not the same entry, as if the script were empty. */
__asm__(".section .rodata\n"
        ".global remote_script, remote_script_end\n"
        "remote_script:\n"
        ".incbin \"coordinator/up/remote.sh\"\n"
        "remote_script_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char remote_script[], remote_script_end[];

struct running {
    struct remote *job; /* NULL: this place is free */
    pid_t pid;
    int in, out, err; /* -1: closed */
    size_t written;   /* of the script */
    char complaint[REMOTE_WHY];
    size_t n_complaint;
    uint64_t end_ns;
};

/* ---- the command ---- */

/* For the other machine's shell: in single quotes, where only these mean something. */
static bool add_quoted(char *out, size_t room, size_t *n, const char *word)
{
    if (*n + 3 > room) return false;
    out[(*n)++] = '\'';
    for (; *word; word++) {
        if (*n + 6 > room) return false;
        if (*word == '\'') memcpy(out + *n, "'\\''", 4), *n += 4;
        else out[(*n)++] = *word;
    }
    out[(*n)++] = '\'';
    return true;
}

static int command_of(const struct remote *r, char out[COMMAND_MOST], struct err *why)
{
    size_t n = (size_t)snprintf(out, COMMAND_MOST, r->input < 0 ? "sh -s --" : "sh -c");
    for (int i = 0; r->word[i]; i++) {
        if (n + 1 < COMMAND_MOST) out[n++] = ' ';
        if (!add_quoted(out, COMMAND_MOST, &n, r->word[i])) return fail(why, E_USAGE, "the command for %s is longer than %d bytes", r->host, COMMAND_MOST);
    }
    if (n >= COMMAND_MOST) return fail(why, E_USAGE, "the command for %s is longer than %d bytes", r->host, COMMAND_MOST);
    out[n] = 0;
    return 0;
}

/* In the child. */
static void execute(const struct remote *r, char *command)
{
    char host[300];
    snprintf(host, sizeof host, "%s", r->host);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0); /* Ctrl-C is the parent's to deal with */
    if (!strcmp(host, "here")) execlp("sh", "sh", "-c", command, (char *)NULL);
    else
        execlp("sh", "sh", "-c", "exec ${GEMMAPIPE_SSH:-ssh} \"$@\"", "sh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T", "--", host, command,
               (char *)NULL);
    _exit(127);
}

/* ---- one machine ---- */

static void close_one(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int begin(struct running *r, struct remote *job, int seconds, struct err *why)
{
    char command[COMMAND_MOST];
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    TRY(command_of(job, command, why));
    bool ready = !pipe2(out, O_CLOEXEC) && !pipe2(err, O_CLOEXEC) && (job->input >= 0 || !pipe2(in, O_CLOEXEC));
    const pid_t pid = ready ? fork() : -1;
    if (!pid) {
        dup2(job->input >= 0 ? job->input : in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execute(job, command);
    }
    close_one(&in[0]), close_one(&out[1]), close_one(&err[1]);
    if (pid < 0) {
        close_one(&in[1]), close_one(&out[0]), close_one(&err[0]);
        return fail_errno(why, E_INTERNAL, "cannot start ssh for %s", job->host);
    }
    if (in[1] >= 0) fcntl(in[1], F_SETFL, O_NONBLOCK);
    *r = (struct running){.job = job, .pid = pid, .in = in[1], .out = out[0], .err = err[0], .end_ns = clock_ns() + (uint64_t)seconds * 1000000000};
    return 0;
}

/* The rest of the script, as far as the pipe takes it. */
static void feed(struct running *r)
{
    const size_t all = (size_t)(remote_script_end - remote_script);
    const ssize_t k = write(r->in, remote_script + r->written, all - r->written);
    if (k > 0) r->written += (size_t)k;
    if ((k < 0 && errno != EAGAIN && errno != EINTR) || r->written == all) close_one(&r->in);
}

static void hear(struct running *r)
{
    struct remote *job = r->job;
    char some[4096];
    const ssize_t k = read(r->out, some, sizeof some);
    if (k <= 0) {
        close_one(&r->out);
        return;
    }
    const size_t keep = job->n + (size_t)k > REMOTE_OUT ? REMOTE_OUT - job->n : (size_t)k;
    char *more = realloc(job->out, job->n + keep + 1);
    if (!more) return;
    job->out = more;
    memcpy(more + job->n, some, keep);
    job->n += keep;
    more[job->n] = 0;
}

/* Only the last line is of interest. What would move a terminal's cursor is left out. */
static void hear_complaint(struct running *r)
{
    char some[512];
    const ssize_t k = read(r->err, some, sizeof some);
    if (k <= 0) {
        close_one(&r->err);
        return;
    }
    for (ssize_t i = 0; i < k; i++) {
        if (some[i] == '\n' && i + 1 < k) r->n_complaint = 0;
        else if ((unsigned char)some[i] >= ' ' && r->n_complaint + 1 < sizeof r->complaint) r->complaint[r->n_complaint++] = some[i];
    }
    r->complaint[r->n_complaint] = 0;
}

static void end(struct running *r, const char *because)
{
    int status = 0;
    if (because) kill(-r->pid, SIGTERM), kill(r->pid, SIGTERM);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) {}
    close_one(&r->in), close_one(&r->out), close_one(&r->err);
    r->job->status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    if (because) r->job->status = 255;
    snprintf(r->job->why, sizeof r->job->why, "%s", because ? because : r->complaint);
    r->job = NULL;
}

/* ---- all ---- */

static int wait_a_moment(struct running *at, int places)
{
    struct pollfd look[3 * AT_ONCE + 1];
    int n = 0;
    for (int i = 0; i < places; i++) {
        if (!at[i].job) continue;
        look[n++] = (struct pollfd){.fd = at[i].in, .events = POLLOUT};
        look[n++] = (struct pollfd){.fd = at[i].out, .events = POLLIN};
        look[n++] = (struct pollfd){.fd = at[i].err, .events = POLLIN};
    }
    look[n] = (struct pollfd){.fd = interrupt_fd(), .events = POLLIN};
    poll(look, (nfds_t)n + 1, LOOK_MS);
    for (int i = 0, k = 0; i < places; i++) {
        if (!at[i].job) continue;
        if (look[k++].revents && at[i].in >= 0) feed(&at[i]);
        if (look[k++].revents && at[i].out >= 0) hear(&at[i]);
        if (look[k++].revents && at[i].err >= 0) hear_complaint(&at[i]);
        if (at[i].out < 0 && at[i].err < 0) end(&at[i], NULL);
        else if (clock_ns() > at[i].end_ns) end(&at[i], "it did not answer in time");
    }
    return n;
}

int remote_run(struct remote *jobs, int n, int seconds, struct err *why)
{
    struct running at[AT_ONCE] = {{0}};
    int next = 0, code = 0;
    for (bool busy = true; busy && !code;) {
        busy = next < n;
        for (int i = 0; i < AT_ONCE && !code; i++) {
            if (!at[i].job && next < n) code = begin(&at[i], &jobs[next++], seconds, why);
            busy |= at[i].job != NULL;
        }
        if (busy && !code) wait_a_moment(at, AT_ONCE);
        if (interrupt_seen() && !code) code = fail(why, E_INTERRUPTED, "%s", interrupt_reason());
    }
    for (int i = 0; i < AT_ONCE; i++)
        if (at[i].job) end(&at[i], "interrupted");
    return code;
}

void remote_free(struct remote *jobs, int n)
{
    for (int i = 0; jobs && i < n; i++) free(jobs[i].out);
    free(jobs);
}

char *remote_said(const struct remote *r, const char *key, char *out, size_t room)
{
    const size_t k = strlen(key);
    *out = 0;
    for (const char *line = r->out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, key, k) || line[k] != '=') continue;
        size_t n = 0;
        for (const char *c = line + k + 1; *c && *c != '\n' && n + 1 < room; c++)
            if ((unsigned char)*c >= ' ' && *c != 127) out[n++] = *c;
        out[n] = 0;
        break;
    }
    return out;
}

int remote_put(const char *host, const char *path, const char *hash, struct err *why)
{
    static const char script[] = "d=${XDG_CACHE_HOME:-$HOME/.cache}/gemmapipe/programs/$1 && mkdir -p \"$d\" && cat >\"$d/partial\" && "
                                 "chmod 755 \"$d/partial\" && mv \"$d/partial\" \"$d/gemmapipe-worker\"";
    struct remote job = {.host = host, .word = {script, "sh", hash}, .input = open(path, O_RDONLY | O_CLOEXEC)};
    if (job.input < 0) return fail_errno(why, E_FILE, "%s cannot be read", path);
    int code = remote_run(&job, 1, 300, why);
    if (!code && job.status) code = fail(why, E_WORKER, "%s: the program could not be copied: %s", host, job.why);
    close(job.input);
    free(job.out);
    return code;
}
