/* A whole worker on the simulated kernel, clients and backends around it, snapshots swapped in the
 * middle. Whatever breaks: an answer is whole and right, or says that it failed, or is cut visibly;
 * nothing hangs, nothing leaks, and one snapshot alone has to do with a request. Each seed is a run
 * of its own and repeats. Arguments: seeds to replay; none: the first 200. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "data/filter/chain.h"
#include "sim/io_sim.h"
#include "unit/data/worker/rig.h"

enum { CLIENTS = 12, REQUESTS = 12, BACKENDS = 3, SEEDS = 200, BODY_MAX = 150000 };

static char pattern_byte(uint64_t at, uint64_t size)
{
    return (char)('a' + (at * 7 + size) % 26);
}

/* Writes the pattern from `sent` on, as far as the stream takes it; true at the end. */
static bool write_pattern(struct http_stream *stream, uint64_t *sent, uint64_t size)
{
    for (;;) {
        char bytes[8192];
        size_t len = MIN(size - *sent, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = pattern_byte(*sent + i, size);
        size_t taken = http_stream_write(stream, text_from(bytes, len), *sent + len == size);
        *sent += taken;
        if (taken < len)
            return false;
        if (*sent == size)
            return true;
    }
}

/* Takes what is there; false when a byte is wrong. */
static bool read_pattern(struct http_stream *stream, uint64_t *got, uint64_t size)
{
    for (;;) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            return true;
        for (size_t i = 0; i < bytes.len; i++)
            if (bytes.data[i] != pattern_byte(*got + i, size))
                return false;
        *got += bytes.len;
        http_stream_consume(stream, bytes.len);
    }
}

/* -- the mark: each snapshot's chain writes its number into the request, and again into the answer;
 * the backend sends back what it saw -- */

static const struct text ASKED = {"x-asked", 7}, ECHOED = {"x-echoed", 8}, MARK = {"x-mark", 6};

static struct text value_of(const struct message *message, struct text name)
{
    const struct field *field = message_find(message, name);
    return field == NULL ? TEXT_NONE : field->value;
}

static enum filter_verdict mark_request(struct exchange *x, const void *config, void *state)
{
    (void)state;
    const struct text *number = config;
    message_set(x->request, x->arena, ASKED, *number);
    return FILTER_NEXT;
}

static enum filter_verdict mark_response(struct exchange *x, const void *config, void *state)
{
    (void)state;
    const struct text *number = config;
    message_set(x->response, x->arena, MARK, *number);
    return FILTER_NEXT;
}

static const struct filter_type MARKER = {
    .name = "marker", .on_request = mark_request, .on_response = mark_response};

static struct filter_chain *make_filters(const struct rig *rig, struct arena *arena)
{
    struct filter_chain *chain = arena_zalloc(arena, sizeof(*chain) + sizeof(struct filter_step));
    struct text *number = arena_new(arena, struct text);
    *number = arena_printf(arena, "%llu", (unsigned long long)rig->number);
    chain->count = 1;
    chain->steps[0] = (struct filter_step){.type = &MARKER, .config = number};
    return chain;
}

struct sim {
    uint64_t seed;
    struct rig rig;
    struct io *io;
    struct loop *loop;
    struct random random;
    struct listener backends[BACKENDS];
    uint32_t backend_connections, client_connections;
    uint32_t whole, failed, cut, unanswered;
    bool has_faults;
    struct client {
        struct sim *sim;
        struct http_connection *connection;
        struct http_stream *stream;
        uint32_t asked;
        uint64_t up_size, up_sent, down_size, down_got;
        uint64_t asked_at; /* number of the snapshot then */
        int status;
    } clients[CLIENTS];
};

/* -- the backend: "/<up>/<down>/<c|l>", takes a body of `up` bytes, answers with `down` -- */

struct service_state {
    struct text asked; /* the request's mark */
    uint64_t up_size, up_got, down_size, down_sent;
    bool is_chunked, is_answering;
};

static uint64_t take_number(struct text *rest)
{
    struct text part;
    uint64_t value = 0;
    assert_true(text_split(rest, '/', &part));
    assert_true(text_to_u64(part, &value));
    return value;
}

