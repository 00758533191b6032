/* tests/fuzz/plan_json_fuzz.c — any bytes at all as a plan for `split`. */
#include "partition/plan/plan_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool look(const uint8_t *bytes, size_t n)
{
    struct plan_file p;
    if (plan_parse_json(&p, (const char *)bytes, n, "plan.json", NULL)) return false;
    if (p.stages < 1 || p.stages > STAGES_MOST) abort();
    return !plan_file_check(&p, 8, "plan.json", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
