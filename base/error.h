/* base/error.h — how a function says no.
 *
 * A function that can fail returns 0, or one of the codes below after writing one sentence into `why`, at the
 * place where the facts are known: which file or peer, what was found, what was wanted. Callers pass both on
 * unchanged with TRY. The code becomes the exit status of the program, so a script can tell the cases apart.
 * `assert` is for our own mistakes only, never for bytes that came from outside. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum {
    E_OK = 0,
    E_INTERNAL = 1,      /* ours: a bug, or the system refused something it never refuses */
    E_USAGE = 2,         /* the command line, or a request that cannot be served as asked */
    E_FILE = 3,          /* a file is missing, damaged, or not what it should be */
    E_MEMORY = 4,        /* the plan does not fit, or memory could not be had */
    E_LINK = 5,          /* a peer cannot be reached, or an address cannot be used */
    E_WIRE = 6,          /* a peer sent bytes that break docs/WIRE.md */
    E_WORKER = 7,        /* a worker was lost, or reported a failure of its own */
    E_INTERRUPTED = 130, /* Ctrl-C or SIGTERM */
};

struct err {
    int code;
    char text[600];
};

/* Writes the sentence and returns `code`. `why` may be NULL: then only the code is passed on. */
int fail(struct err *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with strerror(errno) added after a colon. */
int fail_errno(struct err *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        int try_code_ = (call);                                                                                        \
        if (try_code_) return try_code_;                                                                               \
    } while (0)

#endif
