/* transport/links/zmq_sockets.h — ZeroMQ sockets as this program wants them, for zmq.c only: how they are made, watched,
 * bound and closed, and how a frame goes into one and comes out. What frames mean, and peers, are zmq.c's affair. */
#pragma once

#include "transport/links/address.h"
#include "transport/wire/frame.h"

#include <stdbool.h>
#include <stdint.h>

/* libzmq ends the process when it runs out of files, so they are counted before anything is made: E_LINK if this process may not
 * open as many as connections to so many peers take. A context is for one at least. NULL in *context if it fails. */
int zmq_files_enough(int peers, struct err *why);
int zmq_context_new(void **context, struct err *why);

/* A socket of this type (ZMQ_ROUTER, ZMQ_DEALER) and the pair that tells what happens to its connections. `address` is for
 * sentences. Keys are set afterwards, before any bind or connect (zap.h). */
int zmq_socket_open(void *context, int type, const char *address, void **out, void **monitor, struct err *why);
/* Before the connect, of a DEALER from a worker to the next. No pings of the application's go between the two, so only libzmq's
 * can tell that a connection swallows what is sent. They are answered by a thread of libzmq's own. */
void zmq_socket_between_workers(void *dealer);
void zmq_socket_close(void **socket, void **monitor, int linger_ms); /* sets both to NULL; NULL is fine */

/* What happened to a connection: ZMQ_EVENT_…, and a number that goes with it. False: nothing new. */
bool zmq_next_event(void *monitor, uint16_t *event, uint32_t *value);

/* A name is looked up, and all it stands for is bound. */
int zmq_bind_address(void *router, const char *address, struct err *why);
void zmq_disconnect_endpoint(void *dealer, const struct endpoint *e);
int zmq_connect_endpoint(void *dealer, const struct endpoint *e, struct err *why);

/* What it means that a handshake failed, with or without keys here. NULL: it did not, or nobody knows why. */
const char *zmq_refusal(uint16_t event, uint32_t value, bool keys);

/* The frame is libzmq's afterwards, whatever comes of it. 0, or why not (errno). Through a ROUTER to the connection of this name. */
int zmq_send_frame(void *socket, struct frame *f);
int zmq_send_frame_to(void *router, const void *identity, size_t n, struct frame *f);

/* The caller's; NULL without memory. Of one whose body is larger than `most`, or too small, only the head is there: enough for a sentence. */
struct frame *zmq_frame_of(const void *message, size_t n, uint64_t most);
