/* coordinator/cmd/stream.h — an answer on stdout as it is made. A slow reader slows this answer and nothing else. */
#pragma once

#include "coordinator/cmd/collect.h"
#include "coordinator/cmd/session.h"

/* Asks, streams the answer and a newline to stdout, and gathers it. A reader that goes away cancels the answer: E_FILE.
 * A Ctrl-C that only asks (base/interrupt.h) ends it too, which is no error.
 * Other errors: the ask was refused (then nothing was printed), or the run is over. */
int stream_answer(struct session *s, const struct ask *ask, struct collected *out, struct err *why);
