/* tests/unit/file/gguf_write_test.c — a model that cannot be written whole is not there at all. */
#include "partition/file/gguf_write.h"
#include "partition/format/blocks.h"
#include "tests/support/check.h"
#include "tests/support/failing_disk.h"
#include "tests/support/folder.h"

#include <errno.h>
#include <unistd.h>

static int write_model(const char *path, struct err *why)
{
    static const float row[3] = {1, 2, 3};
    const uint64_t dims[] = {3};
    struct gguf_out *o;
    TRY(gguf_out_open(&o, path, why));
    gguf_put_u32(o, "a.key", 1);
    gguf_put_tensor(o, "a.tensor", T_F32, 1, dims);
    int code = gguf_out_begin(o, why);
    if (!code) code = gguf_out_data(o, row, sizeof row, why);
    if (!code) code = gguf_out_finish(o, why);
    gguf_out_close(&o);
    return code;
}

TEST(a_model_file_is_whole_or_not_there)
{
    struct folder folder = folder_new();
    char path[300];
    snprintf(path, sizeof path, "%s", folder_path(&folder, "model.gguf"));
    int refused = 0;
    for (int n = 1; n < 100; n++) {
        struct err why = {0};
        enum disk_call which;
        failing_disk_use(n, ENOSPC);
        failing_disk_without_nameless();
        const int code = write_model(path, &why);
        if (!failing_disk_done(&which)) break;
        refused += code != 0;
        CHECK((code == E_FILE) == !!access(path, F_OK), "call %d, kind %d: %d %s", n, which, code, why.text);
        CHECK(!code || strstr(why.text, path), "%s", why.text);
        CHECK(access(folder_path(&folder, "model.gguf.partial"), F_OK), "call %d, kind %d leaves half a file", n, which);
        unlink(path);
    }
    CHECK(refused > 5, "%d", refused);
    CHECK(!write_model(path, NULL) && !access(path, F_OK));
    folder_end(&folder);
}
