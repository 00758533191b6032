/* base/silence.h — how long somebody was silent while one listened.
 *
 * Time in which the listener itself stood still, because it was stopped (Ctrl-Z), suspended or far too busy, proves nothing: what was
 * said then may still be on its way. So of the time between two looks no more than LISTENING_NS counts. Times in, a time out. */
#pragma once

#include <stdint.h>

#define LISTENING_NS 1000000000ull /* who listens looks more often */

struct silence {
    uint64_t looked_ns, silent_ns;
};

static inline void silence_broken(struct silence *s, uint64_t now)
{
    *s = (struct silence){now, 0};
}

/* So long until now. To be asked at every look. */
static inline uint64_t silence_ns(struct silence *s, uint64_t now)
{
    const uint64_t passed = now > s->looked_ns ? now - s->looked_ns : 0;
    s->silent_ns += passed < LISTENING_NS ? passed : LISTENING_NS;
    s->looked_ns = now;
    return s->silent_ns;
}
