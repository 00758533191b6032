/* transport/links/address.h — "tcp://HOST:PORT" and "ipc:///PATH" as a person writes them, and the sockets' addresses they stand for.
 * A name may stand for several, of both families. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define ENDPOINTS_MOST 8 /* of one address; a name may have more, which are not tried */

struct endpoint {
    struct sockaddr_storage at;
    socklen_t size;
};

struct endpoints {
    int n;
    struct endpoint to[ENDPOINTS_MOST];
};

/* Only how it is written: E_LINK if it is none. */
int address_check(const char *address, struct err *why);

/* Checks it and looks its name up, which may take a while. E_LINK if there is no such name. */
int address_resolve(struct endpoints *out, const char *address, struct err *why);

/* The same for a checked address that is no socket's path. NULL: it was found; else why the name stands for nothing. */
const char *address_look_up(struct endpoints *out, const char *address);

bool address_is_name(const char *address); /* not a number, nor a socket's path */

/* A star for the host: on all cards of this machine. */
bool address_is_any(const char *address);

/* Nobody but this machine can connect there: a socket of the file system or of a name, or a host that stands for loopback alone. */
bool address_is_near(const char *address);

/* With numbers for names, as ZeroMQ takes it. False if there is no room. */
bool endpoint_text(const struct endpoint *e, char *out, size_t room);

/* A socket that connects there, without waiting; negative: the reason, from errno. *done: it has connected already. */
int endpoint_connect(const struct endpoint *e, bool *done);
