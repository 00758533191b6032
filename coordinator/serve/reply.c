/* coordinator/serve/reply.c — see reply.h. */
#define _GNU_SOURCE
#include "coordinator/serve/reply.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool page_open(struct page *p)
{
    *p = (struct page){0};
    p->to = open_memstream(&p->text, &p->n);
    return p->to != NULL;
}

static bool page_close(struct page *p)
{
    const bool bad = ferror(p->to);
    if (!fclose(p->to) && !bad) return true;
    free(p->text);
    p->text = NULL;
    return false;
}

bool reply_open(struct exchange *x, struct page *p)
{
    if (page_open(p)) return true;
    exchange_answer(x, 503, JSON_TYPE, NULL, 0);
    return false;
}

void reply_close(struct exchange *x, int status, struct page *p)
{
    if (page_close(p)) exchange_answer(x, status, JSON_TYPE, p->text, p->n);
    else exchange_answer(x, 503, JSON_TYPE, NULL, 0);
}

static bool event_open(struct exchange *x, struct page *p)
{
    if (page_open(p)) return true;
    exchange_break(x);
    return false;
}

static void send_event(struct exchange *x, struct page *p)
{
    fputs("\n\n", p->to);
    if (!page_close(p) || !exchange_write(x, p->text, p->n)) exchange_break(x);
    free(p->text);
}

/* ---- errors ---- */

void reply_refusal(struct exchange *x, const struct refusal *no)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    result_print_error(p.to, no, 0);
    if (no->status == 401) exchange_header(x, "WWW-Authenticate", "Bearer");
    reply_close(x, no->status, &p);
}

void reply_error(struct exchange *x, int status, const char *code, const char *format, ...)
{
    struct refusal no = {.status = status, .code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(no.why.text, sizeof no.why.text, format, args);
    va_end(args);
    reply_refusal(x, &no);
}

char *reply_error_body(int status, const char *sentence)
{
    struct refusal no = {.status = status, .code = status == 413 ? "request_too_large" : "unavailable"};
    struct page p;
    snprintf(no.why.text, sizeof no.why.text, "%s", sentence);
    if (!page_open(&p)) return NULL;
    result_print_error(p.to, &no, 0);
    return page_close(&p) ? p.text : NULL;
}

/* ---- a whole answer ---- */

void reply_answer(struct exchange *x, const struct result_common *c, const struct request *r, const struct result_choice *choices,
                  const struct result_usage *usage)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    result_print_body(p.to, c, r, exchange_number(x), choices, *usage);
    reply_close(x, 200, &p);
}

/* ---- a stream ---- */

static void begin_event(struct page *p, struct exchange *x, const struct result_common *c, const struct request *r)
{
    fputs("data: {\"id\":", p->to);
    result_print_id(p->to, c, r, exchange_number(x));
    fprintf(p->to, ",\"object\":\"%s\",\"created\":%" PRIu64 ",\"model\":", r->chat ? "chat.completion.chunk" : "text_completion", c->created);
    json_print_text(p->to, c->model);
    fprintf(p->to, ",\"system_fingerprint\":\"%s\",\"choices\":[", c->fingerprint);
}

/* What was called, all at once; else the words beside a call, or what there is of either. Returns why it ended. */
static const char *print_call_delta(FILE *to, const struct reply_piece *piece, uint64_t id)
{
    struct said_call call = {0};
    const char *finish = piece->finish;
    fputs("\"delta\":{\"role\":\"assistant\",", to);
    if (!strcmp(finish, "stop") && !said_call_read(&call, piece->text, piece->n) && call.name) {
        said_call_print(to, &call, hash_fold(id, piece->index), true);
        finish = "tool_calls";
    } else {
        fputs("\"content\":", to);
        if (call.words) json_print_text(to, call.words);
        else json_print_bytes(to, piece->text, piece->n);
    }
    said_call_free(&call);
    fputs("}", to);
    return finish;
}

static void print_delta(FILE *to, const struct request *r, const struct reply_piece *piece)
{
    if (!r->chat) {
        fputs("\"text\":", to);
        json_print_bytes(to, piece->text, piece->n);
        return;
    }
    fputs("\"delta\":{", to);
    if (piece->first) fputs("\"role\":\"assistant\",", to);
    if (piece->first || piece->n || !piece->finish) {
        fputs("\"content\":", to);
        json_print_bytes(to, piece->text, piece->n);
    }
    fputs("}", to);
}

void reply_piece(struct exchange *x, const struct result_common *c, const struct request *r, const struct reply_piece *piece)
{
    struct page p;
    if (!event_open(x, &p)) return;
    begin_event(&p, x, c, r);
    fprintf(p.to, "{\"index\":%" PRIu32 ",", piece->index);
    const char *finish = piece->finish;
    if (r->calls && finish) finish = print_call_delta(p.to, piece, hash_fold(c->job, exchange_number(x)));
    else print_delta(p.to, r, piece);
    fputs(",\"logprobs\":", p.to);
    if (piece->logprobs && piece->logprobs->n) logprobs_print(p.to, piece->logprobs, c->tokens, r->chat, piece->all, piece->all_n, piece->cut);
    else fputs("null", p.to);
    fputs(",\"finish_reason\":", p.to);
    if (finish) fprintf(p.to, "\"%s\"", finish);
    else fputs("null", p.to);
    fputs(r->include_usage ? "}],\"usage\":null}" : "}]}", p.to);
    send_event(x, &p);
}

void reply_usage(struct exchange *x, const struct result_common *c, const struct request *r, const struct result_usage *usage)
{
    struct page p;
    if (!event_open(x, &p)) return;
    begin_event(&p, x, c, r);
    fputs("],", p.to);
    result_print_usage(p.to, usage);
    fputc('}', p.to);
    send_event(x, &p);
}

static void send_text(struct exchange *x, const char *text)
{
    if (!exchange_write(x, text, strlen(text))) exchange_break(x);
}

void reply_done(struct exchange *x)
{
    send_text(x, "data: [DONE]\n\n");
}

void reply_comment(struct exchange *x)
{
    send_text(x, ": still here\n\n");
}

void reply_stream_error(struct exchange *x, const struct refusal *no)
{
    struct page p;
    if (!event_open(x, &p)) return;
    fputs("data: ", p.to);
    result_print_error(p.to, no, 0);
    send_event(x, &p);
}
