/* coordinator/serve/page.c — page.html as bytes of the program. The assembler reads it; make knows that this depends on it. */
#include "coordinator/serve/page.h"

__asm__(".section .rodata\n"
        ".global page_begin, page_end\n"
        "page_begin:\n"
        ".incbin \"coordinator/serve/page.html\"\n"
        "page_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char page_begin[], page_end[];

const char *page_text(size_t *n)
{
    *n = (size_t)(page_end - page_begin);
    return page_begin;
}
