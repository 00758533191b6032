/* partition/plan/plan_json.c — see plan_json.h. */
#include "partition/plan/plan_json.h"

#include "base/json.h"
#include "base/mapped.h"
#include "partition/model/part_text.h"
#include "partition/plan/rates.h"

#include <inttypes.h>
#include <string.h>

#define MAX_FILE (1u << 20)
#define LAYERS_MOST 65536

static void write_rates(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers)
{
    static const char *const bounds[] = {[BOUND_STAGE] = "stage", [BOUND_LINE] = "line", [BOUND_ROUND] = "round", [BOUND_CORES] = "cores"};
    struct stage_rates stages[STAGES_MOST];
    struct rates r;
    plan_rates(&r, stages, plan, shape, offers);
    fprintf(to, " \"expected\": {\"measured\": %s, \"answers\": %.6g, \"alone\": %.6g, \"prompts\": %.6g, \"busy\": %.4g, \"bound\": \"%s\","
                " \"slowest\": %d,\n  \"first_token\": %.6g, \"stages\": [",
            r.measured ? "true" : "false", r.answers, r.alone, r.prompts, r.busy, bounds[r.bound], r.slowest + 1,
            plan_first_token(plan, shape, offers, plan->capacity.context));
    for (int i = 0; i < plan_stages(plan); i++)
        fprintf(to, "%s{\"answer\": %.6g, \"prompt\": %.6g, \"pictures\": %.6g, \"send\": %.6g}", i ? ", " : "", stages[i].answer,
                stages[i].prompt, stages[i].pictures, stages[i].send);
    fprintf(to, "], \"chosen\": ");
    json_print_text(to, plan->chosen);
    fprintf(to, "},\n");
}

static void write_stages(FILE *to, const struct plan *plan, const struct worker_offer *offers)
{
    fprintf(to, " \"stages\": [");
    for (int i = 0; i < plan_stages(plan); i++) {
        const struct holding *h = &plan->of[i];
        const struct part_bytes *b = &h->bytes[CHAIN_TEXT];
        fprintf(to, "%s\n  {\"worker\": ", i ? "," : "");
        json_print_text(to, offers[i].name);
        fprintf(to, ", ");
        part_write_json(to, h->part[CHAIN_TEXT]);
        fprintf(to, ", \"weights\": %" PRIu64 ", \"kv\": %" PRIu64 ", \"total\": %" PRIu64 ", \"milliseconds\": %.6g}", b->weights,
                b->kv, b->total, h->expected[CHAIN_TEXT] * 1e3);
    }
    fprintf(to, "]");
}

static void write_sight(FILE *to, const struct holding *h, int worker, const char *name)
{
    const struct part s = h->part[CHAIN_VISION];
    const struct part_bytes *b = &h->bytes[CHAIN_VISION];
    fprintf(to, "\n   {\"worker\": ");
    json_print_text(to, name);
    fprintf(to, ", \"number\": %d, \"first\": %u, \"end\": %u, \"patches\": %s, \"projector\": %s, \"weights\": %" PRIu64
            ", \"total\": %" PRIu64 ", \"seconds\": %.6g}",
            worker + 1, s.first, s.end, s.front ? "true" : "false", part_has_back(s) ? "true" : "false", b->weights, b->total,
            h->expected[CHAIN_VISION]);
}

static void write_pictures(FILE *to, const struct plan *p, const struct worker_offer *offers, const struct plan_files *files)
{
    char hex[33];
    bool first = true;
    fprintf(to, ",\n \"pictures\": {\"mmproj\": ");
    json_print_text(to, files->mmproj);
    fprintf(to, ", \"fingerprint\": \"%s\", \"how\": \"%s\", \"why\": ", show_hash128(hex, files->encoder), p->copies ? "copies" : "split");
    json_print_text(to, p->why);
    fprintf(to, ",\n  \"type\": \"%s\", \"in_flight\": %u, \"seconds_alone\": %.6g, \"pictures_per_second\": %.6g,\n  \"workers\": [",
            p->vision_type == VISION_Q8_0 ? "q8_0" : "f16", p->pictures, plan_picture_alone(p), plan_picture_rate(p));
    for (int i = 0; i < p->workers; i++) {
        if (part_is_empty(p->of[i].part[CHAIN_VISION])) continue;
        if (!first) fputc(',', to);
        write_sight(to, &p->of[i], i, offers[i].name);
        first = false;
    }
    fprintf(to, "]}");
}

static void write_assumed(FILE *to, const struct plan_files *files)
{
    if (!files->n_assumed) return;
    fprintf(to, " \"assumed\": [");
    for (int i = 0; i < files->n_assumed; i++) {
        fprintf(to, "%s\n  ", i ? "," : "");
        json_print_text(to, files->assumed[i]);
    }
    fprintf(to, "],\n");
}

