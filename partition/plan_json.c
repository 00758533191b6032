/* partition/plan_json.c — see plan_json.h. */
#include "partition/plan_json.h"

#include "partition/json.h"
#include "partition/mapped.h"
#include "partition/slice.h"

#include <inttypes.h>
#include <string.h>

#define MAX_FILE (1u << 20)
#define LAYERS_MOST 65536

void plan_write_json(FILE *to, const struct plan *plan, const struct worker_offer *offers, const char *model,
                     struct hash128 fingerprint, uint32_t layers, const struct plan_pictures *pictures)
{
    const struct capacity *c = &plan->capacity;
    char hex[33];
    fprintf(to, "{\"model\": ");
    json_print_text(to, model);
    fprintf(to, ",\n \"fingerprint\": \"%s\",\n \"layers\": %u,\n", show_hash128(hex, fingerprint), layers);
    fprintf(to, " \"context\": %u, \"sequences\": %u, \"rows\": %u, \"in_flight\": %u,\n \"stages\": [", c->context,
            c->sequences, c->rows, c->in_flight);
    for (int i = 0; i < plan->stages; i++) {
        const struct stage_plan *s = &plan->stage[i];
        fprintf(to, "%s\n  {\"worker\": ", i ? "," : "");
        json_print_text(to, offers[i].name);
        fprintf(to, ", \"first\": %u, \"end\": %u, \"head\": %s", s->share.first, s->share.end,
                share_has_head(s->share) ? "true" : "false");
        fprintf(to, ", \"weights\": %" PRIu64 ", \"kv\": %" PRIu64 ", \"total\": %" PRIu64 ", \"milliseconds\": %.6g}",
                s->bytes.weights, s->bytes.kv, s->bytes.total, s->expected * 1e3);
    }
    fprintf(to, "]");
    if (pictures) {
        fprintf(to, ",\n \"pictures\": ");
        vision_plan_write_json(to, pictures->plan, offers, pictures->file, pictures->fingerprint);
    }
    fprintf(to, "}\n");
}

/* ---- reading ---- */

static int read_worker(struct json *j, char out[64])
{
    struct json_text name;
    TRY(json_string(j, &name));
    json_plain(out, name);
    return 0;
}

static int read_head(struct json *j, struct share *s)
{
    bool head;
    TRY(json_truth(j, &head));
    s->part_end = head ? HEAD_PARTS : 0;
    return 0;
}

static int read_stage(struct json *j, struct share *s, char worker[64])
{
    struct json_text key;
    bool first = false, end = false, head = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool *seen = json_is(key, "first") ? &first : json_is(key, "end") ? &end : json_is(key, "head") ? &head : NULL;
        if (seen && *seen) return json_fail(j, "a stage has one of its keys twice");
        if (seen) *seen = true;
        if (seen == &first) TRY(json_u32(j, 0, LAYERS_MOST, &s->first));
        else if (seen == &end) TRY(json_u32(j, 0, LAYERS_MOST, &s->end));
        else if (seen == &head) TRY(read_head(j, s));
        else if (json_is(key, "worker")) TRY(read_worker(j, worker));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    return first && end && head ? 0 : json_fail(j, "a stage lacks \"first\", \"end\" or \"head\"");
}

static int read_stages(struct json *j, struct plan_file *p)
{
    if (p->stages) return json_fail(j, "\"stages\" stands there twice");
    TRY(json_array(j));
    while (json_item(j)) {
        if (p->stages == MAX_STAGES) return json_fail(j, "more than %d stages", MAX_STAGES);
        TRY(read_stage(j, &p->share[p->stages], p->worker[p->stages]));
        p->stages++;
    }
    return json_done(j);
}

static int read_fingerprint(struct json *j, struct plan_file *p)
{
    struct json_text hex;
    TRY(json_string(j, &hex));
    p->has_fingerprint = read_hash128(&p->fingerprint, hex.text, hex.n);
    return p->has_fingerprint ? 0 : json_fail(j, "\"fingerprint\" is not 32 hexadecimal digits");
}

static int read_plan(struct json *j, struct plan_file *p)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "stages")) TRY(read_stages(j, p));
        else if (json_is(key, "fingerprint")) TRY(read_fingerprint(j, p));
        else if (json_is(key, "layers")) TRY(json_u32(j, 1, LAYERS_MOST, &p->layers));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    TRY(json_finish(j));
    return p->stages ? 0 : json_fail(j, "there are no \"stages\"; gemmapipe plan --json writes such a file");
}

int plan_parse_json(struct plan_file *out, const char *text, size_t n, const char *from, struct err *why)
{
    struct json j;
    memset(out, 0, sizeof *out);
    json_begin(&j, text, n, from, why);
    int rc = read_plan(&j, out);
    json_end(&j);
    return rc;
}

int plan_read_json(struct plan_file *out, const char *path, struct err *why)
{
    struct mapped m;
    TRY(mapped_open(&m, path, MAX_FILE, why));
    int rc = plan_parse_json(out, (const char *)m.data, m.bytes, path, why);
    mapped_close(&m);
    return rc;
}

int plan_file_check(const struct plan_file *p, uint32_t layers, const char *from, struct err *why)
{
    uint32_t at = 0;
    if (p->layers && p->layers != layers)
        return fail(why, E_USAGE, "%s is for a model of %u layers, this one has %u", from, p->layers, layers);
    for (int i = 0; i < p->stages; i++) {
        const struct share *s = &p->share[i];
        bool last = i == p->stages - 1;
        if (s->first != at || s->end < s->first || s->end > layers || share_has_head(*s) != last || (s->first == s->end && !last))
            return fail(why, E_USAGE,
                        "%s: stage %d has layers %u to %u%s; wanted runs of layers in order, here from %u on, and the "
                        "head in the last", from, i + 1, s->first, s->end, share_has_head(*s) ? " and the head" : "", at);
        at = s->end;
    }
    return at == layers ? 0 : fail(why, E_USAGE, "%s places %u layers, the model has %u", from, at, layers);
}
