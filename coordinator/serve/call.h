/* coordinator/serve/call.h — one request for words, from the moment it is read to its last byte.
 *
 *   exchange ─► request ─► question ─► asks, one for each choice ─► pieces of a stream, or one answer ─► exchange
 *
 * Who reads slowly holds back its own answer: the listener is full, and the engine keeps the slot. Who has gone is cancelled.
 *
 * Threads: the engine's. */
#pragma once

#include "coordinator/batch/answer_text.h"
#include "coordinator/batch/question.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/schema/shaped.h"
#include "coordinator/serve/reply.h"

struct call_setup { /* everything it points to must stay */
    struct fleet *fleet;
    struct shaped_words *words; /* for answers that are held to a schema */
    struct question_setup question;
    struct request_defaults defaults;
    struct result_common common;
    uint64_t seed;       /* of requests that bring none */
    uint64_t settings;   /* hash of all else that can change a word, for batches that go on in another run */
    uint32_t stall_seconds; /* a reader that takes nothing for so long is given up; 0: never */
    bool any_model;      /* whatever a request calls the model */
    uint32_t sequences;  /* that are held at once */
    uint32_t at_once;    /* answers that the engine is asked for at a time; requests beyond wait for their turn */
};

struct call;
struct metrics;

/* What became of it, for whoever counts. */
struct call_numbers {
    uint64_t came_ns, asked_ns, first_ns, done_ns; /* it was waiting until it was asked; first_ns 0: there was no token */
    uint64_t prompt_tokens, reused_tokens, made, most; /* most: tokens that one of its answers may have */
    bool stopped, length, cancelled; /* how its choices ended */
    bool failed; /* its reader was told an error, and be it that it cannot be asked */
};

/* Reads the request of an exchange, and asks; one that is refused is over at once. NULL: there was no memory, which its reader was told,
 * and the exchange is ended. The body is that of a chat, or of a completion. salt: struct ask's. */
struct call_origin {
    bool chat, response; /* response: a chat by way of responses.h */
    uint64_t salt, came_ns;
    struct metrics *metrics; /* is told of each token */
};
struct call *call_begin(const struct call_setup *setup, struct exchange *x, const struct call_origin *from);

/* Looks whether its reader is gone or stalls, and keeps a silent stream alive. True: it is over, and call_end may follow. */
bool call_is_over(struct call *c, uint64_t now_ns);
const struct call_numbers *call_numbers(const struct call *c);

/* No more of it is wanted: the run ends. Its reader is told `why` when the engine is closed. */
void call_give_up(struct call *c, const struct err *why);

/* Ends the exchange and frees it; before the engine is closed, or after. */
void call_end(struct call *c, bool engine_closed);
