/* base/error.c — see error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(struct err *why, enum about about, int code, const char *format, va_list args)
{
    why->code = code;
    why->about = about;
    vsnprintf(why->text, sizeof why->text, format, args);
}

int fail(struct err *why, int code, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        say(why, ABOUT_NOTHING, code, format, args);
        va_end(args);
    }
    return code;
}

int fail_about(struct err *why, enum about about, int code, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        say(why, about, code, format, args);
        va_end(args);
    }
    return code;
}

void err_add(struct err *why, const char *more)
{
    const size_t n = strlen(why->text);
    snprintf(why->text + n, sizeof why->text - n, "%s", more);
}

int fail_errno(struct err *why, int code, const char *format, ...)
{
    int reason = errno;
    if (why) {
        va_list args;
        va_start(args, format);
        say(why, ABOUT_NOTHING, code, format, args);
        va_end(args);
        err_add(why, ": ");
        err_add(why, strerror(reason));
    }
    return code;
}
