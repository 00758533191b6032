/* transport/links/mpi_plugin.h — what the program and its part for MPI know of each other.
 *
 * That part is a file of its own, gemmapipe-mpi.so, made from mpi.c alone: it is loaded where mpirun or srun started the program
 * (mpi_plugin.c), so nobody else needs an MPI on the machine. All else it calls is the program's own, which exports just that. */
#pragma once

#include "transport/links/transport.h"

struct mpi_plugin {
    const char *version; /* GEMMAPIPE_VERSION: structs are shared, so it must be the program's own */
    int (*open)(struct port **out, struct err *why);
    int (*part)(struct port **out, struct port *whole, const bool *has, struct err *why);
    struct mpi_mates (*mates)(const struct port *p);
    int (*leave)(int code);
};

extern const struct mpi_plugin gemmapipe_mpi; /* in that file; the program asks for it by its name */
