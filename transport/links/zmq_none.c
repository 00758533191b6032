/* transport/links/zmq_none.c — in the place of zmq.c and zap.c where the program is built without ZeroMQ (make ZMQ=0). See transport.h. */
#include "transport/links/transport.h"
#include "transport/links/zap.h"

static int no_addresses(struct err *why)
{
    return fail(why, E_USAGE, "this gemmapipe was built without ZeroMQ, so it has no workers in other processes but under mpirun; "
                              "--here N works as N stages in one");
}

int port_open_listen(struct port **out, const char *address, const struct link_options *options, struct err *why)
{
    (void)out, (void)address, (void)options;
    return no_addresses(why);
}

int port_open_dial(struct port **out, const struct link_options *options, struct err *why)
{
    (void)out, (void)options;
    return no_addresses(why);
}

static int no_keys(struct err *why)
{
    return fail(why, E_USAGE, "this gemmapipe was built without ZeroMQ, which makes the keys");
}

int key_pair(uint8_t public[KEY_BYTES], uint8_t secret[KEY_BYTES], struct err *why)
{
    (void)public, (void)secret;
    return no_keys(why);
}

int key_public(uint8_t public[KEY_BYTES], const uint8_t secret[KEY_BYTES], struct err *why)
{
    (void)public, (void)secret;
    return no_keys(why);
}
