/* base/inline.h — for functions whose int arguments are constants: each call is compiled by itself, for its own. Sanitizers would take
 * minutes over code taken apart like that, so there it means nothing. */
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INLINE static inline
#else
#define INLINE static inline __attribute__((always_inline))
#endif
