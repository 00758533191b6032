/* tests/fuzz/wire_fuzz.c — foreign bytes as a frame, then as the message they say they are. For libFuzzer (make fuzz);
 * wire_fuzz_test.c drives the same function from `make test`.
 *
 * The CRCs of the input are put right, or nothing would get past them. What can be read must survive being written. */
#include "tests/support/samples.h"

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static void wrong(const char *what, const struct err *why)
{
    fprintf(stderr, "%s: %s\n", what, why->text);
    abort();
}

static void read_as_message(struct frame *f)
{
    struct err why = {0};
    struct frame *again = 0;
    if (sample_read(f, &why)) {
        if (why.code != E_WIRE || !why.text[0]) wrong("refused without a sentence", &why);
        return;
    }
    if (f->head.type == M_CREDIT) return; /* a port reads these itself */
    if (sample_copy(&again, f, &why)) wrong("read, but cannot be written", &why);
    if (again->head.body_bytes != f->head.body_bytes || memcmp(frame_body(again), frame_body(f), f->head.body_bytes))
        wrong("read and written, but not the same", &why);
    frame_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct err why = {0};
    if (n > 65536) return 0;
    /* In a buffer of exactly this size, so that one byte too far is seen. */
    struct frame f = {.capacity = n < FRAME_HEAD_BYTES ? 0 : n - FRAME_HEAD_BYTES, .bytes = malloc(n ? n : 1)};
    memcpy(f.bytes, bytes, n);
    if (!frame_open(&f, n, 60000, "a peer", &why)) read_as_message(&f);
    if (n >= FRAME_HEAD_BYTES) {
        put32(f.bytes + 48, crc32c(0, frame_body(&f), n - FRAME_HEAD_BYTES));
        put32(f.bytes + 60, crc32c(0, f.bytes, 60));
        if (!frame_open(&f, n, 60000, "a peer", &why)) read_as_message(&f);
    }
    free(f.bytes);
    return 0;
}
