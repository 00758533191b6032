/* coordinator/cmd/prompts.h — the prompts of one command line, as token ids and pictures: what `run` answers, and what `plan` is to
 * prepare for. */
#pragma once

#include "coordinator/cmd/session.h"
#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/text/prompt.h"
#include "partition/model/memory.h"

struct prompt {
    struct ids ids;
    struct picture_spans spans;
    size_t first_picture; /* where its pictures begin among all */
    size_t own_pictures;  /* how many it named itself: no other prompt shows them */
    size_t line;          /* of the file, from 1 */
    struct err refused;   /* code 0: it can be asked */
};

struct prompts {
    struct prompt *of; /* [n] */
    size_t n, room;
    bool hinted; /* typed_prompt_hint, once for all lines */
    char *text; /* of --prompts */
    struct prompt_pictures pictures; /* what --image named: every prompt is asked about all of it; or what the prompts name themselves */
};

/* Reads what the options name. A line of --prompts that cannot be asked is refused alone; a single prompt that cannot is an error.
 * Start with {0}; prompts_free in any case. */
int prompts_read(struct prompts *p, const struct session *s, struct err *why);
void prompts_free(struct prompts *p);

/* What workers must be prepared for to answer them. E_USAGE if a context was asked for that is too small, or too large for the model. */
int prompts_capacity(struct capacity *out, const struct prompts *p, const struct session *s, struct err *why);

/* Tokens of the longest prompt that is not refused. */
uint64_t prompts_longest(const struct prompts *p);
