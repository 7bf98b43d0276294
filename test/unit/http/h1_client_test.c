/* Calling over HTTP/1: honest exchanges, reuse, tunnels, and the table of hostile answers
 * (test/hostile/h1_responses.tsv). The backend is the other end of a loopback connection. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/connection.h"
#include "http/h1_rows.h"
#include "net/listener.h"

static struct loop *loop;
static const char *under_test;

struct call {
    struct http_settings settings;
    struct http_connection *connection;
    struct http_stream *stream;
    int listening, fd; /* the backend's */
    uint32_t ready, informational, aborted;
    bool closed, head, ended, stream_closed, keep_request_open;
    int status;
    enum err abort_err, close_err;
    char why[64];
    struct builder body;  /* of the answer */
    struct builder heard; /* what the backend read */
};

static void pull(struct call *call, struct http_stream *stream)
{
    struct text bytes;
    while ((bytes = http_stream_peek(stream)).len > 0) {
        builder_add(&call->body, bytes);
        http_stream_consume(stream, bytes.len);
    }
    call->ended |= stream->read_ended;
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct call *call = owner;
    assert_false(call->head);
    call->head = true;
    call->status = head->status;
    call->ended = end;
    if (!end)
        pull(call, stream);
}

static void on_informational(void *owner, struct http_stream *stream, struct message *head)
{
    struct call *call = owner;
    (void)stream;
    assert_true(head->status < 200);
    call->informational++;
}

static void on_readable(void *owner, struct http_stream *stream)
{
    pull(owner, stream);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct call *call = owner;
    call->aborted++;
    call->abort_err = err;
    assert_non_null(stream->why);
    snprintf(call->why, sizeof(call->why), "%s", stream->why);
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    struct call *call = owner;
    assert_ptr_equal(call->stream, stream);
    call->stream = NULL;
    call->stream_closed = true;
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
    struct call *call = owner;
    (void)connection;
    call->ready++;
}

static void on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct call *call = owner;
    (void)connection;
    call->closed = true;
    call->close_err = err;
    call->connection = NULL;
}

static const struct http_connection_events CONNECTION = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

static void backend_read(struct call *call)
{
    if (call->fd < 0)
        return;
    char *room = builder_reserve(&call->heard, 65536);
    ssize_t got = recv(call->fd, room, 65536, MSG_DONTWAIT);
    if (got > 0)
        call->heard.len += (size_t)got;
}

static void settle(struct call *call)
{
    for (int i = 0; i < 5; i++) {
        loop_turn(loop, 0);
        backend_read(call);
    }
}

static void turn_until(struct call *call, const bool *condition)
{
    uint64_t deadline = clock_monotonic_ns() + 10000000000ull;
    while (!*condition && clock_monotonic_ns() < deadline) {
        loop_turn(loop, 10);
        backend_read(call);
    }
    assert_true(*condition);
}

static void open_call(struct call *call)
{
    *call = (struct call){.fd = -1};
    struct address address;
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &address));
    call->listening = listener_open(&address, false);
    assert_true(call->listening >= 0);
    socklen_t len = sizeof(address.storage);
    assert_int_equal(getsockname(call->listening, &address.any, &len), 0);
    call->connection =
        http_connect(loop, &address, NULL, TEXT_NONE, 5000, &call->settings, &CONNECTION, call);
    assert_non_null(call->connection);
    assert_false(call->ready > 0);
    uint64_t deadline = clock_monotonic_ns() + 5000000000ull;
    while ((call->ready == 0 || call->fd < 0) && clock_monotonic_ns() < deadline) {
        loop_turn(loop, 10);
        if (call->fd < 0)
            call->fd = accept4(call->listening, NULL, NULL, SOCK_CLOEXEC);
    }
    assert_int_equal(call->ready, 1);
}

