/* coordinator/cmd/prompts.c — see prompts.h. */
#include "coordinator/cmd/prompts.h"

#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/cmd/capacity.h"

#include "base/read_to_end.h"

#include <stdlib.h>
#include <string.h>

void prompts_free(struct prompts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        ids_free(&p->of[i].ids);
        picture_spans_free(&p->of[i].spans);
    }
    free(p->of);
    free(p->text);
    prompt_pictures_close(&p->pictures);
    *p = (struct prompts){0};
}

#define PROMPTS_MOST (256u << 20) /* bytes */

static int encode(struct prompts *p, const struct session *s, struct prompt *one, const char *text, size_t n, struct err *why)
{
    struct typed_prompt q = {text, n, 0, s->options->n_images};
    if (s->options->prompts_file) TRY(typed_prompt_take_images(&q, &p->pictures, s, why));
    one->first_picture = q.first_picture;
    if (s->options->prompts_file && !s->options->n_images) one->own_pictures = q.pictures;
    if (!p->hinted) p->hinted = typed_prompt_hint(&q, s);
    TRY(typed_prompt_encode(&q, &p->pictures, s, &one->ids, &one->spans, why));
    return capacity_holds(s->options, &s->pipe->model->config, one->ids.n, why);
}

static int add_prompt(struct prompts *p, const struct session *s, size_t line, const char *text, size_t n, struct err *why)
{
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        struct prompt *more = realloc(p->of, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %zu prompts", room);
        p->of = more;
        p->room = room;
    }
    struct prompt *one = &p->of[p->n++];
    *one = (struct prompt){.line = line};
    const int code = encode(p, s, one, text, n, &one->refused);
    if (!code || s->options->prompts_file) return 0;
    *why = one->refused;
    return code;
}

static int read_lines(struct prompts *p, const struct session *s, size_t n, struct err *why)
{
    size_t line = 0;
    char *at = p->text, *end = p->text + n;
    if (n >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) at += 3; /* a byte order mark belongs to no prompt */
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t k = (size_t)(stop - at);
        if (k && at[k - 1] == '\r') k--;
        line++;
        if (k) TRY(add_prompt(p, s, line, at, k, why));
        at = stop + 1;
    }
    return p->n ? 0 : fail(why, E_USAGE, "%s holds no prompt", s->options->prompts_file);
}

int prompts_read(struct prompts *p, const struct session *s, struct err *why)
{
    const struct options *o = s->options;
    size_t n = 0;
    TRY(typed_prompt_images(&p->pictures, s, why));
    if (o->prompt) return add_prompt(p, s, 1, o->prompt, strlen(o->prompt), why);
    TRY(read_to_end(o->prompts_file, PROMPTS_MOST, &p->text, &n, why));
    return read_lines(p, s, n, why);
}

uint64_t prompts_longest(const struct prompts *p)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!p->of[i].refused.code && p->of[i].ids.n > longest) longest = p->of[i].ids.n;
    return longest;
}

int prompts_capacity(struct capacity *out, const struct prompts *p, const struct session *s, struct err *why)
{
    const struct load load = {.prompt = prompts_longest(p), .answer = s->options->most, .prompts = (uint32_t)p->n,
                              .whole = p->pictures.n ? typed_prompt_picture_rows(s) : 0};
    return capacity_for(out, s->options, &s->pipe->model->config, &load, why);
}
