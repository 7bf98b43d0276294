/* Our HTTP/2 client against a server that may say anything: broken answers end their call, and
 * nothing of them is taken for another; refused calls are known as such. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_internal.h"
#include "http/h2_raw_say.h"

#define GOOD RAW_END | RAW_END_HEADERS
#define OPEN RAW_END_HEADERS

struct call {
    struct http_stream *stream;
    uint32_t heads, informational, aborts, closes;
    uint32_t trailer_fields; /* once it is closed */
    int status;
    uint64_t received;
    bool complete, head_ended;
    enum err err;
    char why[64];
};

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct call *call = owner;
    call->heads++;
    call->status = head->status;
    call->head_ended = end;
    call->complete = end && stream->read_ended;
}

static void on_informational(void *owner, struct http_stream *stream, struct message *head)
{
    struct call *call = owner;
    (void)stream;
    (void)head;
    call->informational++;
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct call *call = owner;
    for (struct text bytes; (bytes = http_stream_peek(stream)).len > 0;) {
        call->received += bytes.len;
        http_stream_consume(stream, bytes.len);
    }
    call->complete = stream->read_ended;
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct call *call = owner;
    call->aborts++;
    call->err = err;
    snprintf(call->why, sizeof(call->why), "%s", stream->why);
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    struct call *call = owner;
    call->closes++;
    call->trailer_fields = stream->trailers.field_count;
    call->stream = NULL;
}

static const struct http_stream_events STREAM = {
    .on_head = on_head,
    .on_informational = on_informational,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_stream_closed,
};

static void on_ready(void *owner, struct http_connection *connection)
{
    (void)connection;
    ((struct raw *)owner)->heads++; /* how often it was told */
}

static const struct http_connection_events CONNECTION = {
    .on_ready = on_ready,
    .on_closed = raw_on_closed,
};

/* A client of ours, connected to us. */
static struct raw *backend_new(void)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    struct address to;
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &to));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &to.any, to.len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &to.any, &to.len), 0);
    raw->loop = loop_new(NULL);
    raw->in = malloc(RAW_IN);
    raw->skip = 24;
    raw->settings = (struct http_settings){.version = HTTP_2};
    raw->connection =
        http_connect(raw->loop, &to, NULL, TEXT_NONE, 5000, &raw->settings, &CONNECTION, raw);
    raw->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(raw->fd >= 0);
    close(fd);
    RAW_UNTIL(raw, raw->heads > 0);
    return raw;
}

static void backend_free(struct raw *raw)
{
    raw->heads = raw->ended_streams = 0;
    raw_free(raw);
}

static void backend_settings(struct raw *raw)
{
    raw_frame(raw, RAW_SETTINGS, 0, 0, TEXT_NONE);
    raw_frame(raw, RAW_SETTINGS, RAW_ACK, 0, TEXT_NONE);
}

static bool start(struct raw *raw, struct call *call, const char *method)
{
    struct message head;
    *call = (struct call){.stream = http_open(raw->connection)};
    if (call->stream == NULL)
        return false;
    http_stream_own(call->stream, &STREAM, call);
    message_init(&head);
    head.method_name = text_of(method);
    head.method = message_method(head.method_name);
    head.authority = TEXT("a");
    head.path = TEXT("/");
    http_stream_send_head(call->stream, &head, true);
    return true;
}

struct row {
    const char *id;
    const char *method;
    struct raw_field fields[4];
    const char *body; /* NULL: END_STREAM with the head */
};

#define STATUS(number) RAW_FIELD(":status", number)