static void close_call(struct call *call)
{
    if (call->connection != NULL)
        http_close(call->connection, ERR_NONE);
    settle(call);
    assert_true(call->closed);
    assert_null(call->stream);
    if (call->fd >= 0)
        close(call->fd);
    close(call->listening);
    builder_fini(&call->body);
    builder_fini(&call->heard);
}

static void start_request(struct call *call, struct text method, enum framing framing)
{
    struct message head;
    message_init(&head);
    head.method_name = method;
    head.authority = TEXT("a");
    head.path = TEXT("/x");
    head.framing = framing;
    call->stream = http_open(call->connection);
    assert_non_null(call->stream);
    http_stream_own(call->stream, &STREAM, call);
    call->head = call->ended = call->stream_closed = false;
    builder_clear(&call->body);
    builder_clear(&call->heard);
    http_stream_send_head(call->stream, &head, framing == FRAMING_NONE);
    settle(call);
}

static void answer(struct call *call, struct text bytes)
{
    size_t at = 0;
    while (at < bytes.len) {
        ssize_t sent = send(call->fd, bytes.data + at, bytes.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            break;
        at += sent > 0 ? (size_t)sent : 0;
        settle(call);
    }
    settle(call);
}

static bool heard(const struct call *call, const char *bytes)
{
    return memmem(call->heard.data, call->heard.len, bytes, strlen(bytes)) != NULL;
}

/* ---- the table ---- */

struct row {
    struct text id, method, status, body, connection;
    struct h1_bytes answer;
};

static bool verdict_is(struct text alternatives, const char *verdict)
{
    struct text one;
    while (text_split(&alternatives, '|', &one))
        if (text_is(one, verdict))
            return true;
    return false;
}

static void check_verdict(const struct call *call, const struct row *row)
{
    char verdict[16];
    if (call->aborted > 0)
        snprintf(verdict, sizeof(verdict), "%s", call->head ? "cut" : "502");
    else
        snprintf(verdict, sizeof(verdict), "%d", call->ended ? call->status : 0);
    if (!verdict_is(row->status, verdict))
        print_error("verdict %s (%s)\n", verdict, call->why);
    assert_true(verdict_is(row->status, verdict));
    if (!text_is(row->body, "-"))
        assert_true(text_equal(builder_text(&call->body), row->body));
    if (text_is(row->id, "B17a") || text_is(row->id, "B17b") || text_is(row->id, "B17c"))
        assert_string_equal(call->why, "upstream_header_limit");
}

static void run_row(const struct row *row, size_t cut)
{
    struct call call;
    open_call(&call);
    bool post = text_is(row->method, "POST");
    start_request(&call, row->method, post ? FRAMING_CHUNKED : FRAMING_NONE);
    struct text all = builder_text(&row->answer.bytes);
    size_t first = row->answer.pause ? row->answer.pause_at : all.len;
    answer(&call, text_slice(all, 0, MIN(cut, first)));
    answer(&call, text_slice(all, MIN(cut, first), first));
    if (row->answer.fin)
        shutdown(call.fd, SHUT_WR);
    turn_until(&call, &call.stream_closed);
    check_verdict(&call, row);
    if (row->answer.pause)
        answer(&call, text_slice(all, first, all.len));
    if (text_is(row->connection, "closed")) {
        turn_until(&call, &call.closed);
        assert_int_equal(call.ready, row->answer.pause ? 2 : 1);
    } else {
        settle(&call);
        assert_false(call.closed);
        assert_int_equal(call.ready, 2);
        assert_true(http_can_open(call.connection));
    }
    if (row->answer.drop) { /* whether to try again is decided above: nothing came back */
        start_request(&call, TEXT("GET"), FRAMING_NONE);
        close(call.fd);
        call.fd = -1;
        turn_until(&call, &call.stream_closed);
        assert_int_equal(call.aborted, 1);
        assert_int_equal(call.abort_err, ERR_CLOSED);
        assert_false(call.head);
    }
    close_call(&call);
}

static void each_row(void (*run)(const struct row *row))
{
    FILE *file = fopen("test/hostile/h1_responses.tsv", "re");
    assert_non_null(file);
    char line[4096];
    uint32_t count = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (line[0] == '#')
            continue;
        struct text rest = text_of(line), bytes;
        struct row row = {0};
        assert_true(text_split(&rest, '\t', &row.id) && text_split(&rest, '\t', &row.method) &&
                    text_split(&rest, '\t', &bytes) && text_split(&rest, '\t', &row.status) &&
                    text_split(&rest, '\t', &row.body) && text_split(&rest, '\t', &row.connection));
        under_test = row.id.data;
        h1_bytes_read(&row.answer, bytes);
        run(&row);
        builder_fini(&row.answer.bytes);
        under_test = NULL;
        count++;
    }
    fclose(file);
    assert_int_equal(count, 48);
}

