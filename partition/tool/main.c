/* partition/tool/main.c — the program gemmapipe-partition: looks at model files and makes them.
 *
 * Only words become calls here; the work is in inspect.c, cmd_quantize.c, cmd_split.c and synth.c. */
#include "base/arguments.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/plain_text.h"
#include "base/standard_streams.h"
#include "base/version.h"
#include "partition/tool/cmd_quantize.h"
#include "partition/tool/cmd_split.h"
#include "partition/tool/inspect.h"
#include "partition/make/synth.h"

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
    "      whatever the model. A file gets its name when it is complete; - is standard output, and the report goes to\n"
    "      stderr then. What is quantised already is copied.\n"
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
    "      --packed          instead of a file a folder for each worker, with a file for each layer as the worker computes\n"
    "                        from it: it maps them (--shard FOLDER) and starts in milliseconds once they were verified\n"
    "\n"
    "  gemmapipe-partition synth OUT.gguf [--size SIZE] [options]\n"
    "      Writes a model of random weights with the shape and metadata of a real one. It answers nonsense at the\n"
    "      speed and in the memory of the real model. The file gets its name when it is complete; - is standard output.\n"
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
    "  gemmapipe-partition --help | --version\n"
    "\n"
    "Reports go to stdout, progress and errors to stderr. Exit status: 0 done; 1 a bug; 2 the command line or a shape\n"
    "that cannot be; 3 a file that is missing, damaged or cannot be written; 4 out of memory;\n"
    "130 interrupted.\n";

/* ---- inspect ---- */

struct inspect_words {
    struct inspect how;
    const char *path;
};
#define INTO struct inspect_words
static const struct argument inspect_table[] = {
    {"ctx", "N", 0, WHOLE(how.context, 0, UINT32_MAX), NULL},
    {"tensors", NULL, 0, FLAG(how.tensors), NULL},
    {"keys", NULL, 0, FLAG(how.keys), NULL},
    {"json", NULL, 0, FLAG(how.json), NULL},
    {NULL, NULL, 0, TEXT(path), NULL},
};

static int run_inspect(int argc, char **argv, struct err *why)
{
    struct inspect_words w = {.how = {.context = 4096}};
    TRY(arguments_read(&ARGUMENTS("inspect", inspect_table), &w, argc, argv, why));
    if (!w.path) return fail(why, E_USAGE, "inspect wants a file or a folder; see gemmapipe-partition --help");
    struct plain_page page;
    const int code = inspect_file(plain_page_open(&page, stdout), w.path, &w.how, why);
    plain_page_close(&page);
    return code;
}

/* ---- synth ---- */

struct synth_words {
    struct synth shape;
    const char *size, *path;
};

static int take_format(void *into, const struct argument *a, const char *value, struct err *why)
{
    struct synth *s = &((struct synth_words *)into)->shape;
    uint32_t *format = argument_to(into, a);
    s->untied |= format == &s->head;
    return synth_type(value, format, why);
}

#undef INTO
#define INTO struct synth_words
static const struct argument synth_table[] = {
    {"size", "SIZE", 0, TEXT(size), NULL},
    {"tokenizer", "FILE", 0, TEXT(shape.tokenizer), NULL},
    {"seed", "N", 0, WHOLE(shape.seed, 0, UINT64_MAX), NULL},
    {"layers", "N", 0, WHOLE(shape.layers, 0, UINT32_MAX), NULL},
    {"hidden", "N", 0, WHOLE(shape.hidden, 0, UINT32_MAX), NULL},
    {"ffn", "N", 0, WHOLE(shape.ffn, 0, UINT32_MAX), NULL},
    {"heads", "N", 0, WHOLE(shape.heads, 0, UINT32_MAX), NULL},
    {"kv-heads", "N", 0, WHOLE(shape.kv_heads, 0, UINT32_MAX), NULL},
    {"head-dim", "N", 0, WHOLE(shape.head_dim, 0, UINT32_MAX), NULL},
    {"window", "N", 0, WHOLE(shape.window, 0, UINT32_MAX), NULL},
    {"ctx", "N", 0, WHOLE(shape.context, 0, UINT32_MAX), NULL},
    {"vocab", "N", 0, WHOLE(shape.vocab, 0, UINT32_MAX), NULL},
    {"embd", "FORMAT", 0, OWN(shape.embedding, take_format), NULL},
    {"matrix", "FORMAT", 0, OWN(shape.matrix, take_format), NULL},
    {"head", "FORMAT", 0, OWN(shape.head, take_format), NULL},
    {NULL, NULL, 0, TEXT(path), NULL},
};

/* Read twice: the size, wherever it stands, brings all that the other words change. */
static int run_synth(int argc, char **argv, struct err *why)
{
    struct synth_words w = {.size = "tiny"};
    const struct arguments of = ARGUMENTS("synth", synth_table);
    TRY(arguments_read(&of, &w, argc, argv, why));
    TRY(synth_size(&w.shape, w.size, why));
    if (!w.path) return fail(why, E_USAGE, "synth wants the name of the file to write; see gemmapipe-partition --help");
    w.path = NULL;
    TRY(arguments_read(&of, &w, argc, argv, why));
    return synth_write(&w.shape, w.path, why);
}

/* What changes the quantity that a sentence is about. */
static const char *advice_about(enum about about)
{
    switch (about) {
    case ABOUT_SPLIT: return "; --layers says how many each gets";
    case ABOUT_PLAN_FILE: return "; gemmapipe plan --json writes such a file";
    case ABOUT_ENCODER_OUT: return "; --mmproj names the file of the picture encoder, which is written from a folder that has one";
    case ABOUT_TEXT_FORMAT: return "; take the unquantised model, leave out --type to keep such tensors, or say --requantize";
    case ABOUT_VISION_FORMAT: return "; take the unquantised model, leave out --vision to keep such tensors, or say --requantize";
    default: return "";
    }
}

int main(int argc, char **argv)
{
    standard_streams_begin();
    struct err why = {0};
    int code;
    log_open("gemmapipe-partition", LOG_INFO);
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(manual, stdout);
            return 0;
        }
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        puts("gemmapipe-partition " GEMMAPIPE_VERSION);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "inspect")) interrupt_catch(); /* the others clean up what they have begun to write */
    if (argc < 2) code = fail(&why, E_USAGE, "wanted inspect, quantize, split or synth; see gemmapipe-partition --help");
    else if (!strcmp(argv[1], "inspect")) code = run_inspect(argc - 2, argv + 2, &why);
    else if (!strcmp(argv[1], "synth")) code = run_synth(argc - 2, argv + 2, &why);
    else if (!strcmp(argv[1], "quantize")) code = cmd_quantize(argc - 2, argv + 2, &why);
    else if (!strcmp(argv[1], "split")) code = cmd_split(argc - 2, argv + 2, &why);
    else
        code = fail(&why, E_USAGE, "no verb is called \"%s\"; there are inspect, quantize, split and synth, see --help",
                  argv[1]);
    if (!code) return 0;
    err_add(&why, advice_about(why.about));
    log_error("%s", why.text);
    return code;
}
