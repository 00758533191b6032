/* coordinator/cmd/advice.c — see advice.h. */
#include "coordinator/cmd/advice.h"

#include "base/log.h"

static const char *advice_about(enum about about)
{
    switch (about) {
    case ABOUT_CONTEXT: return "; --ctx raises it";
    case ABOUT_ANSWER_LENGTH: return "; -n says how many tokens an answer may have";
    case ABOUT_SAMPLING: return "; see --temp, --top-k, --top-p, --min-p, --repeat-penalty and --repeat-last";
    case ABOUT_WORKERS: return "; leave --workers, --here, --connect and --cluster away";
    case ABOUT_WAIT: return "; --wait gives them more time";
    case ABOUT_PATIENCE: return "; --wait-for-workers gives them more time";
    case ABOUT_SPLIT: return "; --split says how many layers each gets";
    case ABOUT_KV_POSITIONS: return "; --kv-positions says how many, without it there are as many as fit";
    case ABOUT_MEMORY: return "; more workers or a smaller --ctx need less of each";
    case ABOUT_MEMORY_SIZES: return "; --memory takes one size for all of them, or one for each";
    case ABOUT_VISION_SPLIT: return "; --vision-split says how many layers each gets";
    case ABOUT_VISION_WORKERS: return "; --vision-workers says how many are for pictures alone";
    case ABOUT_VISION_TYPE: return "; --vision-type q8_0 halves them";
    case ABOUT_PICTURE_MEMORY: return "; --picture-memory raises it";
    case ABOUT_PLAN_FILE: return "; gemmapipe plan --json writes such a file";
    case ABOUT_JOURNAL: return "; --resume goes on with it, --overwrite begins anew";
    case ABOUT_RESUMING: return "; the same command with --resume goes on";
    case ABOUT_KEYS: return "; gemmapipe keys trust NAME KEY makes it known (gemmapipe-worker prints its key), --insecure here and there goes without";
    case ABOUT_ENCODER_OUT: /* of gemmapipe-partition: partition/tool/main.c */
    case ABOUT_TEXT_FORMAT:
    case ABOUT_VISION_FORMAT:
    case ABOUT_BUSY:
    case ABOUT_NOTHING: break;
    }
    return "";
}

void advise(struct err *why)
{
    err_add(why, advice_about(why->about));
    why->about = ABOUT_NOTHING;
}

void show_error(struct err *why)
{
    advise(why);
    log_error("%s", why->text);
}