static void serve_more(struct service_state *state, struct http_stream *stream)
{
    if (!state->is_answering) {
        assert_true(read_pattern(stream, &state->up_got, state->up_size));
        if (!stream->read_ended)
            return;
        assert_int_equal(state->up_got, state->up_size);
        struct message head;
        message_init(&head);
        head.status = 200;
        head.framing = state->is_chunked ? FRAMING_CHUNKED : FRAMING_LENGTH;
        head.content_length = state->down_size;
        message_add(&head, &stream->arena, ECHOED, state->asked);
        state->is_answering = true;
        http_stream_send_head(stream, &head, false);
    }
    (void)write_pattern(stream, &state->down_sent, state->down_size);
}

static void serve_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)end;
    struct service_state *state = owner;
    struct sim *sim = stream->connection->owner;
    if (sim->has_faults && stream->connection->request_count > 1 &&
        random_below(&sim->random, 20) == 0) {
        http_close(stream->connection, ERR_CLOSED); /* a kept connection may end at any time */
        return;
    }
    state->asked = arena_text(&stream->arena, value_of(head, ASKED));
    struct text rest = text_slice(head->path, 1, head->path.len);
    state->up_size = take_number(&rest);
    state->down_size = take_number(&rest);
    state->is_chunked = text_is(rest, "c");
    serve_more(state, stream);
}

static void serve_event(void *owner, struct http_stream *stream)
{
    serve_more(owner, stream);
}

static void serve_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner, (void)stream, (void)err;
}

static void serve_end(void *owner, struct http_stream *stream)
{
    (void)owner, (void)stream;
}

static const struct http_stream_events SERVICE_EVENTS = {
    .on_head = serve_head,
    .on_readable = serve_event,
    .on_writable = serve_event,
    .on_abort = serve_abort,
    .on_closed = serve_end,
};

static void backend_stream(void *owner, struct http_stream *stream)
{
    (void)owner;
    http_stream_own(stream, &SERVICE_EVENTS, arena_new(&stream->arena, struct service_state));
}

static void backend_closed(void *owner, struct http_connection *connection, enum err err)
{
    (void)connection, (void)err;
    ((struct sim *)owner)->backend_connections--;
}

static const struct http_connection_events BACKEND_EVENTS = {
    .on_stream = backend_stream,
    .on_closed = backend_closed,
};
static const struct http_settings SETTINGS = {.version = HTTP_1};

static void backend_accept(void *owner, int fd, const struct address *peer)
{
    struct sim *sim = owner;
    if (http_serve(sim->loop, fd, peer, NULL, &SETTINGS, &BACKEND_EVENTS, sim) != NULL)
        sim->backend_connections++;
}

/* -- the clients -- */

static void ask_next(struct client *client);

static void client_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)stream, (void)end;
    struct client *client = owner;
    client->status = head->status;
    if (head->status != 200)
        return;
    uint64_t mark = 0;
    assert_true(text_to_u64(value_of(head, MARK), &mark));
    assert_true(text_equal(value_of(head, MARK), value_of(head, ECHOED)));
    assert_in_range(mark, client->asked_at, client->sim->rig.number);
}

static void client_readable(void *owner, struct http_stream *stream)
{
    struct client *client = owner;
    if (client->status == 200) {
        assert_true(read_pattern(stream, &client->down_got, client->down_size));
        return;
    }
    for (struct text bytes; (bytes = http_stream_peek(stream)).len > 0;)
        http_stream_consume(stream, bytes.len);
}

static void client_writable(void *owner, struct http_stream *stream)
{
    struct client *client = owner;
    if (!stream->write_ended && client->up_size > 0)
        (void)write_pattern(stream, &client->up_sent, client->up_size);
}

static void client_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner, (void)stream, (void)err;
}

static void client_closed(void *owner, struct http_stream *stream)
{
    struct client *client = owner;
    struct sim *sim = client->sim;
    client->stream = NULL;
    if (stream->aborted)
        (*(stream->head_received ? &sim->cut : &sim->unanswered))++;
    else if (client->status != 200)
        sim->failed++;
    else
        sim->whole++;
    if (!stream->aborted && client->status == 200)
        assert_int_equal(client->down_got, client->down_size);
}

static const struct http_stream_events CLIENT_STREAM_EVENTS = {
    .on_head = client_head,
    .on_readable = client_readable,
    .on_writable = client_writable,
    .on_abort = client_abort,
    .on_closed = client_closed,
};

