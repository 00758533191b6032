/* coordinator/serve/responses.h — /v1/responses, as far as clients that want text need it: another way to ask for a chat, and to be answered.
 *
 * Nothing is remembered from one response to the next: what was said comes again in `input`. No tools. */
#pragma once

#include "coordinator/serve/reply.h"

/* The request [n] as the body of a chat; *out is the caller's. E_USAGE: it cannot be one. */
int responses_as_chat(char **out, size_t *out_n, const char *text, size_t n, struct err *why);

struct response {
    const struct result_common *common;
    const char *text; /* [n] of the answer so far, all of it */
    size_t n;
    bool cut_off;     /* by its length */
    struct result_usage usage;
};

void responses_answer(struct exchange *x, const struct response *r);

/* A piece of a stream, [n] bytes from `from` on; the first begins it, the last, `ends`, is followed by all that closes it. *events: how many
 * were sent, 0 at first. */
void responses_piece(struct exchange *x, const struct response *r, size_t from, bool ends, uint32_t *events);
