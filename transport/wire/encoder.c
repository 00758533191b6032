/* transport/wire/encoder.c — pictures on their way through the encoder: PICTURE, PICTURE_ROWS. See wire.h. */
#include "transport/wire/wire.h"

#include "transport/wire/cursor.h"

#define PICTURE_FIXED_BYTES 16

static void walk_picture_values(struct cursor *c, void *message)
{
    struct picture_values *m = message;
    walk_u64(c, &m->picture);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->cols);
    uint64_t values = (uint64_t)m->rows * m->cols;
    if (!c->code && values > FRAME_BODY_MOST / 4) cursor_refuse(c, "%u rows of %u values are over all bounds", m->rows, m->cols);
    if (!c->code) walk_room(c, &m->values, values * 4);
}

uint64_t picture_values_bytes(uint64_t floats)
{
    return PICTURE_FIXED_BYTES + floats * 4;
}



int picture_values_write(struct frame **out, enum message type, struct picture_values *m, struct err *why)
{
    return message_write(out, type, walk_picture_values, m, why);
}

int picture_values_read(struct picture_values *m, struct frame *f, struct err *why)
{
    return message_read(f, f->head.type == M_PICTURE_ROWS ? M_PICTURE_ROWS : M_PICTURE, walk_picture_values, m, why);
}
