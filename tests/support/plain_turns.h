/* tests/support/plain_turns.h — conversations of plain text, as coordinator/text/prompt.h would have them with pictures. */
#pragma once

#include "coordinator/text/prompt.h"

struct turn {
    enum speaker who;
    const char *text;
    size_t n;
};

#define PLAIN_TURNS_MOST 64

static inline int prompt_chat(const struct tokenizer *t, const struct turn *turns, size_t n, struct ids *out, struct err *why)
{
    struct picture_spans none = {0};
    struct chat_message messages[PLAIN_TURNS_MOST];
    struct content texts[PLAIN_TURNS_MOST];
    if (n > PLAIN_TURNS_MOST) return fail(why, E_MEMORY, "%zu turns", n);
    for (size_t i = 0; i < n; i++) {
        texts[i] = (struct content){.text = turns[i].text, .n = turns[i].n};
        messages[i] = (struct chat_message){turns[i].who, &texts[i], 1};
    }
    return prompt_messages(t, messages, n, 0, out, &none, why);
}

static inline int prompt_next_turn(const struct tokenizer *t, bool ended, const char *user, size_t n, struct ids *out, struct err *why)
{
    struct picture_spans none = {0};
    const struct content text = {.text = user, .n = n};
    return prompt_next_message(t, ended, &(struct chat_message){SPEAKER_USER, &text, 1}, 0, out, &none, why);
}

static inline int prompt_raw(const struct tokenizer *t, const char *text, size_t n, struct ids *out, struct err *why)
{
    struct picture_spans none = {0};
    return prompt_raw_content(t, &(struct content){.text = text, .n = n}, 1, 0, out, &none, why);
}
