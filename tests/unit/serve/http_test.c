/* tests/unit/serve/http_test.c — what requests may take before anybody has looked at them. */
#include "tests/support/check.h"
#include "coordinator/serve/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct exchange *came;

static void arrived(void *user, struct exchange *x)
{
    (void)user;
    __atomic_store_n(&came, x, __ATOMIC_RELEASE);
}

static void moved(void *user)
{
    (void)user;
}

static char *no_body(int status, const char *sentence)
{
    (void)status, (void)sentence;
    return NULL;
}

/* A connection that has sent these bytes. */
static int says(const struct http *h, const char *text, size_t n)
{
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(http_port(h)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!connect(fd, (const struct sockaddr *)&at, sizeof at));
    send(fd, text, n, MSG_NOSIGNAL); /* one that was closed already is seen by whoever reads */
    return fd;
}

/* One that has sent a request of n bytes. */
static int asks(const struct http *h, size_t n)
{
    char text[2048] = "";
    const int head = snprintf(text, sizeof text, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);
    memset(text + head, 'x', n);
    return says(h, text, (size_t)head + n);
}

static int status_of(int fd)
{
    char text[256] = "";
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 9 ? atoi(text + 9) : 0;
}

static void answer(void)
{
    struct exchange *x;
    while (!(x = __atomic_exchange_n(&came, NULL, __ATOMIC_ACQUIRE))) usleep(1000);
    exchange_answer(x, 200, NULL, NULL, 0);
    exchange_end(x);
}

/* NULL: it could not be, which was said. */
static struct http *listens(uint32_t connections, uint32_t each, uint32_t seconds)
{
    const struct http_setup setup = {.address = "127.0.0.1", .body_most = 1000, .bodies_most = 1500, .connections = connections,
                                     .connections_each = each, .seconds = seconds, .arrived = arrived, .moved = moved, .error_body = no_body};
    struct http *h;
    struct err why = {0};
    const int code = http_open(&h, &setup, &why);
    CHECK(!code, "%s", why.text);
    return code ? NULL : h;
}

TEST(the_bodies_of_all_requests_have_a_limit_together)
{
    struct http *h = listens(9, 9, 30);
    if (!h) return;
    const int first = asks(h, 1000);
    while (!__atomic_load_n(&came, __ATOMIC_ACQUIRE)) usleep(1000);
    CHECK(status_of(asks(h, 1000)) == 503, "beside one of a thousand bytes there is no place for another");
    exchange_forget_body(__atomic_load_n(&came, __ATOMIC_ACQUIRE));
    struct exchange *before = __atomic_exchange_n(&came, NULL, __ATOMIC_ACQUIRE);
    const int second = asks(h, 1000);
    answer();
    CHECK(status_of(second) == 200, "what was read leaves its place to others");
    came = before;
    answer();
    CHECK(status_of(first) == 200);
    const int next = asks(h, 1000);
    answer();
    CHECK(status_of(next) == 200, "what is over holds nothing");
    http_close(&h, 0);
}

TEST(a_request_that_does_not_come_to_its_end_is_closed)
{
    static const char *const half[] = {"", "G", "GET /x HTTP/1.1\r\nHo", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
                                       "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"};
    enum { HALVES = sizeof half / sizeof *half };
    struct http *h = listens(9, 9, 1);
    int fd[HALVES];
    if (!h) return;
    for (int i = 0; i < HALVES; i++) fd[i] = says(h, half[i], strlen(half[i]));
    for (int i = 0; i < HALVES; i++) CHECK(status_of(fd[i]) == 0, "\"%s\" was answered", half[i]);
    CHECK(!came, "half a request was handed over");
    http_close(&h, 0);
}

TEST(a_body_that_is_too_long_is_refused_before_and_while_it_comes)
{
    char chunks[2048] = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n";
    const size_t head = strlen(chunks);
    struct http *h = listens(9, 9, 30);
    if (!h) return;
    memset(chunks + head, 'x', 1001);
    memcpy(chunks + head + 1001, "\r\n0\r\n\r\n", 7);
    CHECK(status_of(asks(h, 1001)) == 413, "one that says how long it is");
    CHECK(status_of(says(h, chunks, head + 1008)) == 413, "one that does not");
    CHECK(!came, "one of them was handed over");
    const int most = asks(h, 1000);
    answer();
    CHECK(status_of(most) == 200, "the longest that may be");
    http_close(&h, 0);
}

TEST(beyond_the_connections_of_all_one_waits_until_another_ends)
{
    struct http *h = listens(2, 9, 30);
    if (!h) return;
    const int first = says(h, "GET", 3), second = says(h, "GET", 3), third = asks(h, 10);
    struct pollfd p = {.fd = third, .events = POLLIN};
    CHECK(!poll(&p, 1, 100) && !came, "a third was taken");
    close(first);
    answer();
    CHECK(status_of(third) == 200);
    close(second);
    http_close(&h, 0);
}

TEST(beyond_the_connections_of_an_address_one_is_closed)
{
    struct http *h = listens(9, 2, 30);
    if (!h) return;
    const int first = asks(h, 10), second = says(h, "GET", 3);
    CHECK(status_of(asks(h, 10)) == 0, "a third was answered");
    answer();
    CHECK(status_of(first) == 200, "those who were there are served");
    close(second);
    http_close(&h, 0);
}
