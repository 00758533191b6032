/* partition/plan/plan.c — a plan from a split: shares, bytes, times, and the hash that all stages must agree on.
 *
 * solve.c finds the split; here it is given, by hand or by the solver, and the same checks follow. */
#include "partition/plan/plan.h"

#include "base/checked.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/log.h"
#include "partition/plan/items.h"

#include <string.h>

struct model_shape model_shape(const struct model *m)
{
    return (struct model_shape){.config = m->config, .layer_tensors = m->layer_tensors,
                                .output_norm = m->output_norm, .head = m->head};
}

char *show_part(char out[64], struct part s)
{
    char layers[32], head[28];
    if (s.end == s.first + 1) snprintf(layers, sizeof layers, "layer %u", s.first);
    else snprintf(layers, sizeof layers, "layers %u-%u", s.first, s.end - 1);
    if (part_has_whole_head(s)) snprintf(head, sizeof head, "the head");
    else snprintf(head, sizeof head, "%u/%d of the head", s.back_end - s.back, HEAD_PARTS);
    if (!part_has_head(s)) snprintf(out, 64, "%s", s.first == s.end ? "nothing" : layers);
    else if (s.first == s.end) snprintf(out, 64, "%s", head);
    else snprintf(out, 64, "%s and %s", layers, head);
    return out;
}

char *show_part_briefly(char out[32], struct part s)
{
    char head[16] = "head";
    if (!part_has_whole_head(s)) snprintf(head, sizeof head, "%u/%d", s.back_end - s.back, HEAD_PARTS);
    if (s.first == s.end) snprintf(out, 32, "%s", head);
    else if (!part_has_head(s)) snprintf(out, 32, "%u-%u", s.first, s.end - 1);
    else snprintf(out, 32, "%u-%u + %s", s.first, s.end - 1, head);
    return out;
}

void part_write_json(FILE *to, struct part s)
{
    fprintf(to, "\"first\": %u, \"end\": %u, \"head\": %s", s.first, s.end, part_has_whole_head(s) ? "true" : "false");
    if (part_has_head(s)) fprintf(to, ", \"parts\": [%u, %u]", s.back, s.back_end);
}

/* Two programs that run parts of one model must have the same sizes, formats, cuts and capacities; anything else shows
 * here before a row travels. */
static uint64_t plan_hash(const struct plan *p, const struct items *it)
{
    const struct model_config *c = &it->shape->config;
    const uint32_t numbers[] = {
        c->layers, c->hidden, c->ffn, c->heads, c->kv_heads, c->head_dim, c->window, c->pattern, c->context, c->vocab,
        f32_bits(c->rope_base_global), f32_bits(c->rope_base_local), f32_bits(c->rope_factor),
        f32_bits(c->norm_epsilon), f32_bits(c->attention_scale), p->capacity.context, p->capacity.sequences,
        p->capacity.rows, p->capacity.in_flight, (uint32_t)p->stages,
    };
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) h = hash_fold(h, numbers[i]);
    for (int i = 0; i < p->stages; i++) {
        h = hash_fold(h, p->stage[i].share.first);
        h = hash_fold(h, p->stage[i].share.end);
        h = hash_fold(h, p->stage[i].share.back);
        h = hash_fold(h, p->stage[i].share.back_end);
    }
    for (size_t i = 0; i < (size_t)it->layers * W_LAYER_ROLES + 2; i++) h = hash_fold(h, it->tensors[i].type);
    return h;
}

void plan_fill(struct plan *out, const struct items *it, const struct worker_offer *offers, const struct part *shares,
               int workers)
{
    *out = (struct plan){.stages = workers, .capacity = *it->capacity};
    const struct worker_offer nominal = {.speed = 1, .threads = 1};
    for (int i = 0; i < workers; i++) {
        out->stage[i] = (struct stage_plan){
            .share = shares[i],
            .bytes = items_bytes(it, shares[i], &offers[i]),
            .cost = items_seconds(&it->first, shares[i], &nominal),
            .expected = items_seconds(&it->first, shares[i], &offers[i]),
        };
    }
    out->hash = plan_hash(out, it);
}

int plan_check_workers(const struct items *it, int workers, struct err *why)
{
    uint32_t most = it->layers + 1 < MAX_STAGES ? it->layers + 1 : MAX_STAGES;
    if (workers < 1) return fail(why, E_USAGE, "a plan needs at least one worker");
    if ((uint32_t)workers > most)
        return fail(why, E_USAGE,
                    "%d workers are more than can be used: %u layers and the head are work for at most %u", workers,
                    it->layers, most);
    return 0;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t r;
    return add_ok(a, b, &r) ? r : UINT64_MAX;
}

static uint64_t missing(const struct plan *plan, const struct worker_offer *offers, int i)
{
    uint64_t limit = offers[i].memory, want = plan->stage[i].bytes.total;
    return limit && want > limit ? want - limit : 0;
}

