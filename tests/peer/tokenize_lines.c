/* tests/peer/tokenize_lines.c — many texts through one tokenizer, for comparison with another program's.
 *
 *   tokenize_lines MODEL.gguf < records > ids        one line of ids per record; "error: …" where there is a sentence
 *
 * A record is a letter and what it says; numbers are u32, little-endian:
 *   'u' length bytes        a text from a user
 *   't' length bytes        a trusted text, which may hold control tokens
 *   'd' count ids           ids to decode: the line is the text in hexadecimal
 *   'c' count turns         a conversation; each turn is 's', 'u' or 'm' (system, user, model), length, bytes
 *
 * On stderr: how long opening took and what memory it kept, how fast encoding was, and the most memory used (the mapped
 * file counts where it was read). */
#include "base/clock.h"
#include "coordinator/text/prompt.h"
#include "partition/file/gguf.h"
#include "tests/support/plain_turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t encoding_ns, encoded_bytes, records;

static void die(const char *sentence)
{
    fprintf(stderr, "tokenize_lines: %s\n", sentence);
    exit(1);
}

static void *need_bytes(size_t n)
{
    void *p = malloc(n + 1);
    if (!p || fread(p, 1, n, stdin) != n) die("a record is cut short");
    return p;
}

static uint32_t need_u32(void)
{
    uint32_t n;
    if (fread(&n, sizeof n, 1, stdin) != 1) die("a record is cut short");
    return n;
}

static void print_ids(const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++) printf("%s%u", i ? " " : "", ids->id[i]);
    printf("\n");
}

static void text_record(const struct tokenizer *t, bool trusted)
{
    struct err why = {0};
    struct ids ids = {0};
    uint32_t n = need_u32();
    char *text = need_bytes(n);
    uint64_t start = clock_ns();
    if (tokenizer_encode(t, text, n, trusted, &ids, &why)) die(why.text);
    encoding_ns += clock_ns() - start;
    encoded_bytes += n;
    print_ids(&ids);
    ids_free(&ids);
    free(text);
}

static void decode_record(const struct tokenizer *t)
{
    char piece[PIECE_MOST], out[3 * (PIECE_MOST + 4)];
    struct utf8_stream stream = {0};
    for (uint32_t count = need_u32(); count; count--) {
        size_t n = utf8_stream_push(&stream, piece, tokenizer_piece(t, need_u32(), false, piece, sizeof piece), out);
        for (size_t i = 0; i < n; i++) printf("%02x", (unsigned char)out[i]);
    }
    size_t n = utf8_stream_end(&stream, out);
    for (size_t i = 0; i < n; i++) printf("%02x", (unsigned char)out[i]);
    printf("\n");
}

static void chat_record(const struct tokenizer *t)
{
    struct err why = {0};
    struct ids ids = {0};
    uint32_t count = need_u32();
    struct turn *turns = calloc(count + 1, sizeof *turns);
    if (!turns) die("no memory");
    for (uint32_t i = 0; i < count; i++) {
        int who = getchar();
        turns[i].who = who == 's' ? SPEAKER_SYSTEM : who == 'u' ? SPEAKER_USER : SPEAKER_MODEL;
        turns[i].n = need_u32();
        turns[i].text = need_bytes(turns[i].n);
    }
    if (prompt_chat(t, turns, count, &ids, &why)) printf("error: %s\n", why.text);
    else print_ids(&ids);
    for (uint32_t i = 0; i < count; i++) free((void *)turns[i].text);
    free(turns);
    ids_free(&ids);
}

static void all_records(const struct tokenizer *t)
{
    for (int c; (c = getchar()) != EOF; records++) {
        if (c == 'u' || c == 't') text_record(t, c == 't');
        else if (c == 'd') decode_record(t);
        else if (c == 'c') chat_record(t);
        else die("a record of no known kind");
    }
}

/* A line of /proc/self/status, in KiB. (getrusage would count what the parent used before exec.) */
static long status_kib(const char *name)
{
    char line[200];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) kib = strtol(line + strlen(name) + 1, 0, 10);
    if (f) fclose(f);
    return kib;
}

int main(int argc, char **argv)
{
    struct err why = {0};
    struct gguf *g = 0;
    struct tokenizer *t = 0;
    if (argc != 2) die("give the model file");
    if (gguf_open(&g, argv[1], &why)) die(why.text);
    const struct gguf_tensor *table = gguf_tensor(g, "token_embd.weight");
    if (!table) die("the file has no token_embd.weight");
    long before = status_kib("RssAnon");
    uint64_t start = clock_ns();
    if (tokenizer_open(&t, g, (uint32_t)table->dims[1], &why)) die(why.text);
    double open_ms = (double)(clock_ns() - start) / 1e6;
    long after = status_kib("RssAnon");
    all_records(t);
    fprintf(stderr, "opened in %.0f ms, %ld KiB; %llu records; %.2f MB encoded at %.1f MB/s; peak %ld KiB\n", open_ms,
            after - before, (unsigned long long)records, (double)encoded_bytes / 1e6,
            encoding_ns ? (double)encoded_bytes * 1e3 / (double)encoding_ns : 0.0, status_kib("VmHWM"));
    tokenizer_close(&t);
    gguf_close(&g);
    return 0;
}
