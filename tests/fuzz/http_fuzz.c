/* tests/fuzz/http_fuzz.c — any bytes at all sent to the server's door, and behind it to the readers that take a request as it came: multipart, ids. */
#define _GNU_SOURCE
#include "coordinator/serve/file_calls.h"
#include "coordinator/serve/http.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct store *store;
static int patience_us = 20000; /* for an answer: what is half a request has none */
static char kept[] = "/tmp/gemmapipe-http-fuzz-XXXXXX";

static void sweep(void)
{
    char command[100];
    store_close(&store);
    snprintf(command, sizeof command, "rm -rf %s", kept);
    if (system(command)) abort();
}

/* Answered at once, by the readers of files and batches where the path is theirs. */
static void arrived(void *user, struct exchange *x)
{
    size_t n;
    (void)user;
    const char *body = exchange_body(x, &n);
    if (body[n] || !exchange_method(x) || !exchange_path(x)) abort();
    if (is_file_path(exchange_path(x))) file_call(x, store, (struct hash128){0});
    else exchange_answer(x, 200, NULL, NULL, 0);
    exchange_end(x);
}

static void moved(void *user)
{
    (void)user;
}

static struct http *opened(void)
{
    const struct http_setup setup = {.address = "127.0.0.1", .body_most = 100000, .bodies_most = 1 << 20, .connections = 50, .connections_each = 50, .seconds = 30,
                                     .arrived = arrived, .moved = moved, .error_body = reply_error_body};
    static struct http *h;
    struct err why;
    if (h) return h;
    if (!mkdtemp(kept) || store_open(&store, kept, 1 << 20, &why) || http_open(&h, &setup, &why)) abort();
    atexit(sweep);
    return h;
}

/* What comes back, until the server closes or waits for more. True: it begins with 200. */
static bool look(const uint8_t *bytes, size_t n)
{
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(http_port(opened())), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval short_while = {.tv_usec = patience_us};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[4096] = "";
    size_t got = 0;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at)) abort();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &short_while, sizeof short_while);
    if (send(fd, bytes, n, MSG_NOSIGNAL) > 0)
        for (ssize_t more; got < sizeof text - 1 && !memmem(text, got, "\r\n\r\n", 4) && (more = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0;) got += (size_t)more;
    close(fd);
    if (got && memcmp(text, "HTTP/1.", 7)) abort();
    if (got > 9 && text[9] == '5' && strncmp(text + 9, "503", 3) && strncmp(text + 9, "501", 3) && strncmp(text + 9, "505", 3)) abort(); /* no client causes a 500 */
    return got > 12 && !strncmp(text + 9, "200", 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
