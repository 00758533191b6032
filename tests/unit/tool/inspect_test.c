/* tests/unit/tool/inspect_test.c — what inspect prints of each kind of file, and that its JSON is JSON.
 *
 * Quirks of real files: tests/pipeline/checkpoints_test.py. */
#include "partition/tool/inspect.h"
#include "base/json.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#define DEMO "models/demo/"

/* The report as a text for the caller to free; NULL, and the sentence in `why`, if there is none. */
static char *report(const char *path, const struct inspect *how, struct err *why)
{
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    int rc = inspect_file(to, path, how, why);
    fclose(to);
    if (!rc) return text;
    free(text);
    return NULL;
}

static void says(const char *path, const char *const *phrases, size_t n)
{
    struct inspect how = {.context = 4096};
    struct err why = {0};
    char *text = report(path, &how, &why);
    CHECK(text, "%s", why.text);
    for (size_t i = 0; text && i < n; i++) CHECK(strstr(text, phrases[i]), "\"%s\" is not in\n%s", phrases[i], text);
    free(text);
}

#define SAYS(path, ...) says(path, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

TEST(a_text_model_is_described)
{
    SAYS(DEMO "demo-q4_0.gguf", "GGUF, text model", "8 (1 global), hidden 128, ffn 384", "1024 tokens, head tied",
         "Q4_0     56",
         "fingerprint", "on one worker, one sequence of 2048", "runs        yes, gemmapipe run --model");
}

TEST(a_picture_encoder_is_described)
{
    SAYS(DEMO "demo-mmproj-f16.gguf", "picture encoder (mmproj)", "4 layers, hidden 96", "become 16 rows of 128",
         "yes, beside a text model whose hidden size is 128");
}

TEST(a_checkpoint_is_described)
{
    SAYS(DEMO "checkpoint", "Hugging Face checkpoint", "BF16    177", "8 (1 global)", "become 16 rows of 128",
         "after: gemmapipe-partition quantize " DEMO "checkpoint OUT.gguf --mmproj OUT-mmproj.gguf");
}

TEST(a_folder_that_is_no_checkpoint_is_one_sentence)
{
    struct inspect how = {.context = 4096};
    struct err why = {0};
    CHECK(!report("models", &how, &why) && strstr(why.text, "models has no config.json"), "%s", why.text);
    CHECK(!report("Makefile", &how, &why) && strstr(why.text, "is not a GGUF file"), "%s", why.text);
}

TEST(lists_name_every_tensor)
{
    struct inspect how = {.context = 4096, .tensors = true, .keys = true};
    struct err why = {0};
    char *gguf = report(DEMO "demo-q4_0.gguf", &how, &why), *folder = report(DEMO "checkpoint", &how, &why);
    CHECK(gguf && strstr(gguf, "blk.7.ffn_down.weight") && strstr(gguf, "tokenizer.ggml.scores"));
    CHECK(folder && strstr(folder, "from language_model.model.norm.weight + 1\n"));
    CHECK(folder && strstr(folder, "14 x 14") && strstr(folder, "mm.input_projection.weight           BF16  96 x 128"));
    free(gguf);
    free(folder);
}

TEST(json_is_json_whatever_the_file)
{
    static const char *const paths[] = {DEMO "demo-q4_0.gguf", DEMO "demo-mmproj-f16.gguf", DEMO "checkpoint"};
    for (size_t i = 0; i < 6; i++) {
        struct inspect how = {.context = 4096, .json = true, .tensors = i >= 3};
        struct err why = {0};
        char *text = report(paths[i % 3], &how, &why);
        CHECK(text, "%s", why.text);
        if (!text) continue;
        struct json j;
        json_begin(&j, text, strlen(text), paths[i % 3], &why);
        CHECK(!json_skip(&j) && !json_finish(&j), "%s", why.text);
        json_end(&j);
        CHECK(!strstr(text, "tensor_list") == (i < 3));
        free(text);
    }
}
