/* base/inline.h — for functions whose int arguments are constants: each call is compiled by itself, for its own. Sanitizers would take
 * minutes over code taken apart like that, so there it means nothing. */
#pragma once

#include "base/sanitized.h"

#if SANITIZED
#define INLINE static inline
#else
#define INLINE static inline __attribute__((always_inline))
#endif
