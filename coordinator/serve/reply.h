/* coordinator/serve/reply.h — answers as OpenAI's interface writes them: bodies, the events of a stream, errors. */
#pragma once

#include "coordinator/batch/result.h"
#include "coordinator/serve/http.h"

#define EVENT_STREAM "text/event-stream"
#define JSON_TYPE "application/json"

/* JSON that is put together in memory, written to `to`. Where there is no memory the reader is told so: false, and it is answered. */
struct page {
    char *text;
    size_t n;
    FILE *to;
};
bool reply_open(struct exchange *x, struct page *p);
void reply_close(struct exchange *x, int status, struct page *p); /* answers with it */

/* {"error": {…}} with the status and code of the refusal; the exchange goes on living. */
void reply_refusal(struct exchange *x, const struct refusal *no);
void reply_error(struct exchange *x, int status, const char *code, const char *format, ...) __attribute__((format(printf, 4, 5)));
char *reply_error_body(int status, const char *sentence); /* as http_setup wants it */

/* The whole answer. */
void reply_answer(struct exchange *x, const struct result_common *c, const struct request *r, const struct result_choice *choices,
                  const struct result_usage *usage);

/* A piece of one choice of a stream. */
struct reply_piece {
    uint32_t index;
    bool first;        /* of its choice: says whose words they are */
    const char *text;
    size_t n;
    const struct logprobs *logprobs; /* of the tokens of this piece; NULL: not wanted */
    const char *all;   /* [all_n] the choice's text up to and with this piece, which logprobs count in */
    size_t all_n;
    bool cut;
    const char *finish; /* NULL: it goes on */
};
/* What there is no memory for breaks the stream: its reader could not see that something is missing. */
void reply_piece(struct exchange *x, const struct result_common *c, const struct request *r, const struct reply_piece *p);
void reply_usage(struct exchange *x, const struct result_common *c, const struct request *r, const struct result_usage *usage);
void reply_done(struct exchange *x); /* data: [DONE] */
void reply_stream_error(struct exchange *x, const struct refusal *no); /* after the beginning; there is no [DONE] then */
void reply_comment(struct exchange *x); /* something to hear while nothing is said */
