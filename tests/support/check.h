/* tests/support/check.h — a test is a claim with a name. The runner (check.c) prints one line per claim, "ok name" or "FAIL name". */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};
void test_register(struct test *t);
void check_failed(const char *file, int line, const char *what, const char *format, ...) __attribute__((format(printf, 4, 5)));
void test_skip(const char *reason); /* then return: the runner prints "skip name: reason" */

#define TEST(claim)                                                                                                    \
    static void claim(void);                                                                                           \
    __attribute__((constructor)) static void register_##claim(void)                                                    \
    {                                                                                                                  \
        static struct test t = {#claim, claim, 0};                                                                     \
        test_register(&t);                                                                                             \
    }                                                                                                                  \
    static void claim(void)

/* CHECK(condition) or CHECK(condition, "format", …). A failed claim goes on: later lines may tell more. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) check_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__);                                \
    } while (0)

/* For set-up that everything after relies on: prints the sentence and ends the claim. */
#define NEED(call)                                                                                                     \
    do {                                                                                                               \
        struct err need_ = {0};                                                                                        \
        struct err *why = &need_;                                                                                      \
        if (call) {                                                                                                    \
            check_failed(__FILE__, __LINE__, #call, "%s", need_.text);                                                 \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)
