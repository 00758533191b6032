/* transport/wire/encoder.c — pictures on their way through the encoder: SEE, SEEN. See wire.h. */
#include "transport/wire/wire.h"

#include "transport/wire/cursor.h"

#define SEE_FIXED_BYTES 16

static void walk_see(struct cursor *c, void *message)
{
    struct see *m = message;
    walk_u64(c, &m->picture);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->cols);
    uint64_t values = (uint64_t)m->rows * m->cols;
    if (!c->code && values > FRAME_BODY_MOST / 4) cursor_refuse(c, "%u rows of %u values are over all bounds", m->rows, m->cols);
    if (!c->code) walk_room(c, &m->values, values * 4);
}

uint64_t see_bytes(uint64_t floats)
{
    return SEE_FIXED_BYTES + floats * 4;
}



int see_write(struct frame **out, enum message type, struct see *m, struct err *why)
{
    return message_write(out, type, walk_see, m, why);
}

int see_read(struct see *m, struct frame *f, struct err *why)
{
    return message_read(f, f->head.type == M_SEEN ? M_SEEN : M_SEE, walk_see, m, why);
}
