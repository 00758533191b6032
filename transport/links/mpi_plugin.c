/* transport/links/mpi_plugin.c — whether MPI started this process; if so, the part of the program that speaks it, loaded
 * when it is wanted. See mpi_plugin.h. The only file with dlfcn.h. */
#include "transport/links/mpi_plugin.h"

#include "base/version.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct mpi_plugin *plugin; /* once it is loaded; never unloaded, MPI would not bear it */

static long number_in(const char *variable)
{
    const char *text = getenv(variable);
    return text ? strtol(text, 0, 10) : 0;
}

/* mpirun says how many ranks there are. srun with PMIx or PMI gives each task its rank; but the shell of a Slurm
 * allocation, and a task alone in its step, may carry such a variable too and mean a plain run. */
bool mpi_launched(void)
{
    if (number_in("OMPI_COMM_WORLD_SIZE") > 0) return true;
    bool ranked = getenv("PMIX_RANK") || getenv("PMI_RANK");
    return ranked && (!getenv("SLURM_JOB_ID") || number_in("SLURM_STEP_NUM_TASKS") > 1);
}

int mpi_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names && mpi_launched(); i++)
        if (getenv(names[i])) return (int)number_in(names[i]);
    return 0;
}

/* GEMMAPIPE_MPI, for one that was built with the MPI of this cluster; beside the program, as make leaves it; or where it is installed. */
static int find(char path[PATH_MAX], struct err *why)
{
    static const char *const places[] = {"gemmapipe-mpi.so", "../lib/gemmapipe/gemmapipe-mpi.so"};
    const char *chosen = getenv("GEMMAPIPE_MPI");
    if (chosen) return snprintf(path, PATH_MAX, "%s", chosen) < PATH_MAX ? 0 : fail(why, E_USAGE, "GEMMAPIPE_MPI is too long for a path");
    char here[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    if (n < 0) return fail_errno(why, E_FILE, "cannot tell where this program lies");
    here[n] = 0;
    *strrchr(here, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (snprintf(path, PATH_MAX, "%s/%s", here, places[i]) < PATH_MAX && !access(path, R_OK)) return 0;
    return fail(why, E_USAGE, "this was started by mpirun or srun, and the part of gemmapipe for MPI is not installed: no %s in %s, nor %s; "
                              "install the package gemmapipe-mpi, or start without mpirun: --workers N", places[0], here, places[1]);
}

/* Global, because Open MPI loads files of its own that expect to find it. */
static int load(struct err *why)
{
    char path[PATH_MAX];
    if (plugin) return 0;
    TRY(find(path, why));
    void *file = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!file) return fail(why, E_FILE, "cannot load the part for MPI: %s", dlerror());
    const struct mpi_plugin *found = dlsym(file, "gemmapipe_mpi");
    if (!found) return fail(why, E_FILE, "%s is not the part of gemmapipe for MPI", path);
    if (strcmp(found->version, GEMMAPIPE_VERSION))
        return fail(why, E_FILE, "%s is of version %.40s, and this program is of version %s; install both of one version", path, found->version,
                    GEMMAPIPE_VERSION);
    plugin = found;
    return 0;
}

int port_open_mpi(struct port **out, struct err *why)
{
    TRY(load(why));
    return plugin->open(out, why);
}

int port_part_mpi(struct port **out, struct port *whole, const bool *has, struct err *why)
{
    return plugin->part(out, whole, has, why);
}

struct mpi_mates port_mpi_mates(const struct port *p)
{
    return plugin->mates(p);
}

int mpi_leave(int code)
{
    return plugin ? plugin->leave(code) : code;
}