static const struct row BAD[] = {
    {"no status", "GET", {RAW_FIELD("x", "1")}, NULL},
    {"two statuses", "GET", {STATUS("200"), STATUS("200")}, NULL},
    {"short status", "GET", {STATUS("20")}, NULL},
    {"long status", "GET", {STATUS("0200")}, NULL},
    {"signed status", "GET", {STATUS("+20")}, NULL},
    {"status 099", "GET", {STATUS("099")}, NULL},
    {"status 600", "GET", {STATUS("600")}, NULL},
    {"B14 status 101", "GET", {STATUS("101")}, NULL},
    {"informational with END_STREAM", "GET", {STATUS("103")}, NULL},
    {"B18 CRLF in a value", "GET", {STATUS("200"), RAW_FIELD("x", "1\r\ny: 2")}, NULL},
    {"NUL in a value", "GET", {STATUS("200"), RAW_FIELD("x", "1\0")}, NULL},
    {"upper case name", "GET", {STATUS("200"), RAW_FIELD("X", "1")}, NULL},
    {"connection", "GET", {STATUS("200"), RAW_FIELD("connection", "close")}, NULL},
    {"transfer-encoding", "GET", {STATUS("200"), RAW_FIELD("transfer-encoding", "chunked")}, "x"},
    {"request field", "GET", {STATUS("200"), RAW_FIELD(":path", "/")}, NULL},
    {"B02 two lengths",
     "GET",
     {STATUS("200"), RAW_FIELD("content-length", "1"), RAW_FIELD("content-length", "2")},
     "x"},
    {"B04 length", "GET", {STATUS("200"), RAW_FIELD("content-length", "5a")}, "x"},
    {"B07 longer", "GET", {STATUS("200"), RAW_FIELD("content-length", "2")}, "xyz"},
    {"B08 shorter", "GET", {STATUS("200"), RAW_FIELD("content-length", "5")}, "xyz"},
    {"B08 none", "GET", {STATUS("200"), RAW_FIELD("content-length", "5")}, NULL},
    {"B12 HEAD with a body", "HEAD", {STATUS("200"), RAW_FIELD("content-length", "3")}, "xyz"},
    {"B12 204 with a body", "GET", {STATUS("204")}, "xyz"},
    {"B12 304 with a body", "GET", {STATUS("304")}, "xyz"},
};

static void a_broken_answer_ends_its_call_and_the_next_is_good(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        const struct row *row = &BAD[i];
        struct call call, next;
        size_t count = 0;
        while (count < 4 && row->fields[count].name.data != NULL)
            count++;
        struct raw *raw = backend_new();
        backend_settings(raw);
        assert_true(start(raw, &call, row->method) && start(raw, &next, "GET"));
        RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 3) != NULL);
        raw_head(raw, 1, row->body == NULL ? GOOD : OPEN, row->fields, count);
        if (row->body != NULL)
            raw_frame(raw, RAW_DATA, RAW_END, 1, text_of(row->body));
        raw_head(raw, 3, OPEN, fine, 1);
        raw_frame(raw, RAW_DATA, RAW_END, 3, TEXT("good"));
        RAW_UNTIL(raw, next.closes && call.closes);
        RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL);
        if (call.aborts != 1 || call.err != ERR_PROTOCOL || call.complete || next.received != 4)
            fail_msg("%s: aborts %u, err %s, complete %d", row->id, call.aborts, err_name(call.err),
                     call.complete);
        backend_free(raw);
    }
}

static void good_answers_of_every_form_are_taken(void **state)
{
    (void)state;
    static const struct row FINE[] = {
        {"HEAD", "HEAD", {STATUS("200"), RAW_FIELD("content-length", "3")}, NULL},
        {"204", "GET", {STATUS("204")}, NULL},
        {"304", "GET", {STATUS("304"), RAW_FIELD("content-length", "3")}, NULL},
        {"304 in two frames", "GET", {STATUS("304"), RAW_FIELD("content-length", "3")}, ""},
        {"empty", "GET", {STATUS("200"), RAW_FIELD("content-length", "0")}, ""},
        {"length", "GET", {STATUS("500"), RAW_FIELD("content-length", "3")}, "xyz"},
        {"none", "GET", {STATUS("404")}, "xyz"},
    };
    for (size_t i = 0; i < ARRAY_LEN(FINE); i++) {
        const struct row *row = &FINE[i];
        struct call call;
        struct raw *raw = backend_new();
        backend_settings(raw);
        assert_true(start(raw, &call, row->method));
        RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
        raw_head(raw, 1, row->body == NULL ? GOOD : OPEN, row->fields,
                 row->fields[1].name.data == NULL ? 1 : 2);
        if (row->body != NULL)
            raw_frame(raw, RAW_DATA, RAW_END, 1, text_of(row->body));
        RAW_UNTIL(raw, call.closes);
        if (call.aborts > 0 || !call.complete || call.heads != 1)
            fail_msg("%s: %s", row->id, call.why);
        backend_free(raw);
    }
}

