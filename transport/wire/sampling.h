/* transport/wire/sampling.h — can a token be drawn in this way? The engine checks it when it takes an ask, and the worker that
 * draws checks it again. */
#pragma once

#include "transport/wire/wire.h"

/* E_WIRE if a number makes no sense. */
int sampling_check(const struct sampling *how, struct err *why);
