/* coordinator/cmd/capacity.c — see capacity.h. */
#include "coordinator/cmd/capacity.h"

#define DEFAULT_ROWS 128    /* of a micro-batch: past the knee of the kernels, short enough to fill a pipe: docs/SPEED.md */
#define SCORES_IN_FLIGHT (64u << 20) /* bytes of scores that one micro-batch may send home */
#define MOST_SEQUENCES 16   /* unless --sequences says more */

void capacity_of_scores(struct capacity *c, const struct model_config *config, uint32_t whole)
{
    const uint32_t most = SCORES_IN_FLIGHT / (config->vocab * (uint32_t)sizeof(float));
    const uint32_t rows = most > whole ? most : whole;
    if (c->rows > rows) c->rows = rows;
}

int capacity_holds(const struct options *o, const struct model_config *c, uint64_t prompt, struct err *why)
{
    const uint32_t most = o->context ? o->context : c->context;
    if (prompt <= most) return 0;
    const bool raisable = most < c->context;
    return fail_about(why, raisable ? ABOUT_CONTEXT : ABOUT_NOTHING, E_USAGE, "the prompt has %llu tokens, the context holds %u%s",
                      (unsigned long long)prompt, most, raisable ? "" : ": the model was trained for no more");
}

int capacity_for(struct capacity *out, const struct options *o, const struct model_config *c, const struct load *load, struct err *why)
{
    if (o->context && o->context > c->context)
        return fail(why, E_USAGE, "a context of %u is more than the %u positions this model was trained for", o->context, c->context);
    TRY(capacity_holds(o, c, load->prompt, why));
    uint64_t context = o->context ? o->context : load->prompt + load->answer;
    if (context > c->context) context = c->context;
    uint32_t wanted = o->sequences ? o->sequences : load->prompts < MOST_SEQUENCES ? load->prompts : MOST_SEQUENCES;
    *out = (struct capacity){
        .context = (uint32_t)context,
        .sequences = wanted ? wanted : 1,
        .rows = o->rows ? o->rows : DEFAULT_ROWS,
        .in_flight = o->in_flight,
    };
    if (out->rows < load->whole) out->rows = load->whole;
    if (o->kv_positions && o->kv_positions < context)
        return fail_about(why, ABOUT_KV_POSITIONS, E_USAGE, "%u positions of all sequences together do not hold one of %llu", o->kv_positions,
                          (unsigned long long)context);
    out->blocks = o->kv_positions / KV_PAGE + (o->kv_positions % KV_PAGE != 0);
    return 0;
}
