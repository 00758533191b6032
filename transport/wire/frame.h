/* transport/wire/frame.h — a head of 64 bytes and a body, in one buffer that can be used again. docs/WIRE.md, "Frames". */
#pragma once

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAGIC 0x50495047u /* "GPIP" */
#define FRAME_VERSION 5
#define FRAME_HEAD_BYTES 64
#define FRAME_TYPE_AT 6
#define FRAME_BODY_MOST (256u << 20) /* whatever port_limits says: more than the largest micro-batch of the largest model */

enum message {
    M_HELLO = 1, /* worker -> coordinator: who I am and what I have      */
    M_GREET,     /* coordinator -> worker, first of all: your node number and the run; answered by M_HELLO */
    M_ASSIGN,    /* coordinator -> worker: your parts                    */
    M_ACCEPT,    /* worker -> coordinator: fits; I need the weights, or have them */
    M_PIECE,     /* coordinator -> worker: rows of a tensor              */
    M_PIECE_ACK, /* worker -> coordinator: packed; send the next         */
    M_READY,     /* worker -> coordinator: all weights are in place      */
    M_WORK,      /* a micro-batch, stage to stage                        */
    M_RESULT,    /* last stage -> coordinator: token ids                 */
    M_LOGITS,    /* last stage -> coordinator: one row of scores, if asked */
    M_PING,      /* both ways: are you there                             */
    M_PONG,
    M_REPORT_ASK,
    M_REPORT,    /* worker -> coordinator: counters and peaks            */
    M_STOP,      /* coordinator -> worker: the run is over               */
    M_FAULT,     /* either way: cannot go on, and why                    */
    M_CREDIT,    /* inside a port only: frees places in the sender's window */
    M_LOST,      /* made by a port, never on the wire: this peer is gone */
    M_PICTURE = 20,  /* a picture on its way through the encoder, stage to stage */
    M_PICTURE_ROWS,      /* last stage of the encoder -> coordinator: the picture's rows */
    M_DIARY_ASK, /* coordinator -> worker: what did you compute when */
    M_DIARY,     /* worker -> coordinator: that, and what its clock says */
    M_SCORE,     /* last stage -> coordinator -> who has a part of the head: these rows want a token */
    M_SCORED,    /* back: what this part of the vocabulary makes of one of them */
    M_PROBE,     /* coordinator -> worker: how fast are you at this, and the way to you */
    M_PROBED,    /* back: so fast                                        */
    M_UNREACHABLE, /* worker -> coordinator: the link with this other worker broke, and the run goes on */
    M_MEET,      /* coordinator -> worker: how long does it take from you to this other worker, or: that one is going to call you */
    M_LEAVE = 31,  /* worker -> coordinator: I was told to end; I go on until I am let go */
    M_HERE,        /* worker -> its neighbour on a route, first of all: this connection is ours */
    M_ROW_HASHES = 38, /* worker -> coordinator: of rows that are compared with others of their like, after each layer */
    M_CHECK,       /* coordinator -> worker: are your weights still what they were? And back: yes, or what is not */
    M_COUNT
};

struct frame_head {
    uint16_t version, type;
    uint64_t run;  /* random number of this run */
    uint64_t plan; /* hash of the plan the route belongs to; 0 without a route */
    uint32_t epoch;    /* of the route; without one, of the greeting */
    uint32_t sequence; /* counts frames from this node to that one on this route, from 0, anew with each epoch */
    uint16_t from, to;
    uint16_t route; /* 0: about the run itself. Set by who sends; the port sets the rest */
    uint64_t body_bytes;
    uint32_t body_crc, head_crc;
};

struct frame {
    struct frame *next; /* in whichever queue holds the frame; a frame is in one at a time */
    struct frame_head head;
    size_t capacity; /* of the body */
    atomic_uint handed; /* times it was given to a library's thread: orders what we wrote before what that thread frees */
    uint8_t *bytes;     /* FRAME_HEAD_BYTES of head, then the body: one piece, ready to send */
};

/* A frame with room for `body_bytes`, contents undefined, at an address that is a multiple of 64; NULL if memory cannot
 * be had. Freed frames of a fitting size are used again (a small pool, any thread). */
struct frame *frame_new(enum message type, size_t body_bytes);
struct frame *frame_copy(const struct frame *f); /* head and body, as far as head.body_bytes says; NULL the same */
void frame_free(struct frame *f);
static inline uint8_t *frame_body(struct frame *f)
{
    return f->bytes + FRAME_HEAD_BYTES;
}
const char *message_name(unsigned type); /* "WORK" */

/* Rows, pictures and what becomes of them travel on a route; all else is about the run itself and has none. */
bool message_has_route(unsigned type);

/* Head to bytes and back; frame_open checks magic, version, head CRC, the limit, and that `n` is exactly head + body,
 * then the body's CRC. `from` names the peer in the sentence. */
void frame_seal(struct frame *f);
/* The version that a frame of n bytes, not opened yet, is written in; 0 if it is no frame. Magic and version lie where they lie in
 * every version. */
unsigned frame_version(const struct frame *f, size_t n);
int frame_open(struct frame *f, size_t n, uint64_t max_body, const char *from, struct err *why);
