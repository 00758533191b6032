/* base/standard_streams.c — see standard_streams.h. */
#define _GNU_SOURCE
#include "base/standard_streams.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of on_exit, where _exit is allowed and exit is not. Whoever failed before has said why. */
static void close_stdout(int status, void *nothing)
{
    (void)nothing;
    const int failed_before = ferror(stdout);
    errno = 0;
    if (!fclose(stdout) && !failed_before) return;
    if (status) return;
    log_error("stdout could not be written%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    _exit(E_FILE);
}

void standard_streams_begin(void)
{
    const int how[] = {O_RDONLY, O_RDONLY, O_WRONLY}; /* stdout too only to read: then writing to it fails */
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", how[fd]) != fd) _exit(E_INTERNAL); /* the lowest that is free is `fd` */
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is told to who writes it, as a full disk is */
    on_exit(close_stdout, NULL);
}
