/* partition/tool/main.c — the program gemmapipe-partition: looks at model files and makes them.
 *
 * Only words become calls here; the work is in inspect.c, cmd_quantize.c, cmd_split.c and synth.c. */
#include "base/log.h"
#include "base/standard_streams.h"
#include "partition/tool/cmd_quantize.h"
#include "partition/tool/cmd_split.h"
#include "partition/tool/inspect.h"
#include "partition/make/synth.h"
#include "partition/tool/arguments.h"

#include <stdio.h>
#include <string.h>

static const char manual[] =
    "gemmapipe-partition — looks at Gemma 3 model files and makes them\n"
    "\n"
    "  gemmapipe-partition inspect FILE.gguf|FOLDER [--tensors] [--keys] [--json] [--ctx N]\n"
    "      What it is: sizes, tensors by number format, vocabulary, what is odd about it, whether gemmapipe runs it,\n"
    "      and the memory one worker would need for one sequence of N positions (4096). Text models, picture\n"
    "      encoders, shards, and folders of Hugging Face checkpoints. Of a split model give the first file.\n"
    "      --tensors  list every tensor: name, format, rows x columns, bytes, place\n"
    "      --keys     list all metadata of a GGUF file\n"
    "      --json     one JSON object, sizes as bare numbers\n"
    "\n"
    "  gemmapipe-partition quantize IN OUT.gguf [--mmproj OUT-mmproj.gguf] [options]\n"
    "      IN is the folder of a Hugging Face checkpoint (config.json, *.safetensors, tokenizer.json or\n"
    "      tokenizer.model), or a GGUF file, text model or picture encoder (of several, the first). Q4_0 and Q8_0 are\n"
    "      byte for byte those of the reference quantiser. Takes 20 to 130 MB of memory by the number of threads,\n"
    "      whatever the model. A file gets its name when it is complete. What is quantised already is copied.\n"
    "      --mmproj FILE     also writes the picture encoder of a folder\n"
    "      --type FORMAT     of the layers' matrices: q4_0 (default), q8_0, f16, bf16\n"
    "      --embd FORMAT     of the embedding, which is also the head: q6_k, q8_0, f16, bf16, q4_0. Without it q6_k\n"
    "                        beside q4_0 where rows are a multiple of 256, else q8_0; beside others the same as those\n"
    "      --vision FORMAT   of the picture encoder's matrices: f16 (default), q8_0; other rows than multiples of 32\n"
    "                        stay f16\n"
    "      --requantize      quantises again what is quantised already: loses what the weights were trained for\n"
    "      --threads T       threads that quantise (the cores of this machine)\n"
    "      --table           ends with a line per tensor: formats, bytes, relative error (root mean square)\n"
    "\n"
    "  gemmapipe-partition split MODEL.gguf --plan PLAN.json|--layers 12,11,11 -o FOLDER\n"
    "      Writes one shard per worker, a GGUF file with only its layers, and manifest.json with their hashes (128 bits\n"
    "      of XXH3). Carry each to its worker, start that with --shard, and run with the same --split. The coordinator\n"
    "      keeps the whole model.\n"
    "      --plan FILE       who gets what, as gemmapipe plan --json writes it\n"
    "      --layers A,B,C    by hand: layers of each worker; the last also gets the head\n"
    "      --layers A+8,B+8  the same with sixteenths of the head, 16 in all\n"
    "\n"
    "  gemmapipe-partition synth OUT.gguf [--size SIZE] [options]\n"
    "      Writes a model of random weights with the shape and metadata of a real one. It answers nonsense at the\n"
    "      speed and in the memory of the real model. The file gets its name when it is complete.\n"
    "      --size SIZE       tiny (default), 270m, 1b, 4b, 12b or 27b\n"
    "      --embd FORMAT     of the embedding, which is also the head (q8_0; published files have f16, q8_0 or q6_k)\n"
    "      --matrix FORMAT   of the matrices of all layers (q4_0)\n"
    "      --head FORMAT     adds a head of its own instead of the embedding's rows\n"
    "      --seed N          another N, another model; the same N, the same bytes (1)\n"
    "      --tokenizer F     takes the vocabulary of the GGUF file F instead of inventing one\n"
    "      --vocab N         invents N tokens; from 262144 on they lie as published (tiny: 512, else 262144)\n"
    "      --layers N --hidden N --ffn N --heads N --kv-heads N --head-dim N --window N --ctx N\n"
    "                        change the shape; 62 layers bring the attention scale of the 27B\n"
    "      FORMAT is f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k or q6_k. Rows of the k formats must be\n"
    "      a multiple of 256, of the other q formats of 32: not every shape can have every format.\n"
    "\n"
    "  gemmapipe-partition --help\n"
    "\n"
    "Reports go to stdout, progress and errors to stderr. Exit status: 0 done; 1 a bug; 2 the command line or a shape\n"
    "that cannot be; 3 a file that is missing, damaged or cannot be written; 4 out of memory;\n"
    "130 interrupted.\n";

