/* tests/unit/serve/http_test.c — what requests may take before anybody has looked at them. */
#include "tests/support/check.h"
#include "coordinator/serve/http.h"

#include <arpa/inet.h>
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

/* A connection that has sent a request of n bytes. */
static int asks(const struct http *h, size_t n)
{
    char text[2048] = "";
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(http_port(h)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int head = snprintf(text, sizeof text, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);
    memset(text + head, 'x', n);
    CHECK(!connect(fd, (const struct sockaddr *)&at, sizeof at) && write(fd, text, (size_t)head + n) == (ssize_t)n + head);
    return fd;
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

TEST(the_bodies_of_all_requests_have_a_limit_together)
{
    const struct http_setup setup = {.address = "127.0.0.1", .body_most = 1000, .bodies_most = 1500,
                                     .connections = 9, .connections_each = 9, .seconds = 30, .arrived = arrived, .moved = moved, .error_body = no_body};
    struct http *h;
    struct err why = {0};
    if (http_open(&h, &setup, &why)) {
        CHECK(false, "%s", why.text);
        return;
    }
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
