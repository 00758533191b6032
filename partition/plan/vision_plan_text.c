/* partition/plan/vision_plan_text.c — the encoder's plan as people and scripts write and read it. */
#include "partition/plan/vision_plan.h"

#include "base/log.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int read_word(struct vision_wish *w, const char *word, size_t n, const char *text, struct err *why)
{
    char digits[12] = "";
    char *end = digits;
    const int i = w->workers++;
    if (n == 3 && !memcmp(word, "all", 3)) {
        w->all[i] = true;
        return 0;
    }
    if (n && n < sizeof digits) memcpy(digits, word, n);
    unsigned long layers = *digits >= '0' && *digits <= '9' ? strtoul(digits, &end, 10) : 0;
    if (end == digits || *end || layers > UINT32_MAX)
        return fail(why, E_USAGE, "\"%.60s\" is no split of the encoder: wanted layers of each worker as 9,9,9, or all,0,all, or the word "
                    "copies, or layers", text);
    w->layers[i] = (uint32_t)layers;
    return 0;
}

int vision_wish_read(struct vision_wish *out, const char *text, struct err *why)
{
    *out = (struct vision_wish){.how = VISION_CHOOSE};
    if (!text) return 0;
    if (!strcmp(text, "layers") || !strcmp(text, "copies")) {
        out->how = *text == 'l' ? VISION_LAYERS : VISION_COPIES;
        return 0;
    }
    out->how = VISION_BY_HAND;
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        if (out->workers == MAX_STAGES)
            return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE, "the split of the picture encoder names more than %d workers", MAX_STAGES);
        TRY(read_word(out, at, n, text, why));
        at += n;
        if (!*at) return 0;
    }
}

void vision_plan_print(FILE *to, const struct vision_plan *p, const struct worker_offer *offers)
{
    char weights[24], rest[24], total[24];
    uint64_t sum = 0;
    fprintf(to, "pictures: %s %d of %d workers, %s%u in flight%s\n", p->copies ? "the whole encoder on each of" : "the encoder's layers split over",
            p->used, p->workers, p->copies ? "pictures in turn, " : "", p->copies ? p->in_flight * (uint32_t)p->used : p->in_flight,
            p->as == VISION_Q8_0 ? ", layers kept as q8_0" : "");
    for (int i = 0; i < p->workers; i++) {
        const struct vision_stage_plan *s = &p->stage[i];
        if (!s->used) continue;
        fprintf(to, "%4d  %-22.22s  %slayers %u-%u%s: weights %s, buffers %s, together %s more; %.3g s a picture\n", i + 1, offers[i].name,
                s->share.front ? "patches, " : "", s->share.first, s->share.end - 1, part_has_back(s->share) ? ", projector" : "",
                show_bytes(weights, s->bytes.weights), show_bytes(rest, s->bytes.scratch + s->bytes.frames + s->bytes.runtime),
                show_bytes(total, s->bytes.total), s->expected);
        sum += s->bytes.total;
    }
    fprintf(to, "      sum %s; a picture alone %.3g s, many %.3g a second (nominal speeds; travel time not counted)\n", show_bytes(total, sum),
            vision_plan_alone(p), vision_plan_rate(p));
    fprintf(to, "      why %s: %s\n", p->copies ? "copies" : "split", p->why);
}

void vision_plan_write_json(FILE *to, const struct vision_plan *p, const struct worker_offer *offers, const char *file,
                            struct hash128 fingerprint)
{
    char hex[33];
    fprintf(to, "{\"mmproj\": ");
    json_print_text(to, file);
    fprintf(to, ", \"fingerprint\": \"%s\", \"how\": \"%s\", \"why\": ", show_hash128(hex, fingerprint), p->copies ? "copies" : "split");
    json_print_text(to, p->why);
    fprintf(to, ",\n  \"type\": \"%s\", \"in_flight\": %u, \"seconds_alone\": %.6g, \"pictures_per_second\": %.6g,\n  \"workers\": [",
            p->as == VISION_Q8_0 ? "q8_0" : "f16", p->in_flight, vision_plan_alone(p), vision_plan_rate(p));
    bool first = true;
    for (int i = 0; i < p->workers; i++) {
        const struct vision_stage_plan *s = &p->stage[i];
        if (!s->used) continue;
        fprintf(to, "%s\n   {\"worker\": ", first ? "" : ",");
        json_print_text(to, offers[i].name);
        fprintf(to, ", \"number\": %d, \"first\": %u, \"end\": %u, \"patches\": %s, \"projector\": %s, \"weights\": %" PRIu64
                ", \"total\": %" PRIu64 ", \"seconds\": %.6g}",
                i + 1, s->share.first, s->share.end, s->share.front ? "true" : "false", part_has_back(s->share) ? "true" : "false",
                s->bytes.weights, s->bytes.total, s->expected);
        first = false;
    }
    fprintf(to, "]}");
}
