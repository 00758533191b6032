/* tests/support/folder.h — a folder for one claim: files are put in by name, and all of it is gone at the end. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_FILES 16

struct folder {
    char path[64];
    char names[FOLDER_FILES][128];
    int n;
};

static inline struct folder folder_new(void)
{
    struct folder f = {.path = "/tmp/gemmapipe-test.XXXXXX"};
    if (!mkdtemp(f.path)) f.path[0] = 0;
    return f;
}

/* The path of `name` in it, in a buffer that the next call reuses; the file is removed with the folder. */
static inline const char *folder_path(struct folder *f, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->names[i], name)) return path;
    if (f->n < FOLDER_FILES) snprintf(f->names[f->n++], sizeof f->names[0], "%s", name);
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
    char path[256];
    for (int i = 0; i < f->n; i++) {
        snprintf(path, sizeof path, "%s/%s", f->path, f->names[i]);
        unlink(path);
    }
    rmdir(f->path);
}

#endif
