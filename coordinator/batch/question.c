/* coordinator/batch/question.c — see question.h. */
#include "coordinator/batch/question.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What cannot fit is told before it is decoded, or cut into tokens: none of these is longer than PIECE_MOST. */
int question_fits(uint64_t bytes, size_t pictures, const struct question_setup *s, struct err *why)
{
    if (bytes > (uint64_t)s->context * PIECE_MOST)
        return fail_about(why, ABOUT_CONTEXT, E_USAGE, "the prompt has %llu bytes, more than the %u tokens that the context holds",
                          (unsigned long long)bytes, s->context);
    if ((uint64_t)pictures * s->picture_rows > s->context)
        return fail_about(why, ABOUT_CONTEXT, E_USAGE, "the prompt has %zu pictures of %u rows, the context holds %u", pictures,
                          s->picture_rows, s->context);
    return 0;
}

static int check_size(const struct request *r, const struct question_setup *s, struct err *why)
{
    uint64_t bytes = r->text ? strlen(r->text) : 0;
    for (size_t m = 0; m < r->n_messages; m++)
        for (size_t i = 0; i < r->messages[m].n; i++) bytes += r->messages[m].content[i].n;
    return question_fits(bytes, r->n_pictures, s, why);
}

static int read_picture(struct question *q, const struct question_setup *s, const char *name, struct err *why)
{
    char *path = NULL;
    if (!strncasecmp(name, "data:", 5)) return prompt_pictures_add(&q->pictures, name, why);
    int code = s->find_picture(s->user, name, &path, why);
    if (!code) code = prompt_pictures_add(&q->pictures, path, why);
    free(path);
    return code || !s->picture_read ? code : s->picture_read(s->user, name, &q->pictures.of[q->pictures.n - 1], why);
}

int question_pictures(struct question *q, const struct request *r, const struct question_setup *s, struct err *why)
{
    size_t k = 0;
    q->pictures = (struct prompt_pictures){.side = s->picture_side, .pan_and_scan = r->pan_and_scan, .memory = s->picture_memory};
    if (r->n_pictures && !s->picture_rows) return fail(why, E_USAGE, "a picture needs an encoder, and there is none");
    for (size_t i = 0; i < r->n_pictures; i++) TRY(read_picture(q, s, r->pictures[i], why));
    for (size_t m = 0; m < r->n_messages; m++)
        for (size_t i = 0; i < r->messages[m].n; i++) {
            struct content *c = (struct content *)&r->messages[m].content[i];
            if (!c->text) c->crops = q->pictures.of[k++].crops;
        }
    return 0;
}

static int make_prompt(struct question *q, const struct request *r, const struct question_setup *s, struct err *why)
{
    const struct content text = {.text = r->text, .n = r->text ? strlen(r->text) : 0};
    for (size_t i = 0; i < r->ids.n; i++) TRY(ids_push(&q->prompt, r->ids.id[i], why));
    if (r->ids.n) return 0;
    if (!r->chat) return prompt_raw_content(s->tokens, &text, 1, 0, &q->prompt, &q->spans, why);
    TRY(prompt_messages(s->tokens, r->messages, r->n_messages, s->picture_rows, &q->prompt, &q->spans, why));
    if (r->begun) TRY(tokenizer_encode(s->tokens, r->begun, strlen(r->begun), false, &q->prompt, why));
    return 0;
}

int question_make(struct question *q, const struct request *r, const struct question_setup *setup, struct pictures *known, struct err *why)
{
    TRY(check_size(r, setup, why));
    TRY(question_pictures(q, r, setup, why));
    TRY(make_prompt(q, r, setup, why));
    return q->spans.n ? prompt_pictures_give(&q->pictures, known, 0, &q->spans, 0, why) : 0;
}

void question_free(struct question *q, struct pictures *known)
{
    prompt_pictures_take_back(&q->pictures, known);
    prompt_pictures_close(&q->pictures);
    picture_spans_free(&q->spans);
    ids_free(&q->prompt);
}
