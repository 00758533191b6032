/* tests/fuzz/zap_fuzz.c — any request at all to who says whom libzmq lets in: only one that is whole, and brings a known key, opens the door, and each
 * gets one answer of six parts.
 *
 * The bytes are parts, each behind a byte that says how many eights of bytes it has and one that is added; 'K' stands for the known key. */
#include "transport/links/zap.h"

#include "tests/support/folder.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define PARTS_MOST 12
#define PART_MOST (255 * 8 + 255)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static uint8_t known[KEY_BYTES];

/* Of one process: who answers, and who asks. */
static void *ask_with(void)
{
    static void *asks;
    struct folder folder;
    struct keys *keys;
    struct zap *zap;
    struct err why;
    char home[300];
    if (asks) return asks;
    folder = folder_new();
    snprintf(home, sizeof home, "%s/keys", folder.path);
    memset(known, 'k', sizeof known);
    void *context = zmq_ctx_new();
    asks = zmq_socket(context, ZMQ_REQ);
    if (keys_new(home, &why) || keys_open(&keys, home, &why) || keys_admit(keys, 1, known, &why) || zap_begin(&zap, context, keys, &why) ||
        zmq_connect(asks, "inproc://zeromq.zap.01"))
        abort();
    folder_end(&folder);
    return asks;
}

/* The parts of what was drawn; how many there are. */
static int read_parts(const uint8_t *bytes, size_t n, uint8_t part[PARTS_MOST][PART_MOST], size_t size[PARTS_MOST])
{
    int parts = 0;
    for (size_t at = 0; at + 2 <= n && parts < PARTS_MOST; parts++) {
        size_t want = bytes[at] * 8u + bytes[at + 1];
        at += 2;
        const bool key = want == 1 && at < n && bytes[at] == 'K';
        memset(part[parts], 0, PART_MOST);
        memcpy(part[parts], bytes + at, want < n - at ? want : n - at);
        size[parts] = key ? KEY_BYTES : want;
        if (key) memcpy(part[parts], known, KEY_BYTES);
        at += want < n - at ? want : n - at;
    }
    return parts;
}

static bool is(const uint8_t *part, size_t size, const void *text, size_t n)
{
    return size == n && !memcmp(part, text, n);
}

static bool is_let_in(const uint8_t *bytes, size_t n)
{
    static uint8_t part[PARTS_MOST][PART_MOST], reply[PART_MOST];
    size_t size[PARTS_MOST];
    void *asks = ask_with();
    const int parts = read_parts(bytes, n, part, size);
    bool in = false, more = true;
    if (!parts) return false;
    for (int i = 0; i < parts; i++)
        if (zmq_send(asks, part[i], size[i], i + 1 < parts ? ZMQ_SNDMORE : 0) < 0) abort();
    for (int i = 0; more; i++) {
        int follows;
        size_t bytes_of = sizeof follows;
        const int got = zmq_recv(asks, reply, sizeof reply, 0);
        if (got < 0 || got > 256 || i > 5 || zmq_getsockopt(asks, ZMQ_RCVMORE, &follows, &bytes_of)) abort();
        if (i == 2) in = is(reply, (size_t)got, "200", 3);
        more = follows;
        if (more != (i < 5)) abort();
    }
    const bool may = parts == 7 && is(part[0], size[0], "1.0", 3) && is(part[2], size[2], "gemmapipe", 9) && is(part[5], size[5], "CURVE", 5) &&
                     is(part[6], size[6], known, KEY_BYTES);
    if (in != may) abort();
    return in;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    is_let_in(bytes, n);
    return 0;
}
