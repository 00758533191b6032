/* coordinator/prompt.c — see prompt.h.
 *
 * A prompt is a list of parts, the template's trusted and the people's not, encoded as one text: that is what the
 * published processor does, and it matters at the seams. A system text that ends in a newline makes one token with the
 * blank line after it. */
#include "coordinator/prompt.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_PER_TURN 5

struct part_list {
    struct text_part *part;
    size_t n;
};

static void add_template(struct part_list *l, const char *text)
{
    l->part[l->n++] = (struct text_part){text, strlen(text), true};
}

static void add_text(struct part_list *l, const char *text, size_t n)
{
    l->part[l->n++] = (struct text_part){text, n, false};
}

static void add_trimmed(struct part_list *l, const char *text, size_t n)
{
    utf8_trim(&text, &n);
    add_text(l, text, n);
}

static int check_turns(const struct turn *turns, size_t n, struct err *why)
{
    size_t first = n && turns[0].who == SPEAKER_SYSTEM;
    if (first == n)
        return fail(why, E_USAGE, "a conversation needs a user's turn; this one has %zu turns, none of a user", n);
    for (size_t i = first; i < n; i++)
        if (turns[i].who != ((i - first) % 2 ? SPEAKER_MODEL : SPEAKER_USER))
            return fail(why, E_USAGE,
                        "Conversation roles must alternate user/assistant/user/assistant/... (turn %zu does not)",
                        i + 1);
    return 0;
}

static int check_vocabulary(const struct tokenizer *t, struct err *why)
{
    struct specials s = tokenizer_specials(t);
    if (s.bos >= 0 && s.start_of_turn >= 0 && s.end_of_turn >= 0) return 0;
    return fail(why, E_USAGE,
                "this model's vocabulary has no %s, so it cannot hold a conversation; give it plain text instead",
                s.bos < 0             ? "<bos>"
                : s.start_of_turn < 0 ? "<start_of_turn>"
                                      : "<end_of_turn>");
}

static void add_turns(struct part_list *l, const struct turn *turns, size_t n)
{
    const struct turn *system = turns[0].who == SPEAKER_SYSTEM ? turns : 0;
    add_template(l, "<bos>");
    for (size_t i = system ? 1 : 0; i < n; i++) {
        add_template(l, turns[i].who == SPEAKER_USER ? "<start_of_turn>user\n" : "<start_of_turn>model\n");
        if (system) {
            add_text(l, system->text, system->n);
            add_template(l, "\n\n");
            system = 0;
        }
        add_trimmed(l, turns[i].text, turns[i].n);
        add_template(l, "<end_of_turn>\n");
    }
    add_template(l, "<start_of_turn>model\n");
}

int prompt_chat(const struct tokenizer *t, const struct turn *turns, size_t n, struct ids *out, struct err *why)
{
    TRY(check_turns(turns, n, why));
    TRY(check_vocabulary(t, why));
    struct part_list list = {.part = calloc(n + 1, PARTS_PER_TURN * sizeof *list.part)};
    if (!list.part) return fail(why, E_MEMORY, "no memory for a conversation of %zu turns", n);
    add_turns(&list, turns, n);
    int code = tokenizer_encode_parts(t, list.part, list.n, out, why);
    free(list.part);
    return code;
}

int prompt_next_turn(const struct tokenizer *t, bool answer_was_ended, const char *user, size_t n, struct ids *out,
                     struct err *why)
{
    TRY(check_vocabulary(t, why));
    struct text_part parts[PARTS_PER_TURN];
    struct part_list list = {.part = parts};
    add_template(&list, answer_was_ended ? "\n<start_of_turn>user\n" : "<end_of_turn>\n<start_of_turn>user\n");
    add_trimmed(&list, user, n);
    add_template(&list, "<end_of_turn>\n<start_of_turn>model\n");
    return tokenizer_encode_parts(t, list.part, list.n, out, why);
}

int prompt_raw(const struct tokenizer *t, const char *text, size_t n, struct ids *out, struct err *why)
{
    struct specials s = tokenizer_specials(t);
    size_t before = out->n;
    if (s.bos < 0) return fail(why, E_USAGE, "this model's vocabulary has no <bos> to begin a text with");
    TRY(ids_push(out, (uint32_t)s.bos, why));
    int code = tokenizer_encode(t, text, n, false, out, why);
    if (code) out->n = before;
    return code;
}
