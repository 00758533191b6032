/* coordinator/cmd/conversation.h — what was said in a chat, as turns and as the token ids that the workers hold of it.
 *
 * A question is appended to the ids, so that it costs its own tokens only. Where it does not fit any more the oldest questions and
 * their answers are forgotten, as few as it takes, and the rest is read anew. A question that cannot be asked leaves no trace. */
#pragma once

#include "coordinator/cmd/collect.h"
#include "coordinator/cmd/session.h"
#include "coordinator/picture/prompt_pictures.h"

struct conversation;

/* `session` is launched and stays; `options` say how long the context and an answer are. */
int conversation_open(struct conversation **out, const struct session *session, struct err *why);
void conversation_close(struct conversation **c);

/* Reads a picture, which will stand before the next question. */
int conversation_show(struct conversation *c, const char *name, struct err *why);

/* Fills `ask` with the whole conversation and this question as its end; it stands until the next call. E_USAGE: the question does
 * not fit the context even alone. On any error it is dropped, with its pictures. */
int conversation_ask(struct conversation *c, const char *text, size_t n, struct ask *ask, struct err *why);

/* One of the two after conversation_ask: the answer belongs to the conversation, or the question does not either. */
int conversation_answered(struct conversation *c, const struct collected *answer, struct err *why);
void conversation_drop(struct conversation *c);
