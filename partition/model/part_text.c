/* partition/model/part_text.c — see part_text.h. */
#include "partition/model/part_text.h"

#include "partition/model/weights.h"

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

char *show_capacity(char out[96], const struct capacity *cap)
{
    const uint32_t blocks = capacity_blocks(cap);
    const bool all = blocks == capacity_blocks_most(cap);
    const int n = snprintf(out, 96, "%u sequence%s of %s%u positions", cap->sequences, cap->sequences == 1 ? "" : "s", all ? "" : "up to ", cap->context);
    if (!all && blocks == capacity_blocks_least(cap)) snprintf(out + n, 96 - (size_t)n, ", no more than one so long together");
    else if (!all) snprintf(out + n, 96 - (size_t)n, ", %llu together", (unsigned long long)blocks * KV_PAGE);
    return out;
}

char *show_vision_part(char out[64], struct part s)
{
    snprintf(out, 64, "%s%u-%u%s", s.front ? "patches, " : "", s.first, s.end - 1, part_has_back(s) ? ", projector" : "");
    return out;
}

void part_write_json(FILE *to, struct part s)
{
    fprintf(to, "\"first\": %u, \"end\": %u, \"head\": %s", s.first, s.end, part_has_whole_head(s) ? "true" : "false");
    if (part_has_head(s)) fprintf(to, ", \"parts\": [%u, %u]", s.back, s.back_end);
}
