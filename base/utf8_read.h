/* base/utf8_read.h — one character in bytes. Strict: overlong forms, surrogates and anything above U+10FFFF are none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the character at s[0..n) takes, 1 to 4, and its code point; 0 if there is none. */
size_t utf8_read(const char *s, size_t n, uint32_t *code);

bool utf8_valid(const char *s, size_t n);

/* True if s[0..n) is the beginning of a character and nothing but its end is missing. */
bool utf8_unfinished(const char *s, size_t n);
