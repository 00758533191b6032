/* tests/fuzz/request_fuzz.c — any bytes at all as a line of a batch job. */
#include "coordinator/batch/request.h"
#include "coordinator/batch/result.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What will be asked is what the template and the engine count on; the other lines make an error that is JSON. */
static bool look(const uint8_t *bytes, size_t n)
{
    const struct request_defaults defaults = {.sampling = {.temperature = 1, .top_p = 1, .repeat_penalty = 1}, .most = 16, .file = "jobs.jsonl"};
    const struct result_common common = {.model = "m"};
    struct request r;
    struct err why;
    char *text = NULL;
    size_t length = 0, pictures = 0;
    if (request_read(&r, (const char *)bytes, n, 1, &defaults, &why)) abort(); /* no memory */
    const bool taken = !r.refused.status;
    if (taken && (r.chat == !r.n_messages || r.chat == (r.text || r.ids.n) || !r.most || r.choices < 1 || r.choices > REQUEST_CHOICES)) abort();
    for (size_t i = 0; taken && i < r.n_messages; i++) {
        const enum speaker who = r.messages[i].who, before = i ? r.messages[i - 1].who : SPEAKER_SYSTEM;
        if (i && who == before) abort();
        if (who == SPEAKER_SYSTEM && (i || r.messages[i].n > 1)) abort();
        for (size_t k = 0; k < r.messages[i].n; k++) {
            pictures += !r.messages[i].content[k].text;
            if (r.messages[i].content[k].text && strlen(r.messages[i].content[k].text) != r.messages[i].content[k].n) abort();
        }
    }
    if (taken && (pictures != r.n_pictures || (r.chat && r.messages[r.n_messages - 1].who != SPEAKER_USER))) abort();
    if (!taken) {
        struct json j;
        if (result_refused(&text, &length, &common, &r, 1, &why)) abort();
        json_begin(&j, text, length, "a result", &why);
        if (json_skip(&j) || json_finish(&j)) abort();
        json_end(&j);
    }
    free(text);
    request_free(&r);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
