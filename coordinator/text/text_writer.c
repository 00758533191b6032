/* coordinator/text/text_writer.c — see text_writer.h. */
#include "coordinator/text/text_writer.h"

static void put(struct writer *w, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (w->one_line && text[i] == '\n') fputs("\\n", w->to);
        else if (w->one_line && text[i] == '\\') fputs("\\\\", w->to);
        else fputc(text[i], w->to);
    }
    fflush(w->to);
}

void writer_token(struct writer *w, uint32_t id)
{
    char piece[PIECE_MOST], text[3 * (PIECE_MOST + 4)];
    size_t n = tokenizer_piece(w->tokens, id, false, piece, sizeof piece);
    put(w, text, utf8_stream_push(&w->utf8, piece, n, text));
}

void writer_end(struct writer *w)
{
    char text[12];
    put(w, text, utf8_stream_end(&w->utf8, text));
}
