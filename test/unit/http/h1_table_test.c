/* The table of hostile and ambiguous requests (test/hostile/h1_requests.tsv) against the codec:
 * whole, cut at every byte, and behind a valid pipelined request. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_rig.h"
#include "http/h1_rows.h"

#define CUTS_MAX 160 /* of long rows a part; of ordinary ones every byte */

struct row {
    char id[8];
    struct h1_bytes what;
    char status[32], connection[8];
    uint32_t requests;
    char checks[96];
};

static struct row ROWS[128];
static size_t row_count;
static const char *under_test; /* named when a check fails */

static void copy(char *out, size_t size, struct text text)
{
    assert_true(text.len < size);
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
}

static int read_table(void **state)
{
    (void)state;
    FILE *file = fopen("test/hostile/h1_requests.tsv", "re");
    assert_non_null(file);
    char line[4096];
    while (fgets(line, sizeof(line), file) != NULL) {
        struct text rest = text_of(line), cell[8];
        if (line[0] == '#')
            continue;
        for (size_t i = 0; i < ARRAY_LEN(cell); i++)
            assert_true(text_split(&rest, '\t', &cell[i]));
        struct row *row = &ROWS[row_count++];
        uint64_t requests;
        copy(row->id, sizeof(row->id), cell[0]);
        h1_bytes_read(&row->what, cell[1]);
        copy(row->status, sizeof(row->status), cell[2]);
        copy(row->connection, sizeof(row->connection), cell[3]);
        assert_true(text_to_u64(cell[4], &requests));
        row->requests = (uint32_t)requests;
        copy(row->checks, sizeof(row->checks), cell[5]);
    }
    fclose(file);
    return 0;
}

static int free_table(void **state)
{
    (void)state;
    if (under_test != NULL)
        print_error("the last row was %s\n", under_test);
    for (size_t i = 0; i < row_count; i++)
        builder_fini(&ROWS[i].what.bytes);
    return 0;
}

static void check_one(const struct rig *rig, struct text check)
{
    struct h1_bytes scratch = {0};
    size_t equal = text_find(check, '=', 0);
    struct text name = text_slice(check, 0, equal), value = text_slice(check, equal + 1, check.len);
    struct builder want = {0};
    h1_bytes_plain(&scratch, value);
    value = builder_text(&scratch.bytes);
    if (text_is(name, "body"))
        builder_printf(&want, "\n\n" TEXT_FMT "\n", TEXT_ARG(value));
    else if (text_is(name, "host"))
        builder_printf(&want, " host=" TEXT_FMT "\n", TEXT_ARG(value));
    else if (text_is(name, "version"))
        builder_printf(&want, " " TEXT_FMT " ", TEXT_ARG(value));
    else if (text_is(name, "content-length"))
        builder_printf(&want, "content-length: " TEXT_FMT "\n", TEXT_ARG(value));
    else if (text_is(name, "size"))
        builder_printf(&want, "content-length: " TEXT_FMT "\n", TEXT_ARG(value));
    else if (text_is(name, "raw"))
        builder_add(&want, value);
    else if (text_is(name, "present"))
        (void)0; /* added by the gateway, above the codec */
    else if (text_is(name, "absent"))
        assert_false(rig_saw(rig, value));
    else if (text_is(name, "target")) {
        struct text one;
        while (text_split(&value, ',', &one)) {
            builder_clear(&want);
            builder_printf(&want, " " TEXT_FMT " HTTP/1.1", TEXT_ARG(one));
            assert_true(rig_saw(rig, builder_text(&want)));
        }
    } else
        fail();
    assert_true(rig_saw(rig, builder_text(&want)));
    builder_fini(&want);
    builder_fini(&scratch.bytes);
}

static bool is_one_of(const char *alternatives, struct text status, bool prefixed)
{
    struct text rest = text_of(alternatives), one;
    if (prefixed) {
        if (!text_starts_with(status, TEXT("200")))
            return false;
        status = text_slice(status, 4, status.len);
    }
    while (text_split(&rest, '|', &one))
        if (text_equal(one, status) || (text_is(one, "none") && status.len == 0))
            return true;
    return false;
}

static struct loop *loop;

/* `cut`: bytes of the row that go alone first; 0: all at once. */
static void run_row(const struct row *row, size_t cut, bool pipelined)
{
    static const struct text before = {"GET /first HTTP/1.1\r\nHost: a\r\n\r\n", 32};
    struct rig rig;
    struct builder bytes = {0};
    under_test = row->id;
    rig_open(&rig, loop);
    if (row->what.pause)
        rig.settings.header_ms = 20;
    if (pipelined)
        builder_add(&bytes, before);
    builder_add(&bytes, builder_text(&row->what.bytes));
    struct text all = builder_text(&bytes);
    if (cut > 0) {
        rig_send(&rig, text_slice(all, 0, cut));
        rig_settle(&rig);
    }
    rig_send(&rig, text_slice(all, cut, all.len));
    if (row->what.fin)
        shutdown(rig.fd, SHUT_WR);
    rig_settle(&rig);
    if (strcmp(row->connection, "close") == 0)
        rig_turn_until(&rig, &rig.fd_ended);
    else
        assert_true(rig.fd_ended == (strcmp(row->connection, "any") == 0));

    char out[64];
    struct text status = rig_statuses(&rig, out, sizeof(out));
    bool good = is_one_of(row->status, status, pipelined);
    uint32_t extra = pipelined ? 1 : 0;
    if (!good || rig.complete != row->requests + extra)
        print_error("%s cut %zu%s: \"" TEXT_FMT "\" and %u requests, not %s and %u\n", row->id, cut,
                    pipelined ? " pipelined" : "", TEXT_ARG(status), rig.complete, row->status,
                    row->requests + extra);
    assert_true(good);
    assert_int_equal(rig.complete, row->requests + extra);
    if (strcmp(row->checks, "-") != 0) {
        struct text checks = text_of(row->checks), check;
        while (text_split(&checks, ';', &check))
            check_one(&rig, check);
    }
    /* What was refused whole was never heard of upstairs. */
    if (cut == 0 && row->requests == 0 && !row->what.fin && row->what.bytes.len < 16000)
        assert_int_equal(rig.streams, extra);
    builder_fini(&bytes);
    rig_close(&rig);
    under_test = NULL;
}

static void the_table_has_110_rows(void **state)
{
    (void)state;
    assert_int_equal(row_count, 110);
}

static void every_row_meets_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < row_count; i++)
        run_row(&ROWS[i], 0, false);
}

static void every_row_cut_at_every_byte_meets_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < row_count; i++) {
        size_t len = ROWS[i].what.bytes.len, step = len / CUTS_MAX + 1;
        if (ROWS[i].what.pause)
            step = 9; /* each waits for its timeout */
        for (size_t cut = 1; cut < len; cut += step)
            run_row(&ROWS[i], cut, false);
    }
}

static void every_row_behind_a_valid_request_meets_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < row_count; i++)
        run_row(&ROWS[i], 0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_110_rows),
        cmocka_unit_test(every_row_meets_its_verdict),
        cmocka_unit_test(every_row_cut_at_every_byte_meets_its_verdict),
        cmocka_unit_test(every_row_behind_a_valid_request_meets_its_verdict),
    };
    loop = loop_new(NULL);
    int failed = cmocka_run_group_tests(tests, read_table, free_table);
    loop_free(loop);
    return failed;
}
