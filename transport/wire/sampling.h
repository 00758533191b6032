/* transport/wire/sampling.h — can a token be drawn in this way? Asked by the engine when it takes an ask, and again by the worker that draws. */
#ifndef TRANSPORT_WIRE_SAMPLING_H
#define TRANSPORT_WIRE_SAMPLING_H

#include "transport/wire/wire.h"

/* E_WIRE if a number makes no sense. */
int sampling_check(const struct sampling *how, struct err *why);

#endif
