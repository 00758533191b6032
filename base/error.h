/* base/error.h — how a function says no.
 *
 * A function that can fail returns 0, or one of the codes below after writing one sentence into `why`, at the
 * place where the facts are known: which file or peer, what was found, what was wanted. Callers pass both on
 * unchanged with TRY. The code becomes the exit status of the program, so a script can tell the cases apart.
 *
 * A sentence names quantities ("the prompt has 5120 tokens, the context holds 4096"), never options of a command line:
 * the same sentence may go to a person at a terminal, into a line of a batch, or over HTTP. `about` says which quantity
 * it is about, so that whoever shows the sentence can add how to change it there: coordinator/cmd/advice.c.
 *
 * `assert` is for our own mistakes only, never for bytes that came from outside. */
#pragma once

enum {
    E_OK = 0,
    E_INTERNAL = 1,      /* ours: a bug, or the system refused something it never refuses */
    E_USAGE = 2,         /* the command line, or a request that cannot be served as asked */
    E_FILE = 3,          /* a file is missing, damaged, or not what it should be */
    E_MEMORY = 4,        /* the plan does not fit, or memory could not be had */
    E_LINK = 5,          /* a peer cannot be reached, or an address cannot be used */
    E_WIRE = 6,          /* a peer sent bytes that break docs/WIRE.md */
    E_WORKER = 7,        /* a worker was lost, or reported a failure of its own */
    E_PARTLY = 8,        /* done, but some prompts or lines failed */
    E_RESUMABLE = 9,     /* stopped before the end, and can be resumed */
    E_INTERRUPTED = 130, /* Ctrl-C or SIGTERM */
};

/* The quantity that a sentence is about, where there is something the asker could change. */
enum about {
    ABOUT_NOTHING,
    ABOUT_CONTEXT,        /* positions that a sequence may have */
    ABOUT_ANSWER_LENGTH,  /* tokens that an answer may have */
    ABOUT_SAMPLING,       /* temperature, top-k and their like */
    ABOUT_WORKERS,        /* who computes */
    ABOUT_WAIT,           /* how long workers may take to answer */
    ABOUT_BUSY,           /* a worker that computes for somebody else */
    ABOUT_PATIENCE,       /* how long others may take to come in the place of lost workers */
    ABOUT_SPLIT,          /* layers given to each worker by hand */
    ABOUT_MEMORY,         /* a plan that does not fit */
    ABOUT_KV_POSITIONS,   /* positions that all sequences together hold */
    ABOUT_MEMORY_SIZES,   /* what each worker may take */
    ABOUT_VISION_SPLIT,   /* the same as ABOUT_SPLIT, of the picture encoder */
    ABOUT_VISION_WORKERS, /* how many workers are for pictures alone */
    ABOUT_VISION_TYPE,    /* as what numbers the encoder's matrices are kept */
    ABOUT_PICTURE_MEMORY, /* what reading a picture may take */
    ABOUT_PLAN_FILE,      /* a file that should hold a plan */
    ABOUT_ENCODER_OUT,    /* a picture encoder to be written beside a text model */
    ABOUT_TEXT_FORMAT,    /* the format that layers of text are written in */
    ABOUT_JOURNAL,        /* a job that was begun already */
    ABOUT_RESUMING,       /* a job that was stopped */
    ABOUT_KEYS,           /* by which others are known */
    ABOUT_VISION_FORMAT,  /* the format that the picture encoder is written in */
};

struct err {
    int code;
    enum about about;
    char text[600];
};

/* Writes the sentence and returns `code`. `why` may be NULL: then only the code is passed on. */
int fail(struct err *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, with strerror(errno) added after a colon. */
int fail_errno(struct err *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same as fail, of a sentence about something that the asker can change. */
int fail_about(struct err *why, enum about about, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds `more` to the end of the sentence, as far as there is room. */
void err_add(struct err *why, const char *more);

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        int try_code_ = (call);                                                                                        \
        if (try_code_) return try_code_;                                                                               \
    } while (0)
