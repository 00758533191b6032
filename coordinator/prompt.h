/* coordinator/prompt.h — turns of a conversation -> ids, as the published chat template writes them. */
#ifndef COORDINATOR_PROMPT_H
#define COORDINATOR_PROMPT_H

#include "coordinator/tokenizer.h"

enum speaker { SPEAKER_SYSTEM, SPEAKER_USER, SPEAKER_MODEL };

struct turn {
    enum speaker who;
    const char *text;
    size_t n;
};

/* The whole prompt: <bos>, the turns, and "<start_of_turn>model\n" for the answer. System text, if any, is first and goes
 * untrimmed in front of the first user text with a blank line; others are trimmed. Roles must alternate, user first:
 * E_USAGE with the template's own complaint. The template's parts are trusted, the turns' texts are not. Note that
 * text is tokenized together with the newline that the template puts beside it (facts: one run of newlines is one
 * token), yet never makes a control token. */
int prompt_chat(const struct tokenizer *t, const struct turn *turns, size_t n, struct ids *out, struct err *why);

/* What follows in the KV cache after the model's answer: "<end_of_turn>\n" (the end_of_turn only if the answer did not
 * bring it) and the next user turn, ready for the next answer. */
int prompt_next_turn(const struct tokenizer *t, bool answer_was_ended, const char *user, size_t n, struct ids *out, struct err *why);

/* <bos> + text as is. */
int prompt_raw(const struct tokenizer *t, const char *text, size_t n, struct ids *out, struct err *why);

#endif
