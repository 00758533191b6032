/* base/growing.h — an array that gets longer by one now and then. */
#pragma once

#include <stdlib.h>

/* The array with room for one item behind its n, of so many bytes each; as it is while there is room, else moved and twice as long. NULL without memory: the
 * old one stays. */
static inline void *array_with_room(void *array, size_t n, size_t *room, size_t bytes)
{
    if (n < *room) return array;
    const size_t more = *room ? 2 * *room : 64;
    void *longer = reallocarray(array, more, bytes);
    if (longer) *room = more;
    return longer;
}
