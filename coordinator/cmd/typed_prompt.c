/* coordinator/cmd/typed_prompt.c — see typed_prompt.h. */
#include "coordinator/cmd/typed_prompt.h"

#include "coordinator/engine/give_pictures.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

uint32_t typed_prompt_picture_rows(const struct session *s)
{
    return s->pipe->encoder ? vision_tokens(&s->pipe->encoder->config) : 0;
}

int typed_prompt_images(struct prompt_pictures *out, const struct session *s, struct err *why)
{
    const struct pipeline *p = s->pipe;
    const struct options *o = s->options;
    *out = (struct prompt_pictures){0};
    if (!p->encoder) return 0;
    out->side = p->encoder->config.image;
    out->pan_and_scan = o->pan_and_scan;
    out->memory = o->picture_memory;
    for (uint32_t i = 0; i < o->n_images; i++) TRY(prompt_pictures_add(out, o->images[i], why));
    return 0;
}

#define WORD "/image"
#define NAME_MOST 4096

static bool begins_with_word(const struct typed_prompt *t)
{
    const size_t n = strlen(WORD);
    return t->n >= n && !memcmp(t->text, WORD, n) && (t->n == n || t->text[n] == ' ');
}

/* Takes the word and the name behind it, which ends at a blank or is in quotes, off the text. */
static int take_name(struct typed_prompt *t, char name[NAME_MOST], struct err *why)
{
    const char *from = t->text + strlen(WORD), *end = t->text + t->n, *stop;
    while (from < end && *from == ' ') from++;
    const char quote = from < end && (*from == '"' || *from == '\'') ? *from++ : 0;
    stop = memchr(from, quote ? quote : ' ', (size_t)(end - from));
    if (quote && !stop) return fail(why, E_USAGE, "the name of a picture begins with %c and does not end with it", quote);
    const size_t n = (size_t)((stop ? stop : end) - from);
    if (!n) return fail(why, E_USAGE, "%s stands without the name of a picture", WORD);
    if (n >= NAME_MOST) return fail(why, E_USAGE, "the name of a picture is longer than %d bytes", NAME_MOST - 1);
    memcpy(name, from, n);
    name[n] = 0;
    from = stop ? stop + 1 : end;
    if (quote && from < end && *from == ' ') from++;
    t->text = from;
    t->n = (size_t)(end - from);
    return 0;
}

int typed_prompt_take_images(struct typed_prompt *t, struct prompt_pictures *all, const struct session *s, struct err *why)
{
    char name[NAME_MOST];
    if (!begins_with_word(t)) return 0;
    if (!s->pipe->encoder) return fail(why, E_USAGE, "a prompt begins with %s and needs the encoder: --mmproj FILE.gguf", WORD);
    if (s->options->n_images)
        return fail(why, E_USAGE, "a prompt begins with %s beside --image, which shows all prompts the same pictures", WORD);
    t->first_picture = all->n;
    for (; begins_with_word(t); t->pictures++) {
        if (t->pictures == IMAGES_MOST) return fail(why, E_USAGE, "a prompt names more than %d pictures", IMAGES_MOST);
        TRY(take_name(t, name, why));
        TRY(prompt_pictures_add_later(all, name, why));
    }
    return 0;
}

bool typed_prompt_hint(const struct typed_prompt *t, const struct session *s)
{
    char piece[PIECE_MOST + 1];
    const int32_t id = s->options->special ? -1 : tokenizer_control_in(s->tokens, t->text, t->n);
    if (id < 0) return false;
    piece[tokenizer_piece(s->tokens, (uint32_t)id, true, piece, PIECE_MOST)] = 0;
    log_info("%s in the text is plain text here%s", piece, s->options->raw ? "; --special makes it the control token"
             : ": the turns are written around it. --raw --special takes a text that brings its own");
    return true;
}

int typed_prompt_encode(const struct typed_prompt *t, const struct prompt_pictures *all, const struct session *s, struct ids *ids,
                        struct picture_spans *spans, struct err *why)
{
    struct content content[IMAGES_MOST + 1], system = {0};
    struct chat_message messages[2];
    const struct options *o = s->options;
    const uint32_t rows = typed_prompt_picture_rows(s);
    size_t k = 0, parts = 0;
    for (size_t i = 0; i < t->pictures; i++) content[parts++] = prompt_pictures_content(all, t->first_picture + i);
    content[parts++] = (struct content){.text = t->text, .n = t->n, .trusted = o->special};
    if (o->raw) return prompt_raw_content(s->tokens, content, parts, rows, ids, spans, why);
    if (o->system) {
        system = (struct content){.text = o->system, .n = strlen(o->system)};
        messages[k++] = (struct chat_message){SPEAKER_SYSTEM, &system, 1};
    }
    messages[k++] = (struct chat_message){SPEAKER_USER, content, parts};
    return prompt_messages(s->tokens, messages, k, rows, ids, spans, why);
}
