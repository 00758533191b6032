/* tests/support/folder.h — a folder for one claim: files are put in by name, and all of it is gone at the end. */
#pragma once

#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[64];
};

static inline struct folder folder_new(void)
{
    struct folder f = {.path = "/tmp/gemmapipe-test.XXXXXX"};
    if (!mkdtemp(f.path)) f.path[0] = 0;
    return f;
}

/* For thousands of files, where no disk is meant. */
static inline struct folder folder_in_memory(void)
{
    struct folder f = {.path = "/dev/shm/gemmapipe-test.XXXXXX"};
    return mkdtemp(f.path) ? f : folder_new();
}

/* The path of `name` in it, in a buffer that the next call reuses. Folders on the way there are made. */
static inline const char *folder_path(struct folder *f, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    for (char *p = path + strlen(f->path) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(path, 0700);
    }
    return path;
}

static inline void folder_put(struct folder *f, const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(folder_path(f, name), "wb");
    if (!file) return;
    fwrite(bytes, 1, n, file);
    fclose(file);
}

static inline void folder_put_text(struct folder *f, const char *name, const char *text)
{
    folder_put(f, name, text, strlen(text));
}

/* A safetensors file of this header, with n bytes of data that count up. */
static inline void folder_put_safetensors(struct folder *f, const char *name, const char *header, size_t n)
{
    uint64_t length = strlen(header);
    uint8_t *bytes = malloc(8 + length + n);
    if (!bytes) return;
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n; i++) bytes[8 + length + i] = (uint8_t)i;
    folder_put(f, name, bytes, 8 + length + n);
    free(bytes);
}

static inline void folder_end(struct folder *f)
{
    char *const top[] = {f->path, NULL};
    FTS *walk = f->path[0] ? fts_open(top, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    for (FTSENT *e; walk && (e = fts_read(walk));)
        if (e->fts_info != FTS_D) remove(e->fts_path);
    if (walk) fts_close(walk);
}
