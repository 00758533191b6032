/* coordinator/cmd/cmd_tokenize.c — `gemmapipe tokenize` and `detokenize`: stdin to stdout, no workers. */
#include "coordinator/cmd/commands.h"
#include "coordinator/text/tokenizer.h"
#include "partition/file/model_file.h"
#include "partition/model/config.h"
#include "partition/model/weights.h"

#include "base/read_to_end.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MOST (1u << 30)

static int open_tokens(const struct options *o, struct model **m, struct tokenizer **t, struct err *why)
{
    TRY(model_open(m, o->model, why));
    return tokenizer_open(t, (*m)->file, (*m)->config.vocab, why);
}

static int print_ids(const struct tokenizer *t, bool special, struct err *why)
{
    char *text;
    size_t n;
    struct ids ids = {0};
    TRY(read_to_end("-", TEXT_MOST, &text, &n, why));
    int code = tokenizer_encode(t, text, n, special, &ids, why);
    for (size_t i = 0; i < ids.n && !code; i++) printf("%s%u", i ? " " : "", ids.id[i]);
    if (!code) putchar('\n');
    ids_free(&ids);
    free(text);
    return code;
}

int command_tokenize(const struct options *o, struct err *why)
{
    struct model *m = 0;
    struct tokenizer *t = 0;
    int code = open_tokens(o, &m, &t, why);
    if (!code) code = print_ids(t, o->special, why);
    tokenizer_close(&t);
    model_close(&m);
    return code;
}

static int print_text(const struct tokenizer *t, struct err *why)
{
    for (;;) {
        char word[24], piece[PIECE_MOST], *end;
        int n = scanf(" %23[^ \t\r\n,]", word);
        if (n != 1) {
            int c = getchar();
            if (c == ',') continue;
            if (c == EOF) return 0;
            return fail(why, E_USAGE, "ids are numbers with blanks or commas between");
        }
        unsigned long id = strtoul(word, &end, 10);
        if (*end || !isdigit((unsigned char)*word)) return fail(why, E_USAGE, "\"%s\" is not a token id", word);
        if (id >= tokenizer_size(t)) return fail(why, E_USAGE, "token id %s is not in the vocabulary of %u", word, tokenizer_size(t));
        fwrite(piece, 1, tokenizer_piece(t, (uint32_t)id, true, piece, sizeof piece), stdout);
    }
}

int command_detokenize(const struct options *o, struct err *why)
{
    struct model *m = 0;
    struct tokenizer *t = 0;
    int code = open_tokens(o, &m, &t, why);
    if (!code) code = print_text(t, why);
    tokenizer_close(&t);
    model_close(&m);
    return code;
}
