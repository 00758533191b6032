/* tests/fuzz/hf_config_fuzz.c — any bytes at all as a config.json. What is accepted must hold its bounds. */
#include "partition/checkpoint/hf_config.h"
#include "partition/model/weights.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool look(const uint8_t *bytes, size_t n)
{
    struct hf_config c;
    if (hf_config_parse(&c, (const char *)bytes, n, "config.json", NULL)) return false;
    if (config_check(&c.text, "config.json", NULL)) abort();
    if (c.has_vision && hf_vision_check(&c.vision, "config.json", NULL)) abort();
    struct part all = {0, c.text.layers, 0, HEAD_PARTS, false};
    struct tensor *shapes = calloc(part_count(CHAIN_TEXT, all), sizeof *shapes);
    if (shapes) text_part_shape(&c.text, all, shapes);
    free(shapes);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
