/* tests/fuzz/journal_fuzz.c — any bytes at all as the journal of a job that is resumed: torn, damaged, of another job.
 *
 * The sums of lines that have one are put right in a second try, or little would get past them. What is resumed says of each line that is done what its
 * result was, takes one more, and says so when it is opened again. */
#include "coordinator/batch/journal.h"
#include "coordinator/batch/record.h"

#include "base/disk.h"
#include "base/log.h"
#include "tests/support/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define LINES 6
#define RESULT "{\"custom_id\":\"x\"}"

static const struct journal_fact facts[] = {{"weights", "abc"}, {"seed", "1"}};

static int resume(struct journal **j, const char *path, struct err *why)
{
    return journal_open(j, &(struct journal_setup){.path = path, .mode = JOURNAL_RESUME, .lines = LINES, .facts = facts, .n_facts = 2}, why);
}

static size_t check_lines(struct journal *j)
{
    size_t done = 0;
    for (size_t line = 1; line <= LINES; line++) {
        struct err why;
        char *result = NULL;
        size_t n;
        bool ok;
        (void)journal_tokens(j, line, 0), (void)journal_crashes(j, line);
        if (!journal_is_done(j, line)) continue;
        if (journal_result(j, line, &ok, &result, &n, &why) || !n) abort();
        free(result);
        done++;
    }
    if (done != journal_done(j)) abort();
    return done;
}

static bool judge(const char *path)
{
    struct journal *j = NULL;
    struct err why = {0};
    size_t line = 1;
    const int code = resume(&j, path, &why);
    if (code) {
        if (code != E_FILE || !why.text[0]) abort();
        return journal_close(&j), false;
    }
    const size_t done = check_lines(j);
    while (line <= LINES && journal_is_done(j, line)) line++;
    const bool more = line <= LINES && !journal_ended(j);
    if (more && (journal_put_done(j, line, true, RESULT, sizeof RESULT - 1, &why) || journal_sync(j, &why))) abort();
    journal_close(&j);
    if (resume(&j, path, &why) || check_lines(j) != done + more) abort();
    journal_close(&j);
    return true;
}

static void put_sums_right(char *text, size_t n)
{
    char end[RECORD_END_BYTES + 1];
    for (char *line = text, *stop; line < text + n && (stop = memchr(line, '\n', (size_t)(text + n - line))); line = stop + 1) {
        if (stop + 1 - line < RECORD_END_BYTES) continue;
        char *sum = stop + 1 - RECORD_END_BYTES;
        record_end(end, line, (size_t)(sum - line));
        memcpy(sum, end, RECORD_END_BYTES);
    }
}

static int at_once(void *user, int fd)
{
    (void)user, (void)fd;
    return 0;
}

static int folder_at_once(void *user, const char *folder)
{
    (void)user, (void)folder;
    return 0;
}

/* What a machine that loses its power loses is not asked here. */
static void wait_for_no_disk(void)
{
    static struct disk disk;
    disk = *disk_system();
    disk.sync = at_once;
    disk.sync_folder = folder_at_once;
    disk_use(&disk);
}

static struct folder kept;

static void remove_folder(void)
{
    folder_end(&kept);
}

static bool look(const uint8_t *bytes, size_t n)
{
    char path[200], *text = malloc(n + 1);
    log_open("fuzz", LOG_ERROR);
    if (!kept.path[0]) kept = folder_in_memory(), wait_for_no_disk(), atexit(remove_folder);
    if (!text) return false;
    snprintf(path, sizeof path, "%s/journal", kept.path);
    folder_put(&kept, "journal", bytes, n);
    const bool taken = judge(path);
    memcpy(text, bytes, n);
    put_sums_right(text, n);
    folder_put(&kept, "journal", text, n);
    (void)judge(path);
    free(text);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