static void trailers_that_come_with_the_head_are_not_lost(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")}, after[] = {RAW_FIELD("grpc-status", "0")};
    struct call call;
    struct raw *raw = backend_new();
    backend_settings(raw);
    assert_true(start(raw, &call, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    raw_head(raw, 1, OPEN, fine, 1);
    raw_head(raw, 1, GOOD, after, 1);
    RAW_UNTIL(raw, call.closes);
    assert_false(call.head_ended);
    assert_true(call.complete);
    assert_int_equal(call.trailer_fields, 1);
    backend_free(raw);
}

static void informational_answers_have_a_bound(void **state)
{
    (void)state;
    const struct raw_field hint[] = {STATUS("103")}, fine[] = {STATUS("200")};
    for (uint32_t count = LIMIT_INFORMATIONAL; count <= LIMIT_INFORMATIONAL + 1; count++) {
        struct call call;
        struct raw *raw = backend_new();
        backend_settings(raw);
        assert_true(start(raw, &call, "GET"));
        RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
        for (uint32_t i = 0; i < count; i++)
            raw_head(raw, 1, OPEN, hint, 1);
        raw_head(raw, 1, GOOD, fine, 1);
        RAW_UNTIL(raw, call.closes);
        assert_int_equal(call.informational, LIMIT_INFORMATIONAL);
        assert_int_equal(call.aborts, count > LIMIT_INFORMATIONAL);
        backend_free(raw);
    }
}

/* B23, B24 */
static void calls_that_were_not_processed_may_go_elsewhere(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    struct call calls[3];
    struct raw *raw = backend_new();
    backend_settings(raw);
    for (int i = 0; i < 3; i++)
        assert_true(start(raw, &calls[i], "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 5) != NULL);
    raw_frame32(raw, RAW_RESET, 3, 7);
    RAW_UNTIL(raw, calls[1].closes);
    assert_int_equal(calls[1].err, ERR_REFUSED);
    raw_frame(raw, RAW_GOAWAY, 0, 0, TEXT("\0\0\0\1\0\0\0\0"));
    RAW_UNTIL(raw, calls[2].closes);
    assert_int_equal(calls[2].err, ERR_REFUSED);
    assert_int_equal(calls[0].aborts, 0);
    assert_false(http_can_open(raw->connection));
    assert_true(raw->connection->draining);
    raw_head(raw, 1, GOOD, fine, 1);
    RAW_UNTIL(raw, calls[0].closes);
    assert_int_equal(calls[0].status, 200);
    RAW_UNTIL(raw, raw->connection == NULL);
    backend_free(raw);
}

/* B25 */
static void a_backend_that_takes_no_streams_is_waited_for(void **state)
{
    (void)state;
    struct raw *raw = backend_new();
    struct call call;
    raw_setting(raw, 3, 0);
    RAW_UNTIL(raw, !http_can_open(raw->connection));
    assert_false(start(raw, &call, "GET"));
    raw_setting(raw, 3, 1);
    RAW_UNTIL(raw, raw->heads == 2);
    assert_true(start(raw, &call, "GET"));
    assert_false(http_can_open(raw->connection));
    http_stream_reset(call.stream, ERR_CLOSED);
    RAW_UNTIL(raw, raw->heads == 3 && call.closes);
    backend_free(raw);
}

/* Its SETTINGS came between the request and the wire. */
static void a_request_does_not_wait_for_a_stream_for_ever(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    struct call call, next;
    struct raw *raw = backend_new();
    raw->settings.queue_ms = 100;
    raw_setting(raw, 3, 0);
    assert_true(start(raw, &call, "GET")); /* before the turn that reads them */
    struct http_stream *stream = call.stream;
    RAW_UNTIL(raw, call.aborts > 0 || call.closes > 0);
    assert_int_equal(call.err, ERR_TIMEOUT);
    assert_string_equal(call.why, "h2: no stream allowed");
    assert_true(stream->unsent);
    RAW_UNTIL(raw, call.closes == 1);
    assert_null(raw_find(raw, RAW_HEADERS, 1));
    raw_setting(raw, 3, 10);
    RAW_UNTIL(raw, http_can_open(raw->connection));
    assert_true(start(raw, &next, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 3) != NULL);
    raw_head(raw, 3, GOOD, fine, 1);
    RAW_UNTIL(raw, next.closes);
    assert_int_equal(next.status, 200);
    backend_free(raw);
}

static void a_connection_without_requests_closes_after_a_while(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    struct call call;
    struct raw *raw = backend_new();
    raw->settings.idle_ms = 200;
    backend_settings(raw);
    assert_true(start(raw, &call, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    uint64_t until_ms = loop_now_ms(raw->loop) + 500;
    while (loop_now_ms(raw->loop) < until_ms)
        raw_turn(raw);
    assert_int_equal(call.closes, 0); /* not while it carries one */
    raw_head(raw, 1, GOOD, fine, 1);
    RAW_UNTIL(raw, call.closes);
    RAW_UNTIL(raw, raw->connection == NULL && raw->closed);
    assert_int_equal(raw->closed_err, ERR_NONE);
    assert_string_equal(raw->why, "h2: idle");
    assert_int_equal(raw_count(raw, RAW_GOAWAY, 0), 1);
    backend_free(raw);
}

/* B26, B27 */
static void what_a_backend_may_not_send_ends_the_connection(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    for (int i = 0; i < 5; i++) {
        struct call call;
        struct raw *raw = backend_new();
        backend_settings(raw);
        assert_true(start(raw, &call, "GET"));
        RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
        if (i == 0)
            raw_frame(raw, RAW_PUSH, RAW_END_HEADERS, 1, TEXT("\0\0\0\2\x82"));
        if (i == 1)
            raw_frame32(raw, RAW_WINDOW, 0, 0);
        if (i == 2)
            raw_head(raw, 2, GOOD, fine, 1); /* a stream that nobody opened */
        if (i == 3)
            raw_frame(raw, RAW_HEADERS, GOOD, 1, TEXT("\xff\x80\xff\x01"));
        if (i == 4) {
            raw_head(raw, 1, 0, fine, 1);
            for (int k = 0; k < 100; k++)
                raw_frame(raw, RAW_CONTINUATION, 0, 1, TEXT("\x88\x88\x88"));
        }
        RAW_UNTIL(raw, raw->connection == NULL);
        assert_int_equal(call.aborts, 1);
        assert_int_equal(call.closes, 1);
        assert_non_null(raw_find(raw, RAW_GOAWAY, 0));
        backend_free(raw);
    }
}

/* Else the others' connection ends for it when a head's time is over. */
static void a_head_of_a_stream_that_we_reset_is_waited_for_no_more(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    struct call call, next;
    struct raw *raw = backend_new();
    backend_settings(raw);
    assert_true(start(raw, &call, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    const struct h2_link *h2 = h2_link_of(http_link_of(raw->connection));
    assert_int_equal(h2->head_ms, 0);
    raw_head(raw, 1, 0, fine, 1);
    RAW_UNTIL(raw, h2->head_ms != 0);
    http_stream_reset(call.stream, ERR_CLOSED);
    RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL);
    raw_frame(raw, RAW_CONTINUATION, RAW_END_HEADERS, 1, TEXT_NONE);
    RAW_UNTIL(raw, raw->out_at == raw->out.len);
    assert_int_equal(h2->head_ms, 0);
    assert_true(start(raw, &next, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 3) != NULL);
    raw_head(raw, 3, GOOD, fine, 1);
    RAW_UNTIL(raw, next.closes);
    assert_int_equal(next.status, 200);
    backend_free(raw);
}

static void what_comes_on_a_stream_that_we_reset_is_dropped(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    struct call call, next;
    struct raw *raw = backend_new();
    char *load = memory_alloc(16384);
    backend_settings(raw);
    assert_true(start(raw, &call, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    http_stream_reset(call.stream, ERR_CLOSED);
    raw_head(raw, 1, OPEN, fine, 1);
    for (int i = 0; i < 3; i++)
        raw_frame(raw, RAW_DATA, 0, 1, text_from(load, 16384));
    RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL && raw->out_at == raw->out.len);
    assert_true(start(raw, &next, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 3) != NULL);
    raw_head(raw, 3, GOOD, fine, 1);
    RAW_UNTIL(raw, next.closes);
    assert_int_equal(next.status, 200);
    assert_int_equal(call.heads + call.aborts, 0);
    assert_int_equal(call.closes, 1);
    free(load);
    backend_free(raw);
}

static void large_heads_of_answers_are_refused(void **state)
{
    (void)state;
    struct call call;
    struct raw *raw = backend_new();
    struct raw_field fields[151] = {STATUS("200")};
    for (size_t i = 1; i < 151; i++)
        fields[i] = (struct raw_field){TEXT("x"), TEXT("1")};
    backend_settings(raw);
    assert_true(start(raw, &call, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    raw_head(raw, 1, GOOD, fields, 151);
    RAW_UNTIL(raw, call.closes);
    assert_string_equal(call.why, "header_limit");
    assert_int_equal(call.err, ERR_LIMIT);
    assert_int_equal(call.aborts, 1);
    backend_free(raw);
}

static void large_trailers_of_answers_are_refused_as_such(void **state)
{
    (void)state;
    const struct raw_field fine[] = {STATUS("200")};
    struct call call;
    struct raw *raw = backend_new();
    struct raw_field fields[150];
    for (size_t i = 0; i < 150; i++)
        fields[i] = (struct raw_field){TEXT("x"), TEXT("1")};
    backend_settings(raw);
    assert_true(start(raw, &call, "GET"));
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    raw_head(raw, 1, OPEN, fine, 1);
    raw_head(raw, 1, GOOD, fields, 150);
    RAW_UNTIL(raw, call.closes);
    assert_string_equal(call.why, "header_limit");
    assert_int_equal(call.err, ERR_LIMIT);
    assert_int_equal(call.aborts, 1);
    backend_free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_answer_ends_its_call_and_the_next_is_good),
        cmocka_unit_test(good_answers_of_every_form_are_taken),
        cmocka_unit_test(trailers_that_come_with_the_head_are_not_lost),
        cmocka_unit_test(informational_answers_have_a_bound),
        cmocka_unit_test(calls_that_were_not_processed_may_go_elsewhere),
        cmocka_unit_test(a_backend_that_takes_no_streams_is_waited_for),
        cmocka_unit_test(a_request_does_not_wait_for_a_stream_for_ever),
        cmocka_unit_test(a_connection_without_requests_closes_after_a_while),
        cmocka_unit_test(what_a_backend_may_not_send_ends_the_connection),
        cmocka_unit_test(a_head_of_a_stream_that_we_reset_is_waited_for_no_more),
        cmocka_unit_test(what_comes_on_a_stream_that_we_reset_is_dropped),
        cmocka_unit_test(large_heads_of_answers_are_refused),
        cmocka_unit_test(large_trailers_of_answers_are_refused_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
