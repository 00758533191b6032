/* transport/links/faulty.h — a port that loses, damages, cuts, doubles or changes some of what comes in, for tests. Any kind of
 * port can be made faulty; for all else it is what it was. */
#pragma once

#include "transport/links/transport.h"

enum fault_what {
    FAULT_LOSE,   /* it never comes; the next one from that node on that route is found to be out of turn */
    FAULT_DAMAGE, /* a bit of the body, or of the head if there is no body, is another one */
    FAULT_CUT,    /* its last byte is missing */
    FAULT_DOUBLE, /* it comes twice */
    FAULT_CHANGE, /* `change` makes another of it, whose sums are right: what a peer sends that computes wrongly */
};

struct fault_wish {
    enum fault_what what;
    unsigned type;  /* enum message: of these only; 0: of any */
    uint32_t skip;  /* so many pass unharmed first */
    uint32_t times; /* so many are harmed, then no more; 0: all */
    int (*change)(void *user, struct frame **f, struct err *why); /* *f is opened; may be replaced by another, whose head it gets */
    void *user;
};

/* From now on until the port is closed. A port can be made faulty several times over. */
int port_make_faulty(struct port *p, const struct fault_wish *wish, struct err *why);
