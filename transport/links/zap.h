/* transport/links/zap.h — encrypted links as libzmq makes them (CURVE), for keys.c and the files of ZeroMQ only.
 *
 * Whoever binds decides who is let in, by ZAP: libzmq asks a socket of a fixed name, within the process, during every handshake. Three
 * things are easily got wrong, and each leaves the door open without a word: without that socket libzmq lets every key in, a
 * domain alone changes nothing, and the option that would is hidden. So all three are set, and what comes of them is tried. */
#pragma once

#include "transport/links/keys.h"

int key_pair(uint8_t public[KEY_BYTES], uint8_t secret[KEY_BYTES], struct err *why); /* a new one */
int key_public(uint8_t public[KEY_BYTES], const uint8_t secret[KEY_BYTES], struct err *why);

/* The thread that answers libzmq: before any socket of the context is bound. It ends with the context; zap_end waits for it, after
 * zmq_ctx_term. */
struct zap;
int zap_begin(struct zap **out, void *context, struct keys *keys, struct err *why);
void zap_end(struct zap **zap); /* sets *zap to NULL; NULL is fine */

/* Before bind: only who has a key that is let in. Before connect: only to who has the key `theirs`. */
int zap_serve(void *router, struct keys *keys, struct err *why);
int zap_call(void *dealer, struct keys *keys, const uint8_t theirs[KEY_BYTES], struct err *why);

/* Connects to the router as a stranger, with a key drawn for it. E_INTERNAL unless it is refused within a few seconds. Strangers that
 * are refused later are told of. */
int zap_prove(struct zap *zap, void *context, void *router, struct err *why);
