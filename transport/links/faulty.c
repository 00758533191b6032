/* transport/links/faulty.c — see faulty.h. A kind that stands before the port's own: it has all its calls but pull, which it looks
 * over, and close, which gives it back. */
#include "transport/links/faulty.h"

#include "base/little_endian.h"
#include "transport/links/port.h"

#include <stdlib.h>

struct faulty {
    struct kind kind; /* first, so that the kind of a faulty port is a struct faulty */
    const struct kind *own;
    struct fault_wish wish;
    uint32_t seen, harmed;
    struct frame *again; /* FAULT_DOUBLE: the second one, still to come */
    size_t again_n;
    int again_from;
};

static struct faulty *faulty_of(const struct port *p)
{
    return (struct faulty *)p->kind;
}

static bool is_meant(struct faulty *y, const struct frame *f, size_t n)
{
    const unsigned type = n < FRAME_HEAD_BYTES ? 0 : le16(f->bytes + FRAME_TYPE_AT);
    if (y->wish.type && type != y->wish.type) return false;
    if (y->seen++ < y->wish.skip || (y->wish.times && y->harmed >= y->wish.times)) return false;
    y->harmed++;
    return true;
}

/* The frame is opened for whoever changes it, and sealed as if the peer had meant it. */
static int change(struct faulty *y, struct frame **f, size_t *n, struct err *why)
{
    TRY(frame_open(*f, *n, FRAME_BODY_MOST, "a peer that is to be changed", why));
    const struct frame_head was = (*f)->head;
    TRY(y->wish.change(y->wish.user, f, why));
    const uint64_t bytes = (*f)->head.body_bytes;
    const uint16_t type = (*f)->head.type;
    (*f)->head = was;
    (*f)->head.body_bytes = bytes;
    (*f)->head.type = type;
    frame_seal(*f);
    *n = FRAME_HEAD_BYTES + bytes;
    return 0;
}

static int harm(struct faulty *y, struct frame **f, size_t *n, int from, struct err *why)
{
    switch (y->wish.what) {
    case FAULT_LOSE:
        frame_free(*f);
        *f = NULL;
        break;
    case FAULT_DAMAGE: (*f)->bytes[*n - 1] ^= 4; break;
    case FAULT_CUT: --*n; break;
    case FAULT_DOUBLE:
        y->again = frame_copy(*f);
        y->again_n = *n;
        y->again_from = from;
        break;
    case FAULT_CHANGE: return change(y, f, n, why);
    }
    return 0;
}

static int faulty_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct faulty *y = faulty_of(p);
    if (y->again) {
        *out = y->again;
        *n = y->again_n;
        *from = y->again_from;
        y->again = NULL;
        return 0;
    }
    p->kind = y->own; /* which may be faulty too */
    int code = y->own->pull(p, out, n, from, until, why);
    p->kind = &y->kind;
    TRY(code);
    return *out && is_meant(y, *out, *n) ? harm(y, out, n, *from, why) : 0;
}

static void faulty_close(struct port *p)
{
    struct faulty *y = faulty_of(p);
    p->kind = y->own;
    frame_free(y->again);
    free(y);
    p->kind->close(p);
}

int port_make_faulty(struct port *p, const struct fault_wish *wish, struct err *why)
{
    struct faulty *y = calloc(1, sizeof *y);
    if (!y) return fail(why, E_MEMORY, "no memory for a faulty port");
    *y = (struct faulty){.kind = *p->kind, .own = p->kind, .wish = *wish};
    y->kind.pull = faulty_pull;
    y->kind.close = faulty_close;
    p->kind = &y->kind;
    return 0;
}
