/* coordinator/batch/result.h — a line of the result file, as OpenAI's batch interface writes it.
 *
 * Nothing in it depends on time, load, or what ran beside it: the same job gives the same bytes. Its ids are hashes of the job and
 * the line; "created" is what the job says, 0 if it says nothing; "system_fingerprint" names weights and version of the numbers. */
#pragma once

#include "coordinator/batch/logprobs.h"
#include "coordinator/batch/request.h"

/* The same for all lines of a job. */
struct result_common {
    uint64_t job;        /* hash of all that can change a word */
    uint64_t created;
    const char *model;   /* name of the file, without folder and ending */
    char fingerprint[20]; /* "fp_0123456789abcdef" */
    const struct tokenizer *tokens; /* for log-probabilities */
};

struct result_choice {
    const char *text;
    size_t n;
    uint32_t tokens; /* made, the ending one included */
    const struct logprobs *logprobs; /* NULL: not wanted */
    bool cut;        /* a stop text ended it */
    bool stopped;    /* "stop": the model or a stop text ended it; else "length" */
};

/* What an answer took. `cached` depends on what was asked before, so results that must be the same each time leave the details out. */
struct result_usage {
    uint64_t prompt, made;
    bool details;
    uint64_t cached, pictures; /* tokens of the prompt that were there already, and rows of pictures */
};
void result_print_usage(FILE *to, const struct result_usage *u);

/* What was answered, and why something was not, as the interfaces' "body" has them; `line` gives the ids, and of a refusal stands in it
 * unless it is 0. Of what it took the tokens made are counted here. */
void result_print_body(FILE *to, const struct result_common *c, const struct request *r, size_t line, const struct result_choice *choices,
                       struct result_usage usage);
void result_print_error(FILE *to, const struct refusal *no, size_t line);
void result_print_id(FILE *to, const struct result_common *c, const struct request *r, size_t line); /* "chatcmpl-…" in quotes */

/* One line without its line end. *out is the caller's, *bytes long; E_MEMORY. */
int result_answered(char **out, size_t *bytes, const struct result_common *c, const struct request *r, size_t line,
                    const struct result_choice *choices, uint64_t prompt_tokens, struct err *why);
int result_refused(char **out, size_t *bytes, const struct result_common *c, const struct request *r, size_t line, struct err *why);