static void run_whole(const struct row *row)
{
    run_row(row, SIZE_MAX);
}

/* What follows the end of a message in a segment of its own meets an idle connection instead. */
static void run_cut(const struct row *row)
{
    static const char *const split_differs[] = {"B07", "B12a", "B12b", "B12c", "B20"};
    for (size_t i = 0; i < ARRAY_LEN(split_differs); i++)
        if (text_is(row->id, split_differs[i]))
            return;
    size_t len = row->answer.bytes.len, step = len / 60 + 1;
    for (size_t cut = 1; cut < len; cut += step)
        run_row(row, cut);
}

static void every_hostile_answer_meets_its_verdict(void **state)
{
    (void)state;
    each_row(run_whole);
}

static void cut_in_two_it_meets_the_same(void **state)
{
    (void)state;
    each_row(run_cut);
}

/* ---- honest work ---- */

static void a_connection_carries_one_request_after_another(void **state)
{
    (void)state;
    struct call call;
    open_call(&call);
    for (int i = 0; i < 3; i++) {
        start_request(&call, TEXT("POST"), FRAMING_CHUNKED);
        assert_false(http_can_open(call.connection));
        assert_int_equal(http_stream_write(call.stream, TEXT("hello"), true), 5);
        settle(&call);
        assert_true(heard(&call, "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
                                 "5\r\nhello\r\n0\r\n\r\n"));
        answer(&call, TEXT("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n"
                           "0\r\n\r\n"));
        assert_true(call.stream_closed && call.ended);
        assert_int_equal(call.status, 201);
        assert_true(text_is(builder_text(&call.body), "yes"));
        assert_int_equal(call.ready, 2 + i);
    }
    assert_int_equal(call.connection->request_count, 3);
    close_call(&call);
}

static void after_a_switch_bytes_go_both_ways_and_ends_are_carried(void **state)
{
    (void)state;
    struct call call;
    open_call(&call);
    struct message head;
    message_init(&head);
    head.method_name = TEXT("GET");
    head.authority = TEXT("a");
    head.path = TEXT("/");
    head.wants_upgrade = true;
    head.upgrade = TEXT("websocket");
    call.stream = http_open(call.connection);
    http_stream_own(call.stream, &STREAM, &call);
    http_stream_send_head(call.stream, &head, true);
    settle(&call);
    assert_true(heard(&call, "connection: upgrade\r\nupgrade: websocket\r\n"));
    answer(&call, TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                       "Upgrade: WebSocket\r\n\r\nraw1"));
    assert_int_equal(call.status, 101);
    assert_int_equal(http_stream_write(call.stream, TEXT("raw2"), false), 4);
    settle(&call);
    assert_true(heard(&call, "\r\n\r\nraw2"));
    answer(&call, TEXT("raw3"));
    shutdown(call.fd, SHUT_WR);
    turn_until(&call, &call.ended);
    assert_true(text_is(builder_text(&call.body), "raw1raw3"));
    assert_false(call.stream_closed);
    assert_int_equal(http_stream_write(call.stream, TEXT("raw4"), true), 4);
    turn_until(&call, &call.closed);
    assert_true(heard(&call, "raw4"));
    assert_int_equal(call.aborted, 0);
    close_call(&call);
}

