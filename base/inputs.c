/* base/inputs.c — see inputs.h. */
#define _GNU_SOURCE
#include "base/inputs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct input {
    struct input *next;
    char path[];
};

static struct input *first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void inputs_add(const char *path)
{
    const size_t n = strlen(path) + 1;
    struct input *one;
    if (!strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14)) return; /* may be another file tomorrow */
    pthread_mutex_lock(&lock);
    for (one = first; one && strcmp(one->path, path);) one = one->next;
    if (!one && (one = malloc(sizeof *one + n))) {
        memcpy(one->path, path, n);
        one->next = first;
        first = one;
    }
    pthread_mutex_unlock(&lock);
}

const char *inputs_name(const struct stat *of)
{
    struct stat st;
    const char *found = NULL;
    pthread_mutex_lock(&lock);
    for (const struct input *one = first; one && !found; one = one->next)
        if (!stat(one->path, &st) && st.st_dev == of->st_dev && st.st_ino == of->st_ino) found = one->path;
    pthread_mutex_unlock(&lock);
    return found;
}
