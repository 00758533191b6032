/* coordinator/cmd/commands.h — what each word after `gemmapipe` does. Results go to stdout; the return value is the exit status. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "coordinator/cmd/options.h"
#include "transport/links/transport.h"

/* `mpi`: rank 0's port under mpirun, else NULL. */
int command_run(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_batch(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_serve(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_chat(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_logits(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_embed_image(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_bench(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_sweep(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why); /* bench of a load */
int command_eval(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_perplexity(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int command_tokenize(const struct options *o, struct err *why);
int command_detokenize(const struct options *o, struct err *why);
int command_keys(int argc, char **argv, struct err *why); /* the words after `keys` */
int command_simulate(const struct options *o, struct err *why); /* plan of a cluster that does not exist */
int command_up(enum command command, const struct options *o, struct err *why); /* and status, logs, down */
int command_plan(const struct options *o, struct err *why);
