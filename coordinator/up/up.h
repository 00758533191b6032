/* coordinator/up/up.h — workers on the machines of a cluster file: started over ssh, looked at, ended.
 *
 *   up      start what does not run yet, copy the program where there is none of this version, wait until all answer, show them.
 *           What was started by a call that fails is ended again: no worker is left behind
 *   status  the same table, of what is there
 *   logs    the last lines that each wrote
 *   down    end those that `up` started: each known by process, birth and boot, so nobody else's is ever hit
 *   scan    machines that can be logged in to, as a first cluster file
 *
 * Where links leave the machine they are encrypted (transport/links/keys.h): `up` makes the keys that are missing, here and there, and each
 * side trusts what the other told over ssh. A key that the file says is not learnt.
 *
 * A worker's place on its machine is a folder of the user, named after its address: process, log, the words it was started with. */
#pragma once

#include "coordinator/cluster/cluster_file.h"

#include <stdio.h>

struct up_wish {
    const char *file;  /* the cluster file */
    const char *only;  /* name or address of one worker; NULL: all */
    int lines;         /* of logs */
    int wait_seconds;  /* for workers to answer; 0: 20 */
    bool json;
};

/* Results go to `to`. E_WORKER: some worker could not be started, ended or reached; which and why stands in the table, or `why`. */
int up_start(const struct up_wish *w, FILE *to, struct err *why);
int up_status(const struct up_wish *w, FILE *to, struct err *why);
int up_logs(const struct up_wish *w, FILE *to, struct err *why);
int up_down(const struct up_wish *w, FILE *to, struct err *why);

/* hosts: "alice@10.0.0.2,10.0.0.3". The file to `to`; who does not answer is said on stderr. E_WORKER if nobody does. */
int up_scan(const char *hosts, FILE *to, struct err *why);
