/* partition/model/byte_token.h — a token that stands for one byte, as SentencePiece spells it: "<0x0A>".
 *
 * Upper case only. Everything that writes vocabularies writes "<0x%02X>", and everything that looks a byte up asks for
 * that; a token "<0x0a>" is text like any other. One place, because who makes a file and who reads it must agree. */
#pragma once

#include <stddef.h>
#include <string.h>

static inline int byte_token_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 0..255; -1: no such token. */
static inline int byte_token(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) || text[5] != '>') return -1;
    const int high = byte_token_digit(text[3]), low = byte_token_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}
