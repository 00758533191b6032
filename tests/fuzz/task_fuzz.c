/* tests/fuzz/task_fuzz.c — any bytes at all as a line of a test's questions. */
#include "coordinator/quality/marks.h"
#include "coordinator/quality/task.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What will be asked has all its parts, and its result, whatever the answer, is JSON that counts. */
static bool look(const uint8_t *bytes, size_t n)
{
    struct task t;
    struct err why;
    const bool taken = !task_read(&t, (const char *)bytes, n, "tasks.jsonl", 1, &why);
    if (!taken && (why.code == E_MEMORY || !why.text[0])) abort();
    if (taken && (!t.n || t.n > TASK_CHOICES || !t.most || (t.kind == TASK_GENERATE && t.n > 1) || (t.kind == TASK_CHOICE && t.right >= t.n))) abort();
    for (uint32_t i = 0; taken && i < t.n; i++)
        if (!t.context[i].text || (t.kind != TASK_GENERATE && !t.continuation[i].text)) abort();
    for (int filter = 0; taken && filter < TASK_FILTERS; filter++) {
        struct task_answer answer[TASK_CHOICES] = {{-1.5, true, "so it is 1,021.\nor -7 ", 22}};
        struct marks marks = {0};
        char *text;
        size_t length;
        if (task_result(&text, &length, &t, 1, (enum task_filter)filter, answer, &why) || marks_add(&marks, text, length, &why)) abort();
        marks_free(&marks);
        free(text);
    }
    task_free(&t);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
