/* coordinator/cmd/terminal.c — see terminal.h. What handlers call here may be called in handlers: signal-safety(7). */
#include "coordinator/cmd/terminal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define QUIET_MS 20     /* whoever pastes is not done while more comes within so long */
#define DRAINED_MOST 1000

static const char marks_on[] = "\033[?2004h", marks_off[] = "\033[?2004l";
static const int deadly[] = {SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define DEADLY (sizeof deadly / sizeof *deadly)

static struct {
    bool open, marks; /* marks: it knows how to mark what is pasted */
    int out;
    struct termios found, ours;
} terminal;
static volatile sig_atomic_t came_back, resized;

static void mark_pastes(bool on)
{
    const char *text = on ? marks_on : marks_off;
    if (terminal.marks && write(terminal.out, text, strlen(text)) < 0) errno = 0; /* it has gone: then nobody pastes */
}

static void hand_over(void)
{
    mark_pastes(false);
    tcgetattr(STDIN_FILENO, &terminal.ours);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.found);
}

static void take_back(void)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.ours);
    mark_pastes(true);
}

static void on_death(int number)
{
    hand_over();
    raise(number); /* the system's own way now: SA_RESETHAND */
}

static void on_notice(int number)
{
    if (number == SIGWINCH) resized = 1;
    else came_back = 1;
}

static void on_stop(int number);

static void stop_is(void (*handler)(int))
{
    struct sigaction stop = {.sa_handler = handler};
    sigaction(SIGTSTP, &stop, NULL);
}

/* Stops in the middle of this function, as the system does, and goes on there. */
static void on_stop(int number)
{
    const int reason = errno;
    sigset_t this, before;
    sigemptyset(&this);
    sigaddset(&this, number);
    hand_over();
    stop_is(SIG_DFL);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &this, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    stop_is(on_stop);
    take_back();
    errno = reason;
}

/* A signal that our caller wants ignored, or somebody here deals with, is left alone. */
static void handle(int number, const struct sigaction *how)
{
    struct sigaction now;
    if (!sigaction(number, NULL, &now) && now.sa_handler == SIG_DFL) sigaction(number, how, NULL);
}

void terminal_open(int out)
{
    const struct sigaction death = {.sa_handler = on_death, .sa_flags = SA_RESETHAND | SA_NODEFER}, stop = {.sa_handler = on_stop},
                           notice = {.sa_handler = on_notice};
    const char *kind = getenv("TERM");
    terminal.out = out;
    terminal.marks = kind && *kind && strcmp(kind, "dumb") != 0;
    if (tcgetattr(STDIN_FILENO, &terminal.found)) return;
    terminal.open = true;
    for (size_t i = 0; i < DEADLY; i++) handle(deadly[i], &death);
    handle(SIGTSTP, &stop);
    handle(SIGCONT, &notice);
    handle(SIGWINCH, &notice);
    mark_pastes(true);
}

void terminal_close(void)
{
    char rest[4096];
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!terminal.open) return;
    for (int i = 0; i < DRAINED_MOST && poll(&in, 1, QUIET_MS) > 0; i++)
        if (read(STDIN_FILENO, rest, sizeof rest) <= 0) break;
    mark_pastes(false);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.found);
    terminal.open = false;
    for (size_t i = 0; i < DEADLY; i++) {
        struct sigaction now;
        if (!sigaction(deadly[i], NULL, &now) && now.sa_handler == on_death) signal(deadly[i], SIG_DFL);
    }
    signal(SIGTSTP, SIG_DFL);
}

static bool seen(volatile sig_atomic_t *flag)
{
    const bool it = *flag;
    *flag = 0;
    return it;
}

bool terminal_came_back(void)
{
    return seen(&came_back);
}

bool terminal_resized(void)
{
    return seen(&resized);
}
