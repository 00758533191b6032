/* coordinator/batch/result.c — see result.h. */
#include "coordinator/batch/result.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t name_of(const struct result_common *c, size_t line)
{
    return hash_fold(c->job, line);
}

static void print_custom_id(FILE *to, const struct request *r, size_t line)
{
    if (r->custom_id) json_print_text(to, r->custom_id);
    else fprintf(to, "\"line-%zu\"", line);
}

/* As OpenAI's interface calls them. */
static const char *refusal_type(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status == 503 ? "unavailable_error" : status < 500 ? "invalid_request_error" : "server_error";
    }
}

static void print_head(FILE *to, const struct result_common *c, const struct request *r, size_t line, int status)
{
    fprintf(to, "{\"id\":\"batch_req_%016" PRIx64 "\",\"custom_id\":", name_of(c, line));
    print_custom_id(to, r, line);
    fprintf(to, ",\"response\":{\"status_code\":%d,\"request_id\":\"req_%016" PRIx64 "\",\"body\":", status, name_of(c, line));
}

static void print_choice(FILE *to, const struct result_common *c, const struct request *r, size_t line, uint32_t index, const struct result_choice *choice)
{
    struct said_call call = {0};
    const bool is_call = r->calls && choice->stopped && !said_call_read(&call, choice->text, choice->n) && call.name;
    fprintf(to, "%s{\"index\":%" PRIu32 ",", index ? "," : "", index);
    fputs(r->chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":", to);
    if (is_call) fputs("null,", to), said_call_print(to, &call, hash_fold(name_of(c, line), index), false);
    else if (call.words) json_print_text(to, call.words);
    else json_print_bytes(to, choice->text, choice->n);
    said_call_free(&call);
    fputs(r->chat ? ",\"refusal\":null}" : "", to);
    fputs(",\"logprobs\":", to);
    if (choice->logprobs) logprobs_print(to, choice->logprobs, c->tokens, r->chat, choice->text, choice->n, choice->cut);
    else fputs("null", to);
    fprintf(to, ",\"finish_reason\":\"%s\"}", is_call ? "tool_calls" : choice->stopped ? "stop" : "length");
}

void result_print_id(FILE *to, const struct result_common *c, const struct request *r, size_t line)
{
    fprintf(to, "\"%s-%016" PRIx64 "\"", r->chat ? "chatcmpl" : "cmpl", name_of(c, line));
}

void result_print_usage(FILE *to, const struct result_usage *u)
{
    fprintf(to, "\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64 ",\"total_tokens\":%" PRIu64, u->prompt, u->made,
            u->prompt + u->made);
    if (u->details)
        fprintf(to, ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 ",\"image_tokens\":%" PRIu64 "}", u->cached, u->pictures);
    fputc('}', to);
}

void result_print_body(FILE *to, const struct result_common *c, const struct request *r, size_t line, const struct result_choice *choices,
                       struct result_usage usage)
{
    fputs("{\"id\":", to);
    result_print_id(to, c, r, line);
    fprintf(to, ",\"object\":\"%s\",\"created\":%" PRIu64 ",\"model\":", r->chat ? "chat.completion" : "text_completion", c->created);
    json_print_text(to, c->model);
    fputs(",\"choices\":[", to);
    for (uint32_t i = 0; i < r->choices; i++) {
        print_choice(to, c, r, line, i, &choices[i]);
        usage.made += choices[i].tokens;
    }
    fputs("],", to);
    result_print_usage(to, &usage);
    fprintf(to, ",\"system_fingerprint\":\"%s\"}", c->fingerprint);
}

void result_print_error(FILE *to, const struct refusal *no, size_t line)
{
    fputs("{\"error\":{\"message\":", to);
    json_print_text(to, no->why.text);
    fprintf(to, ",\"type\":\"%s\",\"param\":", refusal_type(no->status));
    if (no->param[0]) json_print_text(to, no->param);
    else fputs("null", to);
    fprintf(to, ",\"code\":\"%s\"", no->code);
    if (line) fprintf(to, ",\"line\":%zu", line);
    fputs("}}", to);
}

static int finish(FILE *to, char **out, struct err *why)
{
    const bool bad = ferror(to);
    if (!fclose(to) && !bad) return 0;
    free(*out);
    *out = NULL;
    return fail(why, E_MEMORY, "no memory for a line of the results");
}

int result_answered(char **out, size_t *bytes, const struct result_common *c, const struct request *r, size_t line,
                    const struct result_choice *choices, uint64_t prompt_tokens, struct err *why)
{
    FILE *to = open_memstream(out, bytes);
    if (!to) return fail(why, E_MEMORY, "no memory for a line of the results");
    print_head(to, c, r, line, 200);
    result_print_body(to, c, r, line, choices, (struct result_usage){.prompt = prompt_tokens});
    fputs("},\"error\":null}", to);
    return finish(to, out, why);
}

int result_refused(char **out, size_t *bytes, const struct result_common *c, const struct request *r, size_t line, struct err *why)
{
    const struct refusal *no = &r->refused;
    FILE *to = open_memstream(out, bytes);
    if (!to) return fail(why, E_MEMORY, "no memory for a line of the results");
    print_head(to, c, r, line, no->status);
    result_print_error(to, no, line);
    fputs("},\"error\":null}", to);
    return finish(to, out, why);
}
