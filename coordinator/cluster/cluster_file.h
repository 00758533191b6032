/* coordinator/cluster/cluster_file.h — the cluster file: which workers there are, and what the plan is to be made for.
 *
 *   {
 *     "workers": [
 *       {"address": "tcp://10.0.0.2:7001", "memory": "2G", "threads": 4, "speed": 1.0, "layers": 12, "head": 5},
 *       {"address": "tcp://10.0.0.3:7001", "name": "attic"}
 *     ],
 *     "context": 4096, "sequences": 4, "kv_positions": 8192, "wait": 60
 *   }
 *
 * For `gemmapipe up` a worker may have "ssh" (where to log in, as alice@10.0.0.2; "here": this machine, without ssh; where nothing is
 * said the address says it), "program" (of gemmapipe-worker there) and "cache" (a folder there, for its layers).
 *
 * For `gemmapipe plan --simulate` a worker may also have "copies" (so many like it), "delay_ms" and "mbit" (of its link: the way to it,
 * and how fast it sends), "loss" (part of the messages that have to be sent again, which takes LOSS_SECONDS), and "jitter" (how unevenly
 * it computes: deviation over mean), and the file "replicas": so many pipelines, to which the workers are dealt in their order.
 *
 * "share" is how much of its machine's cores a worker gets, 0.4 for two fifths of one, at once in each period of "period_ms" milliseconds
 * (100 if none is said), as a control group gives it: partition/plan/ration.h says what that means. Each of the copies has so much for itself.
 * Who was not asked has as many as are said; of a worker that was the file's word counts too, and not its own.
 *
 * "key" of a worker is its public key, or the name by which it is trusted here (gemmapipe keys); without it the address's own host.
 *
 * Only "workers" and each "address" must be there. "memory" is a size as on the command line, or a number of bytes;
 * "layers" stands at every worker, which is a split by hand, or at none. With it "head" is how many sixteenths of the head
 * a worker gets, 16 in all; if none says it the last worker gets the head whole. "kv_positions" is as the option. "wait" is in seconds: how long to wait for
 * the workers. What was not said is 0. The order of the workers is the order of the pipe.
 *
 * A file is refused, with its name and what is wrong in it, if it is over 1 MiB, nested deeper than 8, not JSON to the
 * last byte, or holds a key that is not one of these: a misspelt "memroy" must not become "no limit". */
#pragma once

#include "partition/plan/plan.h"

#define CLUSTER_ADDRESS 256 /* bytes, terminator included */
#define CLUSTER_KEY 65      /* the same */

#define LOSS_SECONDS 0.2 /* the least that TCP waits before it sends again, as Linux has it */

struct cluster_link { /* of one worker, in a simulation */
    struct hop hop;
    bool said; /* of the hop; else it is the usual one */
    double loss, jitter;
    uint32_t copies; /* 0: not said */
};

struct cluster_login { /* of one worker */
    char ssh[CLUSTER_ADDRESS], program[CLUSTER_ADDRESS], cache[CLUSTER_ADDRESS]; /* empty: not said */
};

struct cluster {
    int workers;
    struct worker_offer offers[WORKERS_MOST]; /* the name is the address unless one was given */
    char addresses[WORKERS_MOST][CLUSTER_ADDRESS];
    char keys[WORKERS_MOST][CLUSTER_KEY]; /* each worker's key, or the name it is known by; empty: not said */
    bool by_hand;                /* then cuts[] is a split of the text */
    struct cut cuts[WORKERS_MOST];
    uint32_t context, sequences, kv_positions, wait, replicas;
    struct cluster_link links[WORKERS_MOST];
    struct cluster_login login[WORKERS_MOST];
};

int cluster_read(struct cluster *out, const char *path, struct err *why);

/* The same from memory; `from` names the text in sentences. */
int cluster_parse(struct cluster *out, const char *text, size_t n, const char *from, struct err *why);
