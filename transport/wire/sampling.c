/* transport/wire/sampling.c — see sampling.h. */
#include "transport/wire/sampling.h"

#include <math.h>

int sampling_check(const struct sampling *how, struct err *why)
{
    if (!(how->temperature >= 0 && isfinite(how->temperature)))
        return fail(why, E_WIRE, "temperature is %g; it must be 0 or more", (double)how->temperature);
    if (!(how->top_p >= 0 && how->top_p <= 1))
        return fail(why, E_WIRE, "top-p is %g; it must be 0 to 1", (double)how->top_p);
    if (!(how->min_p >= 0 && how->min_p <= 1))
        return fail(why, E_WIRE, "min-p is %g; it must be 0 to 1", (double)how->min_p);
    if (!(how->repeat_penalty > 0 && isfinite(how->repeat_penalty)))
        return fail(why, E_WIRE, "repeat penalty is %g; it must be more than 0", (double)how->repeat_penalty);
    if (how->repeat_last > REPEAT_LAST_MOST)
        return fail(why, E_WIRE, "the repeat penalty looks back %u tokens; at most %d can be", how->repeat_last,
                    REPEAT_LAST_MOST);
    return 0;
}
