/* coordinator/serve/server.h — who asks for what, and who may: between HTTP and the engine.
 *
 *   library's thread: arrived ─► what needs no engine is answered at once (health, metrics, models)
 *                            └─► mailbox ─► engine's thread: server_turn ─► calls
 *
 * It listens before the model is loaded, so that whoever asks is told to wait instead of being refused a connection. */
#pragma once

#include "coordinator/serve/call.h"

#define API_KEYS_MOST 1000

struct server_setup {
    const char *address; /* numeric */
    uint16_t port;
    const char *keys_file; /* a key a line; NULL: nobody is asked for one */
    const char *cors;      /* an origin that pages may come from; NULL: none */
    uint32_t queue;        /* requests under way and waiting, at most: then 429 */
    const char *model;     /* its name */
    bool metrics_as_vllm;  /* /metrics has vLLM's names too */
    const char *store;     /* a folder for clients' files; NULL: none are kept */
    uint64_t store_most;   /* bytes of them */
    /* The pipeline at this moment as JSON, malloc'd; NULL without memory. On the engine's thread, twice a second at most, while somebody looks. */
    char *(*pipeline)(void *user, uint32_t running, size_t *n);
    void *user;
};

struct server;

/* Listens; every request for words is told 503 until server_ready. E_LINK, E_FILE. */
int server_open(struct server **out, const struct server_setup *setup, struct err *why);
void server_close(struct server **s); /* after fleet_close; NULL is fine */

uint16_t server_port(const struct server *s);

/* From now on requests are answered. What `calls` points to must stay. E_MEMORY. */
int server_ready(struct server *s, const struct call_setup *calls, struct err *why);

/* Takes what has come, turns the engine once, and lets go of what is over. An error ends the run. */
int server_turn(struct server *s, int timeout_ms, struct err *why);

/* Nothing new is taken. True: nothing is under way either. */
bool server_drain(struct server *s);

/* The run is over: whoever waits is told `why`, and from now on the engine may be closed. A code of 0: it was told to end. */
void server_give_up(struct server *s, const struct err *why);
