/* partition/tool/cmd_quantize.c — the words of `gemmapipe-partition quantize`; the work is in quantize_model.c. */
#include "partition/tool/cmd_quantize.h"

#include "base/threads.h"
#include "partition/format/blocks.h"
#include "partition/make/quantize_model.h"

#include <string.h>
#include <strings.h>

struct format_option {
    const char *option;
    uint32_t *to;
    uint32_t formats[6]; /* ends with RECIPE_KEEP */
};

static int read_format(const struct format_option *o, const char *text, struct err *why)
{
    char names[64] = "";
    for (int i = 0; o->formats[i] != RECIPE_KEEP; i++) {
        const char *name = block_info(o->formats[i])->name;
        if (!strcasecmp(text, name)) {
            *o->to = o->formats[i];
            return 0;
        }
        if (i) strcat(names, ", ");
        for (size_t n = strlen(names); *name; name++, n++) {
            names[n] = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
            names[n + 1] = 0;
        }
    }
    return fail(why, E_USAGE, "%s %s: wanted one of %s", o->option, text, names);
}

static int take_format(struct words *w, struct recipe *r, bool *took, struct err *why)
{
    const struct format_option options[] = {
        {"--type", &r->matrix, {T_Q4_0, T_Q8_0, T_F16, T_BF16, RECIPE_KEEP}},
        {"--embd", &r->embedding, {T_Q6_K, T_Q8_0, T_F16, T_BF16, T_Q4_0, RECIPE_KEEP}},
        {"--vision", &r->vision, {T_F16, T_Q8_0, RECIPE_KEEP}},
    };
    const char *value;
    *took = false;
    for (size_t i = 0; i < sizeof options / sizeof *options && !*took; i++) {
        TRY(take_value(w, options[i].option, &value, why));
        if (!value) continue;
        TRY(read_format(&options[i], value, why));
        *took = true;
    }
    return 0;
}

static int take_word(struct words *w, struct quantize_job *job, struct err *why)
{
    const char *value, *word = w->word[w->at];
    uint64_t n;
    bool took;
    TRY(take_format(w, &job->recipe, &took, why));
    if (took) return 0;
    TRY(take_value(w, "--mmproj", &value, why));
    if (value) {
        job->mmproj = value;
        return 0;
    }
    TRY(take_value(w, "--threads", &value, why));
    if (value) {
        TRY(read_number("--threads", value, 1024, &n, why));
        job->threads = (int)n;
        return 0;
    }
    if (!strcmp(word, "--table")) job->table = true;
    else if (!strcmp(word, "--requantize")) job->recipe.requantize = true;
    else if (!job->in && *word != '-') job->in = word;
    else if (!job->out && *word != '-') job->out = word;
    else return unknown_word(w, "quantize", why);
    w->at++;
    return 0;
}

int cmd_quantize(struct words *w, struct err *why)
{
    struct quantize_job job = {.recipe = {RECIPE_KEEP, RECIPE_KEEP, RECIPE_KEEP, false}, .threads = cores_allowed()};
    while (w->at < w->count) TRY(take_word(w, &job, why));
    if (!job.in || !job.out)
        return fail(why, E_USAGE, "quantize wants a folder or file to read and a file to write; see --help");
    return quantize_model(stdout, &job, why);
}
