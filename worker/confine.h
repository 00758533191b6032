/* worker/confine.h — what a worker process gives up before it hears anybody, so that whoever takes it over gets little.
 *
 *   confine_files   writes only in its cache, reads only models and what the system's libraries want   Landlock
 *   confine_user    is root no more                                                                   setresuid
 *   confine_calls   asks the kernel for what computing takes and nothing else: no program, no other
 *                   process, no file to write unless there is a cache                                 seccomp, by libseccomp
 *
 * In this order: files before the first thread is there, because Landlock binds the caller and whoever it starts; the user when the
 * port is bound and the keys are read; calls last, for all threads at once. What is refused is an error (EPERM, EACCES) to who tries,
 * and nothing ends by it. None of it can be taken back. A kernel without Landlock is no failure, and a program built with SECCOMP=0
 * none either: *held false then. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

struct confinement {
    const char *user;      /* to become; NULL: stays who it is */
    const char *cache;     /* the folder it writes in, made if it is not there; NULL: it writes nowhere */
    const char *reads[3];  /* files or folders; NULL: fewer */
    bool reads_anything;   /* models lie wherever the coordinator says */
    const char *socket;    /* an address of ipc://, whose file is made and taken away; any other means nothing here */
};

int confine_files(const struct confinement *c, bool *held, struct err *why);

/* E_USAGE if there is no such user, if it is root, or if this process may not become another. Proves afterwards that nothing of root's
 * is left: no group, no capability, no way back. */
int confine_user(const struct confinement *c, struct err *why);

int confine_calls(const struct confinement *c, bool *held, struct err *why);
