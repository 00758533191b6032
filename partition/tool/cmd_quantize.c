/* partition/tool/cmd_quantize.c — the words of `gemmapipe-partition quantize`; the work is in quantize_model.c. */
#include "partition/tool/cmd_quantize.h"

#include "base/arguments.h"
#include "base/plain_text.h"
#include "base/threads.h"
#include "partition/make/synth.h"
#include "partition/make/quantize_model.h"

#include <string.h>

static int take_format(void *into, const struct argument *a, const char *text, struct err *why)
{
    uint32_t which;
    TRY(argument_choice(a, text, &which, why));
    return synth_type(text, argument_to(into, a), why);
}

#define INTO struct quantize_job
static const struct argument table[] = {
    {"type", "q4_0|q8_0|f16|bf16", 0, OWN(recipe.matrix, take_format), NULL},
    {"embd", "q6_k|q8_0|f16|bf16|q4_0", 0, OWN(recipe.embedding, take_format), NULL},
    {"vision", "f16|q8_0", 0, OWN(recipe.vision, take_format), NULL},
    {"mmproj", "FILE", 0, TEXT(mmproj), NULL},
    {"threads", "T", 0, WHOLE(threads, 1, 1024), NULL},
    {"requantize", NULL, 0, FLAG(recipe.requantize), NULL},
    {"table", NULL, 0, FLAG(table), NULL},
    {NULL, NULL, 0, TEXT(in), NULL},
    {NULL, NULL, 0, TEXT(out), NULL},
};

int cmd_quantize(int argc, char **argv, struct err *why)
{
    struct quantize_job job = {.recipe = {RECIPE_KEEP, RECIPE_KEEP, RECIPE_KEEP, false}, .threads = cores_allowed()};
    TRY(arguments_read(&ARGUMENTS("quantize", table), &job, argc, argv, why));
    if (!job.in || !job.out)
        return fail(why, E_USAGE, "quantize wants a folder or file to read and a file to write; see --help");
    const bool out_is_stdout = !strcmp(job.out, "-") || (job.mmproj && !strcmp(job.mmproj, "-"));
    struct plain_page page;
    const int code = quantize_model(plain_page_open(&page, out_is_stdout ? stderr : stdout), &job, why);
    plain_page_close(&page);
    return code;
}
