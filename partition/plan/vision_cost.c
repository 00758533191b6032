/* partition/plan/vision_cost.c — see vision_cost.h. Every matrix meets every patch once, but for the projection, which meets the
 * pooled rows. Attention multiplies each patch's query and weights with all keys and values. */
#include "partition/plan/vision_cost.h"

#include "partition/plan/text_cost.h"

static double price(uint32_t type)
{
    return type == T_F16 || type == T_BF16 || type == T_F32 ? FLOAT_MAC_PRICE : 1;
}

double vision_seconds(const struct vision_config *c, struct part s, const struct tensor *tensors,
                      enum vision_type as)
{
    const double patches = vision_patches(c), tokens = vision_tokens(c);
    /* With weights in 8 bits keys and values are short integers: two multiply-adds in the time of one. */
    const double attention = 2 * patches * patches * c->width * (as == VISION_Q8_0 ? FLOAT_MAC_PRICE / 2 : FLOAT_MAC_PRICE);
    double macs = (s.end - s.first) * attention;
    for (size_t i = 0; i < part_count(CHAIN_VISION, s); i++) {
        const struct tensor *t = &tensors[i];
        if (vision_role_is_vector(t->role) || t->role == V_POSITIONS) continue;
        double rows = t->role == V_PROJECTION ? tokens : patches;
        macs += rows * t->rows * t->cols * price(vision_kept(t, as).type);
    }
    return macs / NOMINAL_MACS_PER_SECOND;
}

double picture_power(const struct worker_offer *offer, double layer)
{
    const bool measured = offer->measured && offer->measured->picture_layer > 0;
    return measured ? layer / offer->measured->picture_layer * ration_share(&offer->ration) : nominal_power(offer);
}