/* "worker 2 (attic)", or "worker 2" for one that has no name of its own. */
static const char *show_worker(char out[160], const struct worker_offer *offer, int i)
{
    int n = snprintf(out, 160, "worker %d", i + 1);
    if (*offer->name && strcmp(offer->name, out)) snprintf(out + n, 160 - (size_t)n, " (%s)", offer->name);
    return out;
}

int plan_check_memory(const struct plan *plan, const struct worker_offer *offers, struct err *why)
{
    uint64_t offered = 0, wanted = 0;
    bool all_limited = true;
    int worst = 0;
    for (int i = 0; i < plan->stages; i++) {
        if (missing(plan, offers, i) > missing(plan, offers, worst)) worst = i;
        offered = plus(offered, offers[i].memory);
        wanted = plus(wanted, plan->stage[i].bytes.total);
        all_limited &= offers[i].memory != 0;
    }
    if (!missing(plan, offers, worst)) return 0;
    const struct stage_plan *s = &plan->stage[worst];
    char who[160], share[64], limit[24], want[24], lack[24], all[24], sum[24], together[120] = "";
    show_bytes(all, offered);
    show_bytes(sum, wanted);
    if (all_limited)
        snprintf(together, sizeof together, "; together the workers offer %s and the plan wants %s", all, sum);
    return fail_about(why, ABOUT_MEMORY, E_MEMORY, "%s may use %s, but %s with %u sequence%s of %u positions want%s %s: %s are missing%s",
                show_worker(who, &offers[worst], worst), show_bytes(limit, offers[worst].memory),
                show_part(share, s->share), plan->capacity.sequences, plan->capacity.sequences == 1 ? "" : "s",
                plan->capacity.context, s->share.end == s->share.first + !part_has_head(s->share) ? "s" : "",
                show_bytes(want, s->bytes.total), show_bytes(lack, missing(plan, offers, worst)), together);
}

/* ---- by hand ---- */

static int check_layers(const struct model_config *c, const struct cut *cuts, int workers, struct err *why)
{
    uint64_t sum = 0;
    for (int i = 0; i < workers && sum <= c->layers; i++) {
        if (!cuts[i].layers && i < workers - 1)
            return fail(why, E_USAGE, "the split gives worker %d no layer; only the last may do with the head alone",
                        i + 1);
        sum += cuts[i].layers;
    }
    if (sum == c->layers) return 0;
    return fail(why, E_USAGE, "the split places %s%llu layers, the model has %u", sum > c->layers ? "at least " : "",
                (unsigned long long)sum, c->layers);
}

static int check_parts(const struct cut *cuts, int workers, struct err *why)
{
    uint64_t sum = 0;
    for (int i = 0; i < workers; i++) sum += cuts[i].parts;
    if (sum != HEAD_PARTS)
        return fail(why, E_USAGE, "the split places %llu sixteenths of the head, wanted all %d", (unsigned long long)sum,
                    HEAD_PARTS);
    if (!cuts[workers - 1].layers && !cuts[workers - 1].parts)
        return fail(why, E_USAGE, "the split gives worker %d nothing; it needs a layer or a part of the head", workers);
    return 0;
}

int plan_read_cuts(struct part *out, const struct model_config *c, const struct cut *cuts, int workers, struct err *why)
{
    uint32_t layer = 0, part = 0;
    TRY(check_layers(c, cuts, workers, why));
    TRY(check_parts(cuts, workers, why));
    for (int i = 0; i < workers; i++) {
        out[i] = (struct part){.first = layer, .end = layer + cuts[i].layers};
        if (cuts[i].parts) out[i].back = part, out[i].back_end = part + cuts[i].parts;
        layer += cuts[i].layers;
        part += cuts[i].parts;
        if (!text_part_possible(c, out[i]))
            return fail(why, E_USAGE,
                        "the split gives worker %d %u sixteenths of the head without a word: a vocabulary of %u fills %u "
                        "of %d", i + 1, cuts[i].parts, c->vocab, part_head_parts(c, (struct part){.back_end = HEAD_PARTS}), HEAD_PARTS);
    }
    return 0;
}

static int by_hand(struct plan *out, const struct items *it, const struct worker_offer *offers, const struct cut *cuts,
                   int workers, struct err *why)
{
    struct part shares[MAX_STAGES];
    TRY(plan_check_workers(it, workers, why));
    TRY(plan_read_cuts(shares, &it->shape->config, cuts, workers, why));
    for (int i = 0; i < workers - 1; i++)
        if (it->shape->whole_head && part_has_head(shares[i]))
            return fail(why, E_USAGE,
                        "the split gives worker %d %u sixteenths of the head; all 16 must be with the last one because all "
                        "scores of a row are wanted in one place", i + 1, cuts[i].parts);
    plan_fill(out, it, offers, shares, workers);
    return plan_check_memory(out, offers, why);
}

int plan_by_hand(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers,
                 const struct cut *cuts, int workers, const struct capacity *capacity, struct err *why)
{
    struct items it;
    TRY(items_open(&it, shape, capacity, why));
    int rc = by_hand(out, &it, offers, cuts, workers, why);
    items_close(&it);
    return rc;
}
