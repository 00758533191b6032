/* coordinator/up/remote.h — the same script on many machines at once, over the ssh that is installed here.
 *
 * ssh never asks (BatchMode): keys and known hosts are the user's affair, as for every other program. GEMMAPIPE_SSH names another ssh or
 * adds words to it ("ssh -F my_config"). A host called "here" is this machine, without ssh. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REMOTE_WORDS 24        /* arguments of the script, at most */
#define REMOTE_OUT (64u << 10) /* bytes that are kept of what it says */
#define REMOTE_WHY 200

struct remote { /* on one machine */
    const char *host;              /* [user@]name; not beginning with - */
    const char *word[REMOTE_WORDS]; /* NULL behind the last */
    int input;                     /* a file that the command reads instead of being the script; -1: the script. See remote_put */
    char *out;                     /* what it said, terminated; freed with remote_free */
    size_t n;
    int status;                    /* its exit status; 255 is ssh's own */
    char why[REMOTE_WHY];          /* the last line of its stderr, or that it took too long */
};

/* Runs remote.sh with these words on all machines, `at_once` at most, and waits for all, for `seconds` each. E_INTERRUPTED when somebody
 * pressed Ctrl-C: those under way were ended. A machine that fails is no error here: status and why say so. */
int remote_run(struct remote *jobs, int n, int seconds, struct err *why);
void remote_free(struct remote *jobs, int n);

/* The value of a line "key=value" of what was said, into out, cut short where it must be; empty if there is none. Returns out. */
char *remote_said(const struct remote *r, const char *key, char *out, size_t room);

/* Puts a file where remote.sh looks for the program, under the name `hash`. */
int remote_put(const char *host, const char *path, const char *hash, struct err *why);
