/* coordinator/batch/request.h — one line of a job file -> what it asks for.
 *
 * Read are the lines of OpenAI's batch interface, {"custom_id", "method", "url", "body"}, with a body as for chat completions or
 * completions, and a body alone: {"messages": …} or {"prompt": …}. docs/BATCH.md says which fields are read and what becomes of each.
 *
 * A line is a stranger's. One that cannot be asked is a request all the same, a refused one: it says why, and in the result file
 * its place is taken by that answer. Only a lack of memory is an error of the caller's.
 *
 * Memory: everything a request points to is its own; texts are copied out of the line. */
#pragma once

#include "base/json.h"
#include "coordinator/engine/biases.h"
#include "coordinator/schema/schema.h"
#include "coordinator/text/prompt.h"
#include "transport/wire/wire.h"

#define REQUEST_STOPS 16
#define REQUEST_CHOICES 128
#define REQUEST_BIASES 1024

/* Why a line has no answer, as the field "error" says it to OpenAI's clients. */
struct refusal {
    int status;       /* as of HTTP: 400 a bad request, 500 ours; 0: not refused */
    const char *code; /* one word, constant: "invalid_json" */
    char param[64];   /* the field in question, "messages[2].content"; empty if none */
    struct err why;
};

struct request {
    char *custom_id; /* NULL: the line has none */
    bool chat;       /* messages; else one text */

    struct chat_message *messages; /* [n_messages], of a chat: system first if any, then user and model by turns, a user last */
    size_t n_messages;
    size_t n_read; /* of the line's own list, so far */
    char *begun; /* of a chat: how the answer begins, as its last message says; NULL: it does not */
    char *text;  /* of a completion; or its ids, as they are: */
    struct ids ids;
    char **pictures; /* [n_pictures], in the order of the messages: paths and data URLs */
    size_t n_pictures;
    bool pan_and_scan; /* a picture with "detail": "high" */

    struct sampling sampling;
    bool has_seed;
    struct bias_wish wish; /* its words are its own */
    struct {
        bool truth, number; /* what the field is: a chat has a truth, a completion how many, 0 being the tokens alone */
        uint32_t n;
    } logprobs;
    bool wants_logprobs;
    uint32_t top; /* alternatives to each token */
    uint32_t most; /* tokens of the answer */
    uint32_t choices;
    struct schema *shape; /* what the answer must be; NULL: any text */
    char *tools, *forced; /* functions that may be called, as they stand in the line; the one that must be. NULL: none */
    enum { TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED } choice;
    bool calls; /* the answer is a call, or words beside one: said_call_read */
    bool run_on; /* past tokens that end an answer */
    char *model;  /* the name that was asked for; NULL: none */
    bool stream, include_usage; /* only where there is somebody to stream to */
    double timeout;     /* seconds; 0: none */
    uint32_t later;     /* the larger, the more urgent others are */
    uint64_t cache_key; /* what begins alike is shared among requests of this key alone; 0: none is said */
    bool shares_nothing;
    char *stop[REQUEST_STOPS];
    uint32_t n_stops;

    struct refusal refused;
};

/* What a line that says nothing about it gets. */
struct request_defaults {
    struct sampling sampling;
    uint32_t most;
    const char *file; /* for sentences */
    bool strict_fields; /* an unknown field is refused, not passed over */
    bool streams; /* answers can be streamed; in a file they cannot */
    bool may_call; /* the model may choose between words and a call */
};

/* Line number `line` of the file, without its line end. Only E_MEMORY. request_free in any case. */
int request_read(struct request *r, const char *text, size_t n, size_t line, const struct request_defaults *d, struct err *why);
void request_free(struct request *r);

/* The request cannot be answered, for this reason; the first one stays. Returns 0. */
int request_refuse(struct request *r, int status, const char *code, const char *param, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The call in an answer to a request with `calls`, or its words. Not 0: it is neither, as it was cut off. said_call_free. */
struct said_call {
    char *name, *words;
    const char *arguments; /* [n] in the text that was read */
    size_t n;
};
int said_call_read(struct said_call *out, const char *text, size_t n);
void said_call_free(struct said_call *c);
void said_call_print(FILE *to, const struct said_call *c, uint64_t id, bool in_stream); /* "tool_calls": […] */

/* ---- between request.c, request_messages.c and request_tools.c ---- */

int request_tools(struct request *r, struct json *j);
int request_tool_choice(struct request *r, struct json *j);
int request_tools_end(struct request *r, bool may_choose, struct err *why); /* when all fields are read */
int request_add_system(struct request *r, char *text, struct err *why); /* behind the system's text, if any; the text is taken */

/* The value of "messages": r->messages, r->pictures, r->begun. */
int request_messages(struct request *r, struct json *j);
char *request_copy(struct json_text s, struct err *why); /* NUL-terminated; NULL without memory */