static void client_ready(void *owner, struct http_connection *connection)
{
    struct client *client = owner;
    if (client->asked == REQUESTS)
        http_drain(connection, 0);
    else
        ask_next(client);
}

static void client_gone(void *owner, struct http_connection *connection, enum err err)
{
    (void)connection, (void)err;
    struct client *client = owner;
    client->connection = NULL;
    client->sim->client_connections--;
}

static const struct http_connection_events CLIENT_EVENTS = {
    .on_ready = client_ready,
    .on_closed = client_gone,
};

static void ask_next(struct client *client)
{
    struct sim *sim = client->sim;
    char path[64];
    bool has_body = random_below(&sim->random, 3) == 0;
    client->up_size = has_body ? 1 + random_below(&sim->random, BODY_MAX) : 0;
    client->down_size = random_below(&sim->random, 4) == 0 ? random_below(&sim->random, BODY_MAX)
                                                           : random_below(&sim->random, 300);
    client->up_sent = client->down_got = 0;
    client->status = 0;
    client->asked_at = sim->rig.number;
    client->asked++;
    client->stream = http_open(client->connection);
    assert_non_null(client->stream);
    http_stream_own(client->stream, &CLIENT_STREAM_EVENTS, client);
    int len = snprintf(path, sizeof(path), "/%llu/%llu/%s", (unsigned long long)client->up_size,
                       (unsigned long long)client->down_size,
                       random_below(&sim->random, 2) == 0 ? "c" : "l");
    struct message head;
    message_init(&head);
    head.method = has_body ? METHOD_POST : METHOD_GET;
    head.method_name = has_body ? TEXT("POST") : TEXT("GET");
    head.authority = head.host = TEXT("a.example");
    head.path = text_from(path, (size_t)len);
    head.framing = !has_body                            ? FRAMING_NONE
                   : random_below(&sim->random, 2) == 0 ? FRAMING_CHUNKED
                                                        : FRAMING_LENGTH;
    head.content_length = client->up_size;
    http_stream_send_head(client->stream, &head, !has_body);
    if (has_body)
        (void)write_pattern(client->stream, &client->up_sent, client->up_size);
}

/* -- a run -- */

static void set_faults(struct io_sim_options *options, uint64_t seed)
{
    options->short_chance = 200;
    options->again_chance = 100;
    options->reset_chance = seed % 3 == 0 ? 3 : 1;
    options->refuse_chance = 50;
    options->hang_chance = seed % 5 == 0 ? 20 : 0;
    options->accept_chance = 10;
}

static void open_sim(struct sim *sim, uint64_t seed, bool has_faults)
{
    struct io_sim_options options = {.seed = seed, .delay_us_max = 500, .short_chance = 100};
    memset(sim, 0, sizeof(*sim));
    sim->seed = seed;
    sim->rig.make_filters = make_filters;
    random_seed(&sim->random, seed);
    sim->has_faults = has_faults;
    if (has_faults)
        set_faults(&options, seed);
    sim->io = io_sim_new(&options);
    sim->rig.has_route = true;
    sim->rig.endpoint_count = BACKENDS;
    sim->rig.connect_timeout_ms = 300;
    struct worker_options worker = {.io = sim->io, .access_log = "off", .node = TEXT("sim")};
    sim->rig.worker = worker_new(&worker);
    sim->loop = sim->rig.worker->loop;
    for (int i = 0; i < BACKENDS; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "192.0.2.%d:80", i + 10);
        assert_true(address_parse_endpoint(text_from(text, (size_t)len), &sim->rig.backend[i]));
        struct address *address = &sim->rig.backend[i];
        sim->backends[i] =
            (struct listener){.address = *address, .owner = sim, .on_accept = backend_accept};
        int fd = io_sim_listen(sim->io, &address->any, address->len);
        assert_true(listener_start(&sim->backends[i], sim->loop, fd));
    }
    assert_true(address_parse_endpoint(TEXT("192.0.2.1:80"), &sim->rig.address));
    struct worker_socket socket = {.address = sim->rig.address};
    socket.fd = io_sim_listen(sim->io, &sim->rig.address.any, sim->rig.address.len);
    struct snapshot *snapshot = rig_snapshot(&sim->rig);
    worker_adopt(sim->rig.worker, snapshot, &socket, 1);
    snapshot_unref(snapshot);
}

