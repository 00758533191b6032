/* coordinator/text/prompt.c — see prompt.h.
 *
 * A prompt is a list of parts, the template's trusted and the people's not, encoded as one text: that is what the
 * published processor does, and it matters at the seams. A system text that ends in a newline makes one token with the
 * blank line after it.
 *
 * A picture is written without its soft tokens and they are put in afterwards, behind every <start_of_image>: a text beside
 * pictures may not make one, and files exist whose vocabulary has no text for the soft token. Control tokens are cut
 * out first, so what stands between them changes nothing else. */
#include "coordinator/text/prompt.h"

#include <stdlib.h>
#include <string.h>

#define BOS "<bos>"
#define PARTS_PER_MESSAGE 5
#define CROPS_MOST 1000 /* far beyond what pan and scan makes: a bound for sizes */

struct part_list {
    struct text_part *part;
    size_t n;
    struct picture_spans *spans; /* of each picture in the list, where it will be is not known yet */
    size_t pictures;
};

static void add_template(struct part_list *l, const char *text)
{
    l->part[l->n++] = (struct text_part){text, strlen(text), true};
}

static void add_text(struct part_list *l, const char *text, size_t n, bool trusted)
{
    l->part[l->n++] = (struct text_part){text, n, trusted};
}

int picture_spans_add(struct picture_spans *s, struct picture_span span, struct err *why)
{
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 4;
        struct picture_span *more = realloc(s->span, capacity * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for the places of %zu pictures", capacity);
        s->span = more;
        s->capacity = capacity;
    }
    s->span[s->n++] = span;
    return 0;
}

static int add_sequence(struct part_list *l, uint32_t crop, struct err *why)
{
    TRY(picture_spans_add(l->spans, (struct picture_span){.picture = l->pictures, .crop = crop}, why));
    add_template(l, "\n\n<start_of_image><end_of_image>\n\n");
    return 0;
}

static int add_picture(struct part_list *l, uint32_t crops, struct err *why)
{
    if (crops) add_template(l, "Here is the original image ");
    TRY(add_sequence(l, 0, why));
    for (uint32_t i = 1; i <= crops; i++) {
        add_template(l, i == 1 ? " and here are some crops to help you see better " : " ");
        TRY(add_sequence(l, i, why));
    }
    l->pictures++;
    return 0;
}

static int add_content(struct part_list *l, const struct content *c, size_t n, bool trim, struct err *why)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = c[i].text;
        size_t bytes = c[i].n;
        if (!text) {
            TRY(add_picture(l, c[i].crops, why));
            continue;
        }
        if (trim) utf8_trim(&text, &bytes);
        add_text(l, text, bytes, c[i].trusted);
    }
    return 0;
}

/* Every part of every message, or E_USAGE if there are impossibly many crops. */
static int make_room(struct part_list *l, const struct chat_message *m, size_t n, struct err *why)
{
    size_t parts = PARTS_PER_MESSAGE;
    for (size_t i = 0; i < n; i++) {
        parts += PARTS_PER_MESSAGE;
        for (size_t k = 0; k < m[i].n; k++) {
            const struct content *c = &m[i].content[k];
            if (!c->text && c->crops > CROPS_MOST)
                return fail(why, E_USAGE, "a picture with %u crops; at most %d", c->crops, CROPS_MOST);
            parts += c->text ? 1 : 2 + 2 * (size_t)c->crops;
        }
    }
    l->part = calloc(parts, sizeof *l->part);
    return l->part ? 0 : fail(why, E_MEMORY, "no memory for a conversation of %zu turns", n);
}

/* ---- what may not be ---- */

