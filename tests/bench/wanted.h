/* tests/bench/wanted.h — which lines of a benchmark the command line asks for: those that hold all its words. */
#pragma once

#include <stdbool.h>
#include <string.h>

static bool wanted(const char *line, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strstr(line, argv[i])) return false;
    return true;
}
