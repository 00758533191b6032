/* coordinator/text/prompt.h — turns of a conversation -> ids, as the published chat template writes them; and the places
 * among them where pictures' rows go. */
#pragma once

#include "coordinator/text/tokenizer.h"

enum speaker { SPEAKER_SYSTEM, SPEAKER_USER, SPEAKER_MODEL };

/* A message is a list of texts and pictures, in the order they were said. Each text is trimmed for itself and nothing
 * is put between them: the template joins them so. (A system message must be one text: of a longer list the template
 * would use only the first, without a word.) Where a picture stands, the published processor writes
 *
 *     \n\n<start_of_image> rows × <image_soft_token> <end_of_image>\n\n
 *
 * and tokenizes all of it with what stands around, so that runs of newlines become one token: "user\n" and a picture
 * make three newlines, id 109. With crops (pan and scan) it writes instead, each SEQ such a sequence for one of the
 * pictures,
 *
 *     Here is the original image SEQ and here are some crops to help you see better SEQ SEQ …
 */
struct content {
    const char *text; /* NULL: a picture */
    size_t n;
    uint32_t crops; /* of a picture: how many follow the whole one; 0 without pan and scan */
    bool trusted;   /* a text that may make control tokens */
};

struct chat_message {
    enum speaker who;
    const struct content *content;
    size_t n;
};

/* Where the rows of one picture, or of one of its crops, take the places of soft tokens: ids first .. first + n − 1, an
 * unbroken run. The id that stands there is a mark only, never to be looked up in the embedding table. */
struct picture_span {
    size_t first, n; /* `first` counts from the beginning of the list of ids, what it held before included */
    size_t picture;  /* which of the call's pictures, from 0 in the order they were said */
    uint32_t crop;   /* 0 the whole picture, i its i-th crop */
};

/* A growing list, in the order of the ids. Start with {0}; free with picture_spans_free. */
struct picture_spans {
    struct picture_span *span;
    size_t n, capacity;
};
int picture_spans_add(struct picture_spans *spans, struct picture_span span, struct err *why);
void picture_spans_free(struct picture_spans *spans);

/* The whole prompt: <bos>, the messages, and "<start_of_turn>model\n" for the answer. System text, if any, is first and
 * goes untrimmed in front of the first user text with a blank line; others are trimmed. Roles must alternate, user
 * first: E_USAGE with the template's own complaint. So is a conversation without a user: the template would drop its
 * system text without a word. The template's parts are trusted, the texts as they say. Note that text is tokenized
 * together with the newline that the template puts beside it (one run of newlines is one token), yet never makes a
 * control token. `rows` is how many rows the encoder makes of a picture (256; 0: the model has no encoder, so a picture is
 * E_USAGE). On an error neither list has changed. */
int prompt_messages(const struct tokenizer *t, const struct chat_message *messages, size_t n, uint32_t rows,
                    struct ids *out, struct picture_spans *spans, struct err *why);

/* What follows in the KV cache after the model's answer: "<end_of_turn>\n" (the end_of_turn only if the answer did not
 * bring it) and the next user turn, ready for the next answer. `answer_was_ended` means that <end_of_turn> itself is in
 * the cache; an <eos> is not that.
 *
 * The ids are those that prompt_messages of the longer conversation has after the answer: always, because the answer is
 * fenced off by control tokens. So cache and longer prompt agree as a whole exactly if the answer's own ids are what
 * its text, trimmed, is encoded to after "model\n". A model may choose other ids for the same text, or begin or end
 * with white space; then the cache remembers what it really said, and the longer prompt what it should have. */
int prompt_next_message(const struct tokenizer *t, bool answer_was_ended, const struct chat_message *user,
                        uint32_t rows, struct ids *out, struct picture_spans *spans, struct err *why);

/* <bos>, unless a trusted text brings it, and the contents untrimmed. */
int prompt_raw_content(const struct tokenizer *t, const struct content *content, size_t n, uint32_t rows,
                       struct ids *out, struct picture_spans *spans, struct err *why);
