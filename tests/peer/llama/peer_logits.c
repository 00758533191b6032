/* tests/peer/llama/peer_logits.c — llama.cpp's scores at every position of a list of ids, through its public header.
 *
 *   peer_logits LIBRARY_DIR MODEL.gguf OUT.f32 ID…        float32 [ids, vocab]
 *
 * One batch, one thread, no flash attention: as plain as it can be asked. Not part of the build: llama_logits_test.py
 * compiles it against the header and the ready-made library that it fetches. */
#include <ggml-backend.h>
#include <llama.h>

#include <stdio.h>
#include <stdlib.h>

static void errors_only(enum ggml_log_level level, const char *text, void *unused)
{
    (void)unused;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static int write_scores(struct llama_context *context, int ids, int vocab, const char *path)
{
    FILE *out = fopen(path, "wb");
    if (!out) return perror(path), 1;
    for (int i = 0; i < ids; i++) {
        const float *scores = llama_get_logits_ith(context, i);
        if (!scores || fwrite(scores, sizeof *scores, (size_t)vocab, out) != (size_t)vocab) return fclose(out), 1;
    }
    return fclose(out) ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) return fprintf(stderr, "usage: peer_logits LIBRARY_DIR MODEL.gguf OUT.f32 ID...\n"), 2;
    int ids = argc - 4;
    llama_log_set(errors_only, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    llama_backend_init();

    struct llama_model *model = llama_model_load_from_file(argv[2], llama_model_default_params());
    if (!model) return fprintf(stderr, "llama.cpp does not load %s\n", argv[2]), 1;
    struct llama_context_params wanted = llama_context_default_params();
    wanted.n_ctx = wanted.n_batch = wanted.n_ubatch = (uint32_t)(ids + 32);
    wanted.n_threads = wanted.n_threads_batch = 1;
    wanted.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, wanted);
    if (!context) return fprintf(stderr, "llama.cpp makes no context for %s\n", argv[2]), 1;

    struct llama_batch batch = llama_batch_init(ids, 0, 1);
    for (int i = 0; i < ids; i++) {
        batch.token[i] = atoi(argv[i + 4]);
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = ids;
    if (llama_decode(context, batch)) return fprintf(stderr, "llama.cpp does not decode\n"), 1;
    return write_scores(context, ids, llama_vocab_n_tokens(llama_model_get_vocab(model)), argv[3]);
}