static int check_messages(const struct chat_message *m, size_t n, struct err *why)
{
    size_t first = n && m[0].who == SPEAKER_SYSTEM;
    if (first == n)
        return fail(why, E_USAGE, "a conversation needs a user's turn; this one has %zu turns, none of a user", n);
    if (first && (m[0].n != 1 || !m[0].content[0].text))
        return fail(why, E_USAGE, "a system turn must be one text, without pictures; this one has %zu parts", m[0].n);
    for (size_t i = first; i < n; i++)
        if (m[i].who != ((i - first) % 2 ? SPEAKER_MODEL : SPEAKER_USER))
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

static int check_picture_tokens(const struct tokenizer *t, uint32_t rows, struct err *why)
{
    struct specials s = tokenizer_specials(t);
    if (!rows) return fail(why, E_USAGE, "this model has no vision encoder, so it cannot be shown a picture");
    if (s.start_of_image >= 0 && s.end_of_image >= 0 && s.image_soft >= 0) return 0;
    return fail(why, E_USAGE, "this model's vocabulary has no %s, so it cannot be shown a picture",
                s.start_of_image < 0 ? "<start_of_image>"
                : s.end_of_image < 0 ? "<end_of_image>"
                                     : "<image_soft_token>");
}

/* ---- parts -> ids ---- */

/* Copies the ids and puts the soft tokens in; span after span learns its place. */
static int put_rows(const struct tokenizer *t, const struct ids *ids, uint32_t rows, struct ids *out,
                    struct picture_span *span, size_t n_spans, struct err *why)
{
    struct specials s = tokenizer_specials(t);
    size_t seen = 0;
    for (size_t i = 0; i < ids->n; i++) {
        TRY(ids_push(out, ids->id[i], why));
        if (!n_spans || ids->id[i] != (uint32_t)s.start_of_image) continue;
        if (seen == n_spans) return fail(why, E_USAGE, "the text itself has a <start_of_image>, whose picture is not known");
        span[seen].first = out->n;
        span[seen++].n = rows;
        for (uint32_t k = 0; k < rows; k++) TRY(ids_push(out, (uint32_t)s.image_soft, why));
    }
    return seen == n_spans ? 0 : fail(why, E_INTERNAL, "%zu of %zu pictures got a place", seen, n_spans);
}

static int encode(const struct tokenizer *t, const struct part_list *l, uint32_t rows, size_t first_span,
                  struct ids *out, struct err *why)
{
    struct ids ids = {0};
    size_t before = out->n, pictures = l->spans->n - first_span;
    int code = pictures ? check_picture_tokens(t, rows, why) : 0;
    if (!code) code = tokenizer_encode_parts(t, l->part, l->n, &ids, why);
    if (!code) code = put_rows(t, &ids, rows, out, pictures ? l->spans->span + first_span : NULL, pictures, why);
    if (code) out->n = before;
    ids_free(&ids);
    return code;
}

static int add_messages(struct part_list *l, const struct chat_message *m, size_t n, struct err *why)
{
    const struct content *system = m[0].who == SPEAKER_SYSTEM ? m[0].content : NULL;
    add_template(l, BOS);
    for (size_t i = system ? 1 : 0; i < n; i++) {
        add_template(l, m[i].who == SPEAKER_USER ? "<start_of_turn>user\n" : "<start_of_turn>model\n");
        if (system) {
            add_text(l, system->text, system->n, false);
            add_template(l, "\n\n");
            system = NULL;
        }
        TRY(add_content(l, m[i].content, m[i].n, true, why));
        add_template(l, "<end_of_turn>\n");
    }
    add_template(l, "<start_of_turn>model\n");
    return 0;
}

int prompt_messages(const struct tokenizer *t, const struct chat_message *m, size_t n, uint32_t rows, struct ids *out,
                    struct picture_spans *spans, struct err *why)
{
    struct part_list list = {.spans = spans};
    size_t before = spans->n;
    TRY(check_messages(m, n, why));
    TRY(check_vocabulary(t, why));
    TRY(make_room(&list, m, n, why));
    int code = add_messages(&list, m, n, why);
    if (!code) code = encode(t, &list, rows, before, out, why);
    if (code) spans->n = before;
    free(list.part);
    return code;
}

int prompt_next_message(const struct tokenizer *t, bool answer_was_ended, const struct chat_message *user,
                        uint32_t rows, struct ids *out, struct picture_spans *spans, struct err *why)
{
    struct part_list list = {.spans = spans};
    size_t before = spans->n;
    TRY(check_vocabulary(t, why));
    TRY(make_room(&list, user, 1, why));
    add_template(&list, answer_was_ended ? "\n<start_of_turn>user\n" : "<end_of_turn>\n<start_of_turn>user\n");
    int code = add_content(&list, user->content, user->n, true, why);
    add_template(&list, "<end_of_turn>\n<start_of_turn>model\n");
    if (!code) code = encode(t, &list, rows, before, out, why);
    if (code) spans->n = before;
    free(list.part);
    return code;
}

int prompt_raw_content(const struct tokenizer *t, const struct content *content, size_t n, uint32_t rows,
                       struct ids *out, struct picture_spans *spans, struct err *why)
{
    struct part_list list = {.spans = spans};
    size_t ids_before = out->n, spans_before = spans->n;
    struct specials s = tokenizer_specials(t);
    if (s.bos < 0) return fail(why, E_USAGE, "this model's vocabulary has no <bos> to begin a text with");
    TRY(make_room(&list, &(struct chat_message){SPEAKER_USER, content, n}, 1, why));
    const bool begun = n && content->trusted && content->n >= strlen(BOS) && !memcmp(content->text, BOS, strlen(BOS));
    int code = add_content(&list, content, n, false, why);
    if (!code && !begun) code = ids_push(out, (uint32_t)s.bos, why);
    if (!code) code = encode(t, &list, rows, spans_before, out, why);
    if (code) out->n = ids_before, spans->n = spans_before;
    free(list.part);
    return code;
}

void picture_spans_free(struct picture_spans *spans)
{
    free(spans->span);
    *spans = (struct picture_spans){0};
}