/* ---- inspect ---- */

static int run_inspect(struct words *w, struct err *why)
{
    struct inspect how = {.context = 4096};
    const char *path = NULL, *value;
    while (w->at < w->count) {
        uint64_t n;
        TRY(take_value(w, "--ctx", &value, why));
        if (value) {
            TRY(read_number("--ctx", value, UINT32_MAX, &n, why));
            how.context = (uint32_t)n;
        } else if (!strcmp(w->word[w->at], "--tensors")) how.tensors = true, w->at++;
        else if (!strcmp(w->word[w->at], "--keys")) how.keys = true, w->at++;
        else if (!strcmp(w->word[w->at], "--json")) how.json = true, w->at++;
        else if (!path && *w->word[w->at] != '-') path = w->word[w->at++];
        else return unknown_word(w, "inspect", why);
    }
    if (!path) return fail(why, E_USAGE, "inspect wants a file or a folder; see gemmapipe-partition --help");
    return inspect_file(stdout, path, &how, why);
}

/* ---- synth ---- */

/* A number or a format of the model, by option. True in *took if the current word was one. */
static int take_shape(struct words *w, struct synth *s, bool *took, struct err *why)
{
    const struct {
        const char *option;
        uint32_t *to;
    } numbers[] = {
        {"--layers", &s->layers}, {"--hidden", &s->hidden},     {"--ffn", &s->ffn},
        {"--heads", &s->heads},   {"--kv-heads", &s->kv_heads}, {"--head-dim", &s->head_dim},
        {"--window", &s->window}, {"--ctx", &s->context},       {"--vocab", &s->vocab},
    }, formats[] = {{"--embd", &s->embedding}, {"--matrix", &s->matrix}, {"--head", &s->head}};
    const char *value;
    uint64_t n;
    *took = true;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        TRY(take_value(w, numbers[i].option, &value, why));
        if (!value) continue;
        TRY(read_number(numbers[i].option, value, UINT32_MAX, &n, why));
        *numbers[i].to = (uint32_t)n;
        return 0;
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        TRY(take_value(w, formats[i].option, &value, why));
        if (!value) continue;
        s->untied |= formats[i].to == &s->head;
        return synth_type(value, formats[i].to, why);
    }
    *took = false;
    return 0;
}

/* The size first, wherever it stands: all else changes it. */
static int take_size(struct words *w, struct synth *s, struct err *why)
{
    const char *size = "tiny";
    for (int i = w->at; i < w->count; i++)
        if (!strcmp(w->word[i], "--size") && i + 1 < w->count) size = w->word[i + 1];
    return synth_size(s, size, why);
}

static int run_synth(struct words *w, struct err *why)
{
    struct synth s;
    const char *path = NULL, *value;
    TRY(take_size(w, &s, why));
    while (w->at < w->count) {
        bool took;
        TRY(take_shape(w, &s, &took, why));
        if (took) continue;
        TRY(take_value(w, "--size", &value, why));
        if (value) continue;
        TRY(take_value(w, "--tokenizer", &value, why));
        if (value) {
            s.tokenizer = value;
            continue;
        }
        TRY(take_value(w, "--seed", &value, why));
        if (value) TRY(read_number("--seed", value, UINT64_MAX, &s.seed, why));
        else if (!path && *w->word[w->at] != '-') path = w->word[w->at++];
        else return unknown_word(w, "synth", why);
    }
    if (!path) return fail(why, E_USAGE, "synth wants the name of the file to write; see gemmapipe-partition --help");
    return synth_write(&s, path, why);
}

int main(int argc, char **argv)
{
    standard_streams_begin();
    struct words w = {.at = 2, .count = argc, .word = argv};
    struct err why = {0};
    int code;
    log_open("gemmapipe-partition", LOG_INFO);
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(manual, stdout);
            return 0;
        }
    if (argc < 2) code = fail(&why, E_USAGE, "wanted inspect, quantize, split or synth; see gemmapipe-partition --help");
    else if (!strcmp(argv[1], "inspect")) code = run_inspect(&w, &why);
    else if (!strcmp(argv[1], "synth")) code = run_synth(&w, &why);
    else if (!strcmp(argv[1], "quantize")) code = cmd_quantize(&w, &why);
    else if (!strcmp(argv[1], "split")) code = cmd_split(&w, &why);
    else
        code = fail(&why, E_USAGE, "no verb is called \"%s\"; there are inspect, quantize, split and synth, see --help",
                  argv[1]);
    if (!code) return 0;
    advise_tool(&why);
    log_error("%s", why.text);
    return code;
}
