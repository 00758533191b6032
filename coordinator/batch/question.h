/* coordinator/batch/question.h — what a request asks, as the engine wants it: token ids, and pictures that it knows.
 *
 * Where a picture that is not a data: URL may come from is for the caller to say: beside a job's file, below a folder, or from nowhere. */
#pragma once

#include "coordinator/batch/request.h"
#include "coordinator/engine/give_pictures.h"

struct question_setup { /* everything it points to must stay */
    const struct tokenizer *tokens;
    uint32_t context;                    /* positions of a sequence */
    uint32_t picture_rows, picture_side; /* 0: there is no encoder */
    uint64_t picture_memory;             /* that reading one may take; 0: the usual limit */
    /* Where the picture of this name lies: *path is the caller's to free. E_USAGE or E_FILE with a sentence. */
    int (*find_picture)(void *user, const char *name, char **path, struct err *why);
    /* Such a picture was read; NULL: nobody wants to know. */
    int (*picture_read)(void *user, const char *name, const struct prompt_picture *picture, struct err *why);
    void *user;
};

struct question {
    struct ids prompt;
    struct picture_spans spans;
    struct prompt_pictures pictures;
};

/* Starts with {0}; question_free in any case. E_USAGE: it cannot be asked; E_FILE: a picture of it cannot be read. `known`: the
 * engine's pictures, NULL if it has none. */
int question_make(struct question *q, const struct request *r, const struct question_setup *setup, struct pictures *known, struct err *why);
/* The parts of it: is a text of so many bytes, with so many pictures, too long for the context, whatever it says? The pictures alone. */
int question_fits(uint64_t bytes, size_t pictures, const struct question_setup *setup, struct err *why);
int question_pictures(struct question *q, const struct request *r, const struct question_setup *setup, struct err *why);
void question_free(struct question *q, struct pictures *known); /* NULL: the engine is closed */
