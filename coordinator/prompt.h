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

/* The whole prompt: <bos>, the turns, and "<start_of_turn>model\n" for the answer. System text, if any, is first and
 * goes untrimmed in front of the first user text with a blank line; others are trimmed. Roles must alternate, user
 * first: E_USAGE with the template's own complaint. So is a conversation without a user: the template would drop its
 * system text without a word. The template's parts are trusted, the turns' texts are not. Note that text is tokenized
 * together with the newline that the template puts beside it (one run of newlines is one token), yet never makes a
 * control token. On an error `out` is as it was. */
int prompt_chat(const struct tokenizer *t, const struct turn *turns, size_t n, struct ids *out, struct err *why);

/* What follows in the KV cache after the model's answer: "<end_of_turn>\n" (the end_of_turn only if the answer did not
 * bring it) and the next user turn, ready for the next answer. `answer_was_ended` means that <end_of_turn> itself is in
 * the cache; an <eos> is not that.
 *
 * The ids are those that prompt_chat of the longer conversation has after the answer: always, because the answer is
 * fenced off by control tokens. So cache and longer prompt agree as a whole exactly if the answer's own ids are what
 * its text, trimmed, is encoded to after "model\n". A model may choose other ids for the same text, or begin or end
 * with white space; then the cache remembers what it really said, and the longer prompt what it should have. */
int prompt_next_turn(const struct tokenizer *t, bool answer_was_ended, const char *user, size_t n, struct ids *out,
                     struct err *why);

/* <bos> + text as is. The text is not trusted. */
int prompt_raw(const struct tokenizer *t, const char *text, size_t n, struct ids *out, struct err *why);

#endif
