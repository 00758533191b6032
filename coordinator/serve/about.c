/* coordinator/serve/about.c — see about.h. */
#define _GNU_SOURCE
#include "coordinator/serve/about.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void bad_request(struct exchange *x, const struct err *why)
{
    if (why->code == E_MEMORY) reply_error(x, 503, "unavailable", "%s", why->text);
    else reply_error(x, 400, "invalid_value", "%s", why->text);
}

void about_models(struct exchange *x, const struct known *a)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    fputs("{\"object\":\"list\",\"data\":[{\"id\":", p.to);
    json_print_text(p.to, a->model);
    fprintf(p.to, ",\"object\":\"model\",\"created\":%" PRIu64 ",\"owned_by\":\"gemmapipe\"", a->begun);
    if (a->calls)
        fprintf(p.to, ",\"max_model_len\":%u,\"meta\":{\"n_ctx\":%u},\"architecture\":{\"input_modalities\":[\"text\"%s],\"output_modalities\":[\"text\"]}",
                a->calls->question.context, a->calls->question.context, a->calls->question.picture_rows ? ",\"image\"" : "");
    fputs("}]}", p.to);
    reply_close(x, 200, &p);
}

void about_props(struct exchange *x, const struct known *a)
{
    const struct call_setup *c = a->calls;
    const struct sampling *s = &c->defaults.sampling;
    struct page p;
    if (!reply_open(x, &p)) return;
    fprintf(p.to, "{\"default_generation_settings\":{\"n_ctx\":%u,\"params\":{\"temperature\":%g,\"top_p\":%g,\"top_k\":%u,\"min_p\":%g,\"repeat_penalty\":%g,"
            "\"repeat_last_n\":%u}},\"total_slots\":%u,\"model_alias\":", c->question.context, (double)s->temperature, (double)s->top_p, s->top_k,
            (double)s->min_p, (double)s->repeat_penalty, s->repeat_last, c->sequences);
    json_print_text(p.to, a->model);
    fprintf(p.to, ",\"modalities\":{\"vision\":%s,\"audio\":false},\"tools\":\"%s\",\"system_fingerprint\":\"%s\"}", c->question.picture_rows ? "true" : "false",
            c->defaults.may_call ? "generic" : "forced", c->common.fingerprint);
    reply_close(x, 200, &p);
}

/* ---- ids of a text ---- */

struct wish {
    char *text;
    bool special, pieces;
};

static int read_wish(struct exchange *x, struct wish *w, struct err *why)
{
    struct json j;
    struct json_text key, s;
    size_t n;
    const char *body = exchange_body(x, &n);
    if (n > ABOUT_TEXT_MOST) return fail(why, E_USAGE, "the request has %zu bytes; to be cut into tokens it may have %u", n, ABOUT_TEXT_MOST);
    if (!utf8_valid(body, n)) return fail(why, E_USAGE, "the request is not UTF-8");
    json_begin(&j, body, n, "the request", why);
    if (!json_object(&j))
        while (json_key(&j, &key)) {
            if ((json_is(key, "content") || json_is(key, "prompt")) && !w->text) {
                if (!json_string(&j, &s) && memchr(s.text, 0, s.n)) json_fail(&j, "the text holds a NUL");
                if (!j.code && !(w->text = request_copy(s, why))) j.code = E_MEMORY;
            } else if (json_is(key, "add_special") || json_is(key, "add_special_tokens")) json_truth(&j, &w->special);
            else if (json_is(key, "with_pieces")) json_truth(&j, &w->pieces);
            else json_skip(&j);
        }
    if (!json_done(&j)) json_finish(&j);
    json_end(&j);
    if (!j.code && !w->text) return fail(why, E_USAGE, "there is no content");
    return j.code;
}

/* As llama.cpp has it: a text, or where the piece is part of a character its bytes. */
static void print_piece(FILE *to, const struct tokenizer *t, uint32_t id)
{
    char piece[PIECE_MOST];
    const size_t n = tokenizer_piece(t, id, true, piece, sizeof piece);
    fprintf(to, "{\"id\":%" PRIu32 ",\"piece\":", id);
    if (utf8_valid(piece, n)) json_print_bytes(to, piece, n);
    for (size_t i = 0; i < n && !utf8_valid(piece, n); i++) fprintf(to, "%s%u", i ? "," : "[", (unsigned)(uint8_t)piece[i]);
    fputs(utf8_valid(piece, n) ? "}" : "]}", to);
}

void about_tokenize(struct exchange *x, const struct known *a)
{
    const struct tokenizer *t = a->calls->common.tokens;
    struct wish w = {0};
    struct ids ids = {0};
    struct err why;
    struct page p;
    int code = read_wish(x, &w, &why);
    if (!code && w.special && tokenizer_specials(t).bos >= 0) code = ids_push(&ids, (uint32_t)tokenizer_specials(t).bos, &why);
    if (!code) code = tokenizer_encode(t, w.text, strlen(w.text), false, &ids, &why);
    if (code) bad_request(x, &why);
    else if (reply_open(x, &p)) {
        fputs("{\"tokens\":[", p.to);
        for (size_t i = 0; i < ids.n; i++) {
            if (i) fputc(',', p.to);
            if (w.pieces) print_piece(p.to, t, ids.id[i]);
            else fprintf(p.to, "%" PRIu32, ids.id[i]);
        }
        fprintf(p.to, "],\"count\":%zu,\"max_model_len\":%u}", ids.n, a->calls->question.context);
        reply_close(x, 200, &p);
    }
    ids_free(&ids);
    free(w.text);
}

/* ---- and back ---- */

static int print_text(struct exchange *x, const struct tokenizer *t, FILE *to, struct err *why)
{
    struct json j;
    struct json_text key;
    struct utf8_stream whole = {0};
    char piece[PIECE_MOST], out[3 * (PIECE_MOST + 4)];
    size_t n;
    uint32_t id;
    const char *body = exchange_body(x, &n);
    if (n > 8 * ABOUT_TEXT_MOST) return fail(why, E_USAGE, "the request has %zu bytes; to be made a text it may have %u", n, 8 * ABOUT_TEXT_MOST);
    json_begin(&j, body, n, "the request", why);
    if (!json_object(&j))
        while (json_key(&j, &key)) {
            if (!json_is(key, "tokens")) {
                json_skip(&j);
                continue;
            }
            json_array(&j);
            while (json_item(&j)) {
                if (json_u32(&j, 0, tokenizer_size(t) - 1, &id)) continue;
                n = tokenizer_piece(t, id, true, piece, sizeof piece);
                fwrite(out, 1, utf8_stream_push(&whole, piece, n, out), to);
            }
        }
    if (!json_done(&j)) json_finish(&j);
    json_end(&j);
    fwrite(out, 1, utf8_stream_end(&whole, out), to);
    return j.code;
}

void about_detokenize(struct exchange *x, const struct known *a)
{
    char *text = NULL;
    size_t n = 0;
    struct err why;
    struct page p;
    FILE *to = open_memstream(&text, &n);
    int code = to ? print_text(x, a->calls->common.tokens, to, &why) : fail(&why, E_MEMORY, "no memory for a text");
    if (to && fclose(to) && !code) code = fail(&why, E_MEMORY, "no memory for a text");
    if (code) bad_request(x, &why);
    else if (reply_open(x, &p)) {
        fputs("{\"content\":", p.to);
        json_print_bytes(p.to, text, n);
        fputs(",\"prompt\":", p.to);
        json_print_bytes(p.to, text, n);
        fputc('}', p.to);
        reply_close(x, 200, &p);
    }
    free(text);
}
