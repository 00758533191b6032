/* coordinator/cmd/stream.c — see stream.h. */
#include "coordinator/cmd/stream.h"

#include "coordinator/cmd/stdout_ring.h"
#include "coordinator/text/text_writer.h"

#include <unistd.h>

#define SLOW_MS 20 /* between two looks at a reader that does not take all */

struct stream {
    struct collected *collected;
    struct stdout_ring *ring;
    struct writer writer;
};

static bool take_token(void *user, const struct said *said)
{
    struct stream *s = user;
    const struct listener inner = collect_into(s->collected);
    if (stdout_ring_full(s->ring) || !inner.token(inner.user, said)) return false;
    writer_token(&s->writer, said->id);
    stdout_ring_flush(s->ring);
    return true;
}

static void take_end(void *user, const struct ended *ended)
{
    struct stream *s = user;
    const struct listener inner = collect_into(s->collected);
    inner.finished(inner.user, ended);
    writer_end(&s->writer);
    fputc('\n', s->writer.to);
}

/* Until the answer is over and its reader has it. */
static int keep_turning(struct session *session, struct stream *s, uint64_t number, struct err *why)
{
    while (s->collected->ended.how == FINISH_NOT || !stdout_ring_empty(s->ring)) {
        TRY(engine_turn(session->engine, stdout_ring_empty(s->ring) ? TURN_MS : SLOW_MS, why));
        if (!stdout_ring_flush(s->ring)) engine_cancel(session->engine, number);
    }
    return 0;
}

int stream_answer(struct session *session, const struct ask *ask, struct collected *out, struct err *why)
{
    struct stream s = {.collected = out};
    const struct listener listener = {.token = take_token, .finished = take_end, .user = &s};
    uint64_t number;
    fflush(stdout);
    TRY(stdout_ring_open(&s.ring, STDOUT_FILENO, why));
    s.writer = (struct writer){.tokens = session->tokens, .to = stdout_ring_stream(s.ring)};
    int code = engine_ask(session->engine, ask, &listener, &number, why);
    if (!code) code = keep_turning(session, &s, number, why);
    if (!stdout_ring_flush(s.ring) && !code) code = fail(why, E_FILE, "the answer could not be written to stdout");
    stdout_ring_close(&s.ring);
    return code;
}
