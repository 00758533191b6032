/* coordinator/batch/logprobs.c — see logprobs.h. */
#include "coordinator/batch/logprobs.h"

#include "base/json.h"
#include "coordinator/text/utf8.h"

#include <stdlib.h>

int logprobs_add(struct logprobs *l, const struct token *t, size_t at, struct err *why)
{
    if (l->n == l->room) {
        const size_t room = l->room ? 2 * l->room : 32;
        struct logprobs_token *grown = realloc(l->token, room * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the log-probabilities of %zu tokens", room);
        l->token = grown;
        l->room = room;
    }
    struct logprobs_token *k = &l->token[l->n++];
    *k = (struct logprobs_token){.at = at, .self = {t->id, t->logprob}, .n_top = t->n_alternatives};
    for (uint32_t i = 0; i < k->n_top; i++) k->top[i] = t->alternatives[i];
    return 0;
}

void logprobs_free(struct logprobs *l)
{
    free(l->token);
    *l = (struct logprobs){0};
}

/* As many digits as the bits of a float need. */
static void print_number(FILE *to, float logprob)
{
    fprintf(to, "%.9g", (double)logprob);
}

static size_t count_tokens(const struct logprobs *l, size_t end, bool cut)
{
    size_t n = l->n;
    while (cut && n && l->token[n - 1].at >= end) n--;
    return n;
}

/* ---- chat ---- */

/* Its three members, without the brace behind them. */
static void print_word(FILE *to, const struct alternative *a, const struct tokenizer *tokens)
{
    char piece[PIECE_MOST];
    const size_t n = tokenizer_piece(tokens, a->id, true, piece, sizeof piece);
    fputs("{\"token\":", to);
    json_print_bytes(to, piece, n);
    fputs(",\"logprob\":", to);
    print_number(to, a->logprob);
    fputs(",\"bytes\":[", to);
    for (size_t i = 0; i < n; i++) fprintf(to, "%s%u", i ? "," : "", (unsigned)(uint8_t)piece[i]);
    fputc(']', to);
}

static void print_content(FILE *to, const struct logprobs *l, size_t n, const struct tokenizer *tokens)
{
    fputs("{\"content\":[", to);
    for (size_t i = 0; i < n; i++) {
        const struct logprobs_token *k = &l->token[i];
        if (i) fputc(',', to);
        print_word(to, &k->self, tokens);
        fputs(",\"top_logprobs\":[", to);
        for (uint32_t a = 0; a < k->n_top; a++) {
            if (a) fputc(',', to);
            print_word(to, &k->top[a], tokens);
            fputc('}', to);
        }
        fputs("]}", to);
    }
    fputs("],\"refusal\":null}", to);
}

/* ---- completions ---- */

/* A piece of a character has no text of its own: "bytes:\xe2\x82". */
static void print_name(FILE *to, uint32_t id, const struct tokenizer *tokens)
{
    char piece[PIECE_MOST], shown[6 + 4 * PIECE_MOST + 1] = "bytes:";
    const size_t n = tokenizer_piece(tokens, id, true, piece, sizeof piece);
    if (utf8_valid(piece, n)) {
        json_print_bytes(to, piece, n);
        return;
    }
    for (size_t i = 0; i < n; i++) snprintf(shown + 6 + 4 * i, 5, "\\x%02x", (unsigned)(uint8_t)piece[i]);
    json_print_text(to, shown);
}

/* The likeliest words, and the token itself if it is none of them. */
static void print_top(FILE *to, const struct logprobs_token *k, const struct tokenizer *tokens)
{
    bool among = false;
    fputc('{', to);
    for (uint32_t a = 0; a <= k->n_top; a++) {
        if (a == k->n_top && among) break;
        const struct alternative *w = a < k->n_top ? &k->top[a] : &k->self;
        among |= w->id == k->self.id;
        if (a) fputc(',', to);
        print_name(to, w->id, tokens);
        fputc(':', to);
        print_number(to, w->logprob);
    }
    fputc('}', to);
}

static size_t characters(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((uint8_t)text[i] & 0xc0) != 0x80;
    return count;
}

static void print_lists(FILE *to, const struct logprobs *l, size_t n, const struct tokenizer *tokens, const char *text, size_t end)
{
    const char *const names[] = {"{\"tokens\":[", "],\"token_logprobs\":[", "],\"top_logprobs\":[", "],\"text_offset\":["};
    size_t at = 0, offset = 0;
    for (int list = 0; list < 4; list++) {
        fputs(names[list], to);
        for (size_t i = 0; i < n; i++) {
            const struct logprobs_token *k = &l->token[i];
            if (i) fputc(',', to);
            if (list == 0) print_name(to, k->self.id, tokens);
            if (list == 1) print_number(to, k->self.logprob);
            if (list == 2) print_top(to, k, tokens);
            if (list < 3) continue;
            const size_t here = k->at < end ? k->at : end;
            offset += characters(text + at, here - at);
            at = here;
            fprintf(to, "%zu", offset);
        }
    }
    fputs("]}", to);
}

void logprobs_print(FILE *to, const struct logprobs *l, const struct tokenizer *tokens, bool chat, const char *text, size_t n, bool cut)
{
    const size_t kept = count_tokens(l, n, cut);
    if (chat) print_content(to, l, kept, tokens);
    else print_lists(to, l, kept, tokens, text, n);
}
