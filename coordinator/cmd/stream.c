/* coordinator/cmd/stream.c — see stream.h. */
#include "coordinator/cmd/stream.h"

#include "base/interrupt.h"
#include "coordinator/cmd/stdout_ring.h"
#include "coordinator/text/text_writer.h"

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
    stdout_ring_flush(s->ring, NULL); /* a failure is told at the end of the turn */
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

int stream_answer(struct session *session, const struct ask *ask, struct collected *out, struct err *why)
{
    struct stream s = {.collected = out, .ring = session->out};
    const struct listener listener = {.token = take_token, .finished = take_end, .user = &s};
    uint64_t number;
    s.writer = (struct writer){.tokens = session->tokens, .to = stdout_ring_stream(s.ring)};
    TRY(fleet_ask(session->fleet, ask, &listener, &number, why));
    int code = 0;
    while (out->ended.how == FINISH_NOT || (!code && !stdout_ring_empty(s.ring))) {
        code = session_turn(session, TURN_MS, why);
        if (code) fleet_cancel(session->fleet, number); /* if the run is over it has ended already */
        else if (interrupt_asked()) fleet_enough(session->fleet, number);
    }
    return code;
}
