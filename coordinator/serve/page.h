/* coordinator/serve/page.h — the page that a browser gets: a chat, and the pipeline at work. One file, part of the program. */
#pragma once

#include <stddef.h>

const char *page_text(size_t *n);