void plan_write_json(FILE *to, const struct plan *plan, const struct worker_offer *offers, const struct plan_files *files)
{
    const struct capacity *c = &plan->capacity;
    char hex[33], numbers[NUMERIC_TEXT];
    fprintf(to, "{\"model\": ");
    json_print_text(to, files->model);
    fprintf(to, ",\n \"fingerprint\": \"%s\",\n \"layers\": %u,\n \"plan\": \"%016" PRIx64 "\", \"made_from\": \"%016" PRIx64 "\",\n",
            show_hash128(hex, files->fingerprint), files->layers, plan->hash, plan->made_from);
    write_assumed(to, files);
    fprintf(to, " \"context\": %u, \"sequences\": %u, \"kv_positions\": %" PRIu64 ", \"rows\": %u, \"in_flight\": %u,\n \"numbers\": \"%s\",\n", c->context,
            c->sequences, (uint64_t)capacity_blocks(c) * KV_PAGE, c->rows, c->in_flight,
            numeric_show(numbers, c->mode));
    if (files->shape && plan_stages(plan)) write_rates(to, plan, files->shape, offers);
    write_stages(to, plan, offers);
    if (files->mmproj) write_pictures(to, plan, offers, files);
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

static int read_parts(struct json *j, struct part *s)
{
    uint32_t *to[] = {&s->back, &s->back_end};
    int n = 0;
    TRY(json_array(j));
    while (json_item(j)) {
        if (n == 2) return json_fail(j, "\"parts\" of a stage are more than two numbers");
        TRY(json_u32(j, 0, HEAD_PARTS, to[n++]));
    }
    TRY(json_done(j));
    return n == 2 && s->back < s->back_end ? 0 : json_fail(j, "\"parts\" of a stage are not two rising numbers");
}

struct seen {
    bool first, end, head, parts;
};

static int read_stage(struct json *j, struct part *s, char worker[64])
{
    struct json_text key;
    struct seen seen = {0};
    bool whole = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool *one = json_is(key, "first") ? &seen.first : json_is(key, "end") ? &seen.end
                  : json_is(key, "head") ? &seen.head : json_is(key, "parts") ? &seen.parts : NULL;
        if (one && *one) return json_fail(j, "a stage has one of its keys twice");
        if (one) *one = true;
        if (one == &seen.first) TRY(json_u32(j, 0, LAYERS_MOST, &s->first));
        else if (one == &seen.end) TRY(json_u32(j, 0, LAYERS_MOST, &s->end));
        else if (one == &seen.head) TRY(json_truth(j, &whole));
        else if (one == &seen.parts) TRY(read_parts(j, s));
        else if (json_is(key, "worker")) TRY(read_worker(j, worker));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    if (!seen.first || !seen.end || (!seen.head && !seen.parts))
        return json_fail(j, "a stage lacks \"first\", \"end\" or \"head\"");
    if (!seen.parts) s->back_end = whole ? HEAD_PARTS : 0;
    if (seen.head && whole != part_has_whole_head(*s))
        return json_fail(j, "\"head\" and \"parts\" of a stage say different things");
    return 0;
}

static int read_stages(struct json *j, struct plan_file *p)
{
    if (p->stages) return json_fail(j, "\"stages\" stands there twice");
    TRY(json_array(j));
    while (json_item(j)) {
        if (p->stages == STAGES_MOST) return json_fail(j, "more than %d stages", STAGES_MOST);
        TRY(read_stage(j, &p->part[p->stages], p->worker[p->stages]));
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
        else if (json_is(key, "kv_positions")) TRY(json_u64(j, &p->kv_positions));
        else if (json_is(key, "layers")) TRY(json_u32(j, 1, LAYERS_MOST, &p->layers));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    TRY(json_finish(j));
    if (p->stages) return 0;
    json_fail(j, "there are no \"stages\"");
    if (j->why) j->why->about = ABOUT_PLAN_FILE;
    return E_FILE;
}

int plan_parse_json(struct plan_file *out, const char *text, size_t n, const char *from, struct err *why)
{
    struct json j;
    memset(out, 0, sizeof *out);
    json_begin(&j, text, n, from, why);
    int code = read_plan(&j, out);
    json_end(&j);
    return code;
}

int plan_read_json(struct plan_file *out, const char *path, struct err *why)
{
    struct mapped m;
    TRY(mapped_open(&m, path, MAX_FILE, why));
    int code = plan_parse_json(out, (const char *)m.data, m.bytes, path, why);
    mapped_close(&m);
    return code;
}

int plan_file_check(const struct plan_file *p, uint32_t layers, const char *from, struct err *why)
{
    uint32_t at = 0, part = 0;
    char text[64];
    if (p->layers && p->layers != layers)
        return fail(why, E_USAGE, "%s is for a model of %u layers, this one has %u", from, p->layers, layers);
    for (int i = 0; i < p->stages; i++) {
        const struct part s = p->part[i];
        const bool last = i == p->stages - 1;
        if (s.first != at || s.end < s.first || s.end > layers || (s.first == s.end && !(last && part_has_head(s))))
            return fail(why, E_USAGE,
                        "%s: stage %d has layers %u to %u; wanted runs of layers in order, here from %u on, and only in the "
                        "last perhaps none", from, i + 1, s.first, s.end, at);
        if (part_has_head(s) && s.back != part)
            return fail(why, E_USAGE, "%s: stage %d has %s from part %u on; wanted runs of parts in order, here from %u on",
                        from, i + 1, show_part(text, s), s.back, part);
        if (part_has_head(s)) part = s.back_end;
        at = s.end;
    }
    if (at != layers) return fail(why, E_USAGE, "%s places %u layers, the model has %u", from, at, layers);
    if (part == HEAD_PARTS) return 0;
    return fail(why, E_USAGE, "%s places %u sixteenths of the head, wanted all %d", from, part, HEAD_PARTS);
}
