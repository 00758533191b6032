/* tests/unit/base/name_table_test.c — names find their places, and numbers their bytes. */
#include "base/little_endian.h"
#include "base/name_table.h"
#include "tests/support/check.h"

#define NAMES 5000

static const char *name_of(const void *list, size_t i)
{
    return ((char (*)[16])list)[i];
}

TEST(every_name_is_found_where_it_stands)
{
    static char list[NAMES][16];
    struct name_table t;
    size_t taken = NAMES;
    NEED(name_table_open(&t, NAMES, why));
    for (int i = 0; i < NAMES; i++) {
        snprintf(list[i], sizeof list[i], "blk.%d", i);
        CHECK(name_table_add(&t, list[i], (size_t)i, name_of, list, &taken));
    }
    for (int i = 0; i < NAMES; i++) CHECK(name_table_find(&t, list[i], name_of, list) == i);
    CHECK(name_table_find(&t, "blk.", name_of, list) == -1 && name_table_find(&t, "", name_of, list) == -1);
    name_table_close(&t);
    name_table_close(&t);
}

TEST(a_name_is_added_once)
{
    static char list[3][16] = {"a", "b", "a"};
    struct name_table t;
    size_t taken = 9;
    NEED(name_table_open(&t, 3, why));
    CHECK(name_table_add(&t, "a", 0, name_of, list, &taken) && name_table_add(&t, "b", 1, name_of, list, &taken));
    CHECK(!name_table_add(&t, "a", 2, name_of, list, &taken) && taken == 0);
    CHECK(name_table_find(&t, "a", name_of, list) == 0);
    name_table_close(&t);
}

TEST(numbers_lie_with_the_lowest_byte_first)
{
    const uint8_t p[8] = {0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88};
    uint8_t out[8] = {0};
    CHECK(le16(p) == 0x8281 && le32(p) == 0x84838281u);
    CHECK(le_of(p, 1) == 0x81 && le_of(p, 4) == 0x84838281u && le_of(p, 8) == 0x8887868584838281ull);
    put_le16(out, 0x8281);
    CHECK(!memcmp(out, p, 2) && !out[2]);
    put_le(out, 0x8887868584838281ull, 8);
    CHECK(!memcmp(out, p, 8));
}
