/* partition/model/part.c — see part.h. */
#include "partition/model/part.h"

#include "partition/model/vision_weights.h"
#include "partition/model/weights.h"

size_t part_count(enum chain chain, struct part p)
{
    const size_t layers = p.end - p.first;
    if (chain == CHAIN_TEXT) return layers * W_LAYER_ROLES + (part_has_back(p) ? W_ROLES - W_OUTPUT_NORM : 0);
    return layers * V_LAYER_ROLES + (p.front ? V_POST - V_PATCH : 0) + (part_has_back(p) ? V_ROLES - V_POST : 0);
}

const char *tensor_name(const struct tensor *t)
{
    return t->chain == CHAIN_TEXT ? role_name(t->role) : vision_role_name(t->role);
}