/* Clients that lost their connection come back until they have asked all they wanted. */
static bool keep_asking(struct sim *sim)
{
    bool is_over = true;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &sim->clients[i];
        client->sim = sim;
        if (client->connection == NULL && client->asked < REQUESTS) {
            client->connection = http_connect(sim->loop, &sim->rig.address, NULL, TEXT(""), 2000,
                                              &SETTINGS, &CLIENT_EVENTS, client);
            sim->client_connections++;
        }
        is_over = is_over && client->connection == NULL;
    }
    return is_over;
}

static void swap_snapshot(struct sim *sim)
{
    sim->rig.endpoint_count = 1 + (uint32_t)random_below(&sim->random, BACKENDS);
    struct snapshot *snapshot = rig_snapshot(&sim->rig);
    worker_adopt(sim->rig.worker, snapshot, NULL, 0);
    snapshot_unref(snapshot);
}

static void close_sim(struct sim *sim)
{
    struct worker *worker = sim->rig.worker;
    worker_drain(worker, LIMIT_DRAIN_IDLE_MS);
    for (int i = 0; i < BACKENDS; i++)
        listener_close(&sim->backends[i]);
    proxy_close(&worker->proxy);
    uint64_t until = loop_now_ms(sim->loop) + 600000;
    while (!proxy_is_idle(&worker->proxy) || worker->proxy.pools.connection_count > 0 ||
           sim->backend_connections > 0) {
        assert_true(loop_now_ms(sim->loop) < until);
        loop_turn(sim->loop, 50);
    }
    assert_int_equal(worker->proxy.transfer_count, 0);
    assert_int_equal(worker->proxy.lease->holders, 1);
    worker_free(worker);
    assert_int_equal(io_sim_open_sockets(sim->io), 0);
    io_sim_free(sim->io);
}

static void run_seed(struct sim *sim, uint64_t seed, bool has_faults)
{
    open_sim(sim, seed, has_faults);
    uint64_t until = loop_now_ms(sim->loop) + 3600000, next_swap = 0;
    while (!keep_asking(sim)) {
        if (loop_now_ms(sim->loop) > until)
            fail_msg("seed %llu hangs", (unsigned long long)seed);
        loop_turn(sim->loop, 50);
        if (loop_now_ms(sim->loop) >= next_swap) {
            swap_snapshot(sim);
            next_swap = loop_now_ms(sim->loop) + 5;
        }
    }
    uint32_t all = sim->whole + sim->failed + sim->cut + sim->unanswered;
    if (getenv("SIM_SHOW") != NULL)
        printf("seed %llu: %u whole, %u failed, %u cut, %u unanswered\n", (unsigned long long)seed,
               sim->whole, sim->failed, sim->cut, sim->unanswered);
    if (all != CLIENTS * REQUESTS || (!has_faults && sim->whole != all))
        fail_msg("seed %llu: %u whole, %u failed, %u cut, %u unanswered", (unsigned long long)seed,
                 sim->whole, sim->failed, sim->cut, sim->unanswered);
    close_sim(sim);
}

/* What the tests get: seeds to replay, and the run under way, whose seed is told at the end. */
struct runs {
    char *const *seeds;
    struct sim sim;
};

static int tell_seed(void **state)
{
    struct runs *runs = *state;
    print_message("the last seed was %llu\n", (unsigned long long)runs->sim.seed);
    return 0;
}

static void run(struct runs *runs, uint64_t count, bool has_faults)
{
    for (uint64_t seed = 1; runs->seeds[0] == NULL && seed <= count; seed++)
        run_seed(&runs->sim, seed, has_faults);
    for (size_t i = 0; runs->seeds[i] != NULL; i++) {
        uint64_t seed = 0;
        assert_true(text_to_u64(text_of(runs->seeds[i]), &seed));
        run_seed(&runs->sim, seed, has_faults);
    }
}

static void without_faults_every_answer_is_whole(void **state)
{
    run(*state, SEEDS / 8, false);
}

static void with_faults_no_answer_lies(void **state)
{
    run(*state, SEEDS, true);
}

int main(int argc, char **argv)
{
    (void)argc;
    static struct runs runs;
    runs.seeds = argv + 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(without_faults_every_answer_is_whole, NULL,
                                                 tell_seed, &runs),
        cmocka_unit_test_prestate_setup_teardown(with_faults_no_answer_lies, NULL, tell_seed,
                                                 &runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
