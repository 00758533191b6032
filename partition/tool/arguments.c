/* partition/tool/arguments.c — see arguments.h. */
#include "partition/tool/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int take_value(struct words *w, const char *option, const char **value, struct err *why)
{
    *value = NULL;
    if (strcmp(w->word[w->at], option)) return 0;
    if (w->at + 1 >= w->count) return fail(why, E_USAGE, "%s wants a value; see --help", option);
    *value = w->word[w->at + 1];
    w->at += 2;
    return 0;
}

int read_number(const char *option, const char *text, uint64_t most, uint64_t *out, struct err *why)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || *out > most)
        return fail(why, E_USAGE, "%s %s: wanted a whole number up to %" PRIu64, option, text, most);
    return 0;
}

int unknown_word(const struct words *w, const char *verb, struct err *why)
{
    return fail(why, E_USAGE, "%s does not know \"%s\"; see gemmapipe-partition --help", verb, w->word[w->at]);
}

static const char *advice_about(enum about about)
{
    switch (about) {
    case ABOUT_SPLIT: return "; --layers says how many each gets";
    case ABOUT_PLAN_FILE: return "; gemmapipe plan --json writes such a file";
    case ABOUT_ENCODER_OUT: return "; --mmproj names the file of the picture encoder, which is written from a folder that has one";
    case ABOUT_TEXT_FORMAT: return "; take the unquantised model, leave out --type to keep such tensors, or say --requantize";
    case ABOUT_VISION_FORMAT: return "; take the unquantised model, leave out --vision to keep such tensors, or say --requantize";
    default: return "";
    }
}

void advise_tool(struct err *why)
{
    err_add(why, advice_about(why->about));
    why->about = ABOUT_NOTHING;
}