static void a_request_that_is_given_up_ends_in_a_reset(void **state)
{
    (void)state;
    struct call call;
    char byte;
    open_call(&call);
    start_request(&call, TEXT("GET"), FRAMING_NONE);
    int fd = call.fd;
    call.fd = -1; /* read here alone: a reset is told once */
    assert_true(call.heard.len > 0);
    http_stream_reset(call.stream, ERR_CLOSED);
    turn_until(&call, &call.closed);
    assert_int_equal(recv(fd, &byte, 1, 0), -1); /* no FIN, which would leave a TIME_WAIT */
    assert_int_equal(errno, ECONNRESET);
    call.fd = fd;
    close_call(&call);
}

static void so_does_a_request_that_is_answered_before_its_end(void **state)
{
    (void)state;
    struct call call;
    char byte;
    open_call(&call);
    call.keep_request_open = true;
    start_request(&call, TEXT("POST"), FRAMING_CHUNKED);
    int fd = call.fd;
    struct text early = TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    call.fd = -1;
    assert_int_equal(send(fd, early.data, early.len, 0), early.len);
    turn_until(&call, &call.closed);
    assert_int_equal(call.aborted, 0);
    assert_true(call.ended && call.body.len == 2);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    call.fd = fd;
    close_call(&call);
}

static void a_connect_that_is_refused_is_told_later(void **state)
{
    (void)state;
    struct call call = {.fd = -1, .listening = -1};
    struct address address;
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &address));
    int fd = listener_open(&address, false);
    socklen_t len = sizeof(address.storage);
    assert_int_equal(getsockname(fd, &address.any, &len), 0);
    close(fd);
    call.connection =
        http_connect(loop, &address, NULL, TEXT_NONE, 1000, &call.settings, &CONNECTION, &call);
    assert_non_null(call.connection);
    assert_false(call.closed);
    turn_until(&call, &call.closed);
    assert_int_equal(call.close_err, ERR_REFUSED);
    assert_int_equal(call.ready, 0);
}

static void a_reset_stream_takes_its_connection_with_it(void **state)
{
    (void)state;
    struct call call;
    open_call(&call);
    start_request(&call, TEXT("GET"), FRAMING_NONE);
    http_stream_reset(call.stream, ERR_TIMEOUT);
    turn_until(&call, &call.closed);
    assert_true(call.stream_closed);
    assert_int_equal(call.aborted, 0);
    close_call(&call);
}

static void on_end_reset(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    on_head(owner, stream, head, end);
    http_stream_reset(stream, ERR_CLOSED);
}

