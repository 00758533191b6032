/* coordinator/batch/answer_text.c — see answer_text.h. */
#define _GNU_SOURCE
#include "coordinator/batch/answer_text.h"

#include <stdlib.h>
#include <string.h>

/* What was added from `from` on may complete a stop text that began before it. */
static void look_for_stops(struct answer_text *a, size_t from)
{
    size_t cut = a->n;
    for (uint32_t i = 0; i < a->n_stops; i++) {
        const size_t length = strlen(a->stop[i]), begin = from >= length ? from - length + 1 : 0;
        const char *found = memmem(a->text + begin, a->n - begin, a->stop[i], length);
        if (found && (size_t)(found - a->text) < cut) cut = (size_t)(found - a->text);
    }
    a->stopped = cut < a->n;
    a->n = cut;
}

static int make_room(struct answer_text *a, size_t more, struct err *why)
{
    if (a->room - a->n >= more) return 0;
    const size_t room = a->n + more + a->room;
    char *grown = realloc(a->text, room);
    if (!grown) return fail(why, E_MEMORY, "no memory for an answer of %zu bytes", room);
    a->text = grown;
    a->room = room;
    return 0;
}

int answer_text_add(struct answer_text *a, uint32_t id, struct err *why)
{
    char piece[PIECE_MOST];
    if (a->stopped) return 0;
    const size_t n = tokenizer_piece(a->tokens, id, false, piece, sizeof piece), from = a->n;
    TRY(make_room(a, 3 * (n + 4), why));
    a->n += utf8_stream_push(&a->utf8, piece, n, a->text + a->n);
    look_for_stops(a, from);
    return 0;
}

int answer_text_end(struct answer_text *a, struct err *why)
{
    if (a->stopped) return 0;
    TRY(make_room(a, 12, why));
    const size_t from = a->n;
    a->n += utf8_stream_end(&a->utf8, a->text + a->n);
    look_for_stops(a, from);
    return 0;
}

void answer_text_free(struct answer_text *a)
{
    free(a->text);
    a->text = NULL;
    a->n = a->room = 0;
}