static void resetting_what_has_ended_does_no_harm(void **state)
{
    (void)state;
    struct call call;
    struct http_stream_events events = STREAM;
    events.on_head = on_end_reset;
    open_call(&call);
    start_request(&call, TEXT("GET"), FRAMING_NONE);
    http_stream_own(call.stream, &events, &call);
    answer(&call, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(call.ready, 2);
    assert_false(call.closed);
    close_call(&call);
}

static void an_idle_connection_closes_after_its_time(void **state)
{
    (void)state;
    struct call call;
    open_call(&call);
    call.settings.idle_ms = 20;
    start_request(&call, TEXT("GET"), FRAMING_NONE);
    answer(&call, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(call.ready, 2);
    turn_until(&call, &call.closed);
    assert_int_equal(call.close_err, ERR_NONE);
    close_call(&call);
}

static void a_large_body_waits_for_its_reader(void **state)
{
    (void)state;
    struct call call;
    open_call(&call);
    static char block[65536];
    struct message head;
    message_init(&head);
    head.method_name = TEXT("PUT");
    head.authority = TEXT("a");
    head.path = TEXT("/");
    head.framing = FRAMING_LENGTH;
    head.content_length = 64ull << 20;
    call.stream = http_open(call.connection);
    http_stream_own(call.stream, &STREAM, &call);
    http_stream_send_head(call.stream, &head, false);
    uint64_t taken = 0;
    for (int i = 0; i < 1000; i++) {
        size_t some = http_stream_write(call.stream, text_from(block, sizeof(block)), false);
        taken += some;
        if (some == 0)
            break;
        loop_turn(loop, 0);
    }
    assert_true(taken < head.content_length); /* the backend reads nothing */
    assert_true(loop_buffers(loop)->lent_bytes < 1 << 20);
    http_stream_reset(call.stream, ERR_CLOSED);
    turn_until(&call, &call.closed);
    close_call(&call);
}

static void on_head_later(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct call *call = owner;
    (void)stream;
    assert_false(end);
    call->head = true;
    call->status = head->status;
}

static void on_nothing(void *owner, struct http_stream *stream)
{
    (void)owner;
    (void)stream;
}

/* RFC 9112 9.6: the rest of the request goes nowhere, whatever its framing promised. */
static void an_answer_that_came_before_the_backend_left_outlives_the_request(void **state)
{
    (void)state;
    static const struct linger cut = {.l_onoff = 1};
    struct http_stream_events events = STREAM;
    struct call call;
    events.on_head = on_head_later;
    events.on_readable = on_nothing;
    open_call(&call);
    struct message head;
    message_init(&head);
    head.method_name = TEXT("POST");
    head.authority = TEXT("a");
    head.path = TEXT("/");
    head.framing = FRAMING_LENGTH;
    head.content_length = 10;
    call.stream = http_open(call.connection);
    http_stream_own(call.stream, &events, &call);
    http_stream_send_head(call.stream, &head, false);
    assert_int_equal(http_stream_write(call.stream, TEXT("ab"), false), 2);
    settle(&call);
    answer(&call, TEXT("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nstop!"));
    turn_until(&call, &call.head);
    assert_int_equal(setsockopt(call.fd, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut)), 0);
    close(call.fd);
    call.fd = -1;
    settle(&call);
    assert_int_equal(http_stream_write(call.stream, TEXT("cd"), false), 2);
    settle(&call);
    assert_int_equal(http_stream_write(call.stream, TEXT("ef"), false), 2);
    assert_int_equal(http_stream_write(call.stream, TEXT("ghij"), true), 4);
    settle(&call);
    assert_false(call.stream_closed);
    pull(&call, call.stream);
    assert_true(call.ended && text_is(builder_text(&call.body), "stop!"));
    turn_until(&call, &call.closed);
    assert_int_equal(call.aborted, 0);
    close_call(&call);
}

static int say_row(void **state)
{
    (void)state;
    if (under_test != NULL)
        print_error("the last row was %.5s\n", under_test);
    under_test = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_carries_one_request_after_another),
        cmocka_unit_test(after_a_switch_bytes_go_both_ways_and_ends_are_carried),
        cmocka_unit_test(a_request_that_is_given_up_ends_in_a_reset),
        cmocka_unit_test(so_does_a_request_that_is_answered_before_its_end),
        cmocka_unit_test(a_connect_that_is_refused_is_told_later),
        cmocka_unit_test(a_reset_stream_takes_its_connection_with_it),
        cmocka_unit_test(resetting_what_has_ended_does_no_harm),
        cmocka_unit_test(an_idle_connection_closes_after_its_time),
        cmocka_unit_test(a_large_body_waits_for_its_reader),
        cmocka_unit_test(an_answer_that_came_before_the_backend_left_outlives_the_request),
        cmocka_unit_test_teardown(every_hostile_answer_meets_its_verdict, say_row),
        cmocka_unit_test_teardown(cut_in_two_it_meets_the_same, say_row),
    };
    loop = loop_new(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
