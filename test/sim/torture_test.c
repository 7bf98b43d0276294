/* Each call to the kernel of each scenario fails once (curl's torture, F41): whatever breaks, the
 * worker neither crashes nor leaks, no answer lies, and the next request of the next client is
 * answered. The worker's calls go through a struct io that fails the n-th; clients and backends are
 * plain sockets of the test. Arguments: "SCENARIO N" repeats one failure. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <netinet/in.h>

#include "unit/data/worker/peers.h"
#include "unit/data/worker/rig_filters.h"

enum { BACKEND_PEERS = 8, IDLE_TURNS = 12, BIG = 200000 };

/* -- the kernel that fails once -- */

struct torture {
    struct io io;
    struct io *kernel;
    uint64_t calls, fail_at; /* 0: none fails */
    const char *failed;      /* the call that did */
};

static bool fails(void *state, const char *name, int number)
{
    struct torture *torture = state;
    if (++torture->calls != torture->fail_at)
        return false;
    torture->failed = name;
    errno = number;
    return true;
}

#define KERNEL(state)          ((struct torture *)(state))->kernel
#define CALL(state, name, ...) KERNEL(state)->name(KERNEL(state)->state __VA_OPT__(, ) __VA_ARGS__)

static uint64_t now_ns(void *state)
{
    return CALL(state, now_ns);
}

static uint64_t wall_ns(void *state)
{
    return CALL(state, wall_ns);
}

static uint64_t seed(void *state)
{
    return CALL(state, seed);
}

static int watch(void *state, int fd, void *owner)
{
    return fails(state, "watch", ENOSPC) ? -1 : CALL(state, watch, fd, owner);
}

static int watch_level(void *state, int fd, void *owner)
{
    return fails(state, "watch_level", ENOMEM) ? -1 : CALL(state, watch_level, fd, owner);
}

static int unwatch(void *state, int fd)
{
    return CALL(state, unwatch, fd);
}

static int wait_for(void *state, struct io_ready *ready, int max, int timeout_ms)
{
    return CALL(state, wait, ready, max, timeout_ms);
}

static ssize_t receive(void *state, int fd, void *data, size_t len)
{
    return fails(state, "recv", ECONNRESET) ? -1 : CALL(state, recv, fd, data, len);
}

static ssize_t send_parts(void *state, int fd, const struct iovec *parts, int count)
{
    return fails(state, "send", EPIPE) ? -1 : CALL(state, send, fd, parts, count);
}

static int accept_one(void *state, int fd, struct sockaddr_storage *peer, socklen_t *len)
{
    return fails(state, "accept", EMFILE) ? -1 : CALL(state, accept, fd, peer, len);
}

static int connect_to(void *state, const struct sockaddr *to, socklen_t len)
{
    return fails(state, "connect", EADDRNOTAVAIL) ? -1 : CALL(state, connect, to, len);
}

static int connect_result(void *state, int fd)
{
    return fails(state, "connect_result", ETIMEDOUT) ? ETIMEDOUT : CALL(state, connect_result, fd);
}

static int shutdown_write(void *state, int fd)
{
    return fails(state, "shutdown", ENOTCONN) ? -1 : CALL(state, shutdown_write, fd);
}

static ssize_t splice_on(void *state, int from, int to, size_t len)
{
    return fails(state, "splice", EPIPE) ? -1 : CALL(state, splice, from, to, len);
}

static int close_fd(void *state, int fd)
{
    return CALL(state, close, fd);
}

static void torture_init(struct torture *torture, uint64_t fail_at)
{
    *torture = (struct torture){
        .io = {torture, now_ns, wall_ns, seed, watch, watch_level, unwatch, wait_for, receive,
               send_parts, accept_one, connect_to, connect_result, shutdown_write, splice_on,
               close_fd},
        .kernel = io_kernel_new(),
        .fail_at = fail_at,
    };
}

/* -- the scenarios -- */

enum {
    TWICE = 1,          /* the same request again on the same connection */
    BACKEND_CLOSES = 2, /* behind its answer */
    BACKEND_RESETS = 4, /* instead of an answer */
    CLIENT_LEAVES = 8,  /* once the backend has the request */
    RETRIES = 16,       /* the route has a retry policy */
    CLIENT_HALF = 32,   /* FIN behind the request */
    BIG_UP = 64,        /* so many bytes behind the request's head */
    BIG_DOWN = 128,     /* and behind the answer's */
    TUNNEL = 256,       /* the backend echoes what comes behind its 101 */
    ADOPTS = 512,       /* another snapshot in the middle */
    NO_BACKEND = 1024,  /* the gateway answers */
    MIRRORS = 2048,     /* each request goes to the backend twice */
    ASKS = 4096,        /* the backend is asked about each request first */
};

#define OK    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CHUNK "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"

static const struct scenario {
    const char *name, *request, *answer;
    size_t request_len; /* 0: a string */
    uint32_t how;
} SCENARIOS[] = {
    {"get", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, 0},
    {"keep-alive", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, TWICE},
    {"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", OK, 0, 0},
    {"old", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", OK, 0, 0},
    {"head", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ok\r\nContent-Length: 9\r\n\r\n",
     0, TWICE},
    {"post", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", OK, 0, TWICE},
    {"chunked",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     CHUNK "\r\n", 0, 0},
    {"trailers",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: "
     "1\r\n\r\n",
     CHUNK "Y: 2\r\n\r\n", 0, 0},
    {"pipeline", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, 0},
    {"until close", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nok", 0,
     BACKEND_CLOSES},
    {"expect",
     "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", OK, 0,
     0},
    {"reset", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", 0, BACKEND_RESETS},
    {"retry", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nok",
     0, RETRIES},
    {"gone", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, CLIENT_LEAVES},
    {"half closed", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, CLIENT_HALF},
    {"big up", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n", OK, 0, BIG_UP},
    {"big down", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", 0, BIG_DOWN},
    {"tunnel", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: t\r\n\r\nping",
     "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: t\r\n\r\nok", 0, TUNNEL | BACKEND_CLOSES},
    {"refused", "GET /\r\n\r\n", "", 0, NO_BACKEND},
    {"another snapshot", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, TWICE | ADOPTS},
    {"mirror", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, TWICE | MIRRORS},
    {"mirror of a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n", OK, 0,
     BIG_UP | MIRRORS},
    {"ask", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK, 0, TWICE | ASKS},
    {"ask with a body",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", OK,
     0, ASKS},
    {"h2",
     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\6\1\5\0\0\0\1\x82\x84\x86\x41\1a", OK,
     24 + 9 + 9 + 6, 0},
};

struct play {
    const struct scenario *scenario;
    struct torture torture;
    struct rig rig;
    struct rig_peer client, backends[BACKEND_PEERS];
    size_t sent, answered[BACKEND_PEERS], up_left; /* of a big body */
    bool has_answered[BACKEND_PEERS];
};

static void play_open(struct play *play, const struct scenario *scenario, uint64_t fail_at)
{
    static uint16_t codes[] = {503};
    memset(play, 0, sizeof(*play));
    play->scenario = scenario;
    rig_open(&play->rig, 1);
    play->rig.connect_timeout_ms = 200;
    play->rig.request_timeout_ms = 2000;
    if (scenario->how & RETRIES)
        play->rig.retry =
            (struct retry_policy){.attempts = 2, .codes = codes, .code_count = 1, .backoff_ms = 1};
    if (scenario->how & MIRRORS)
        play->rig.make_filters = rig_mirroring;
    if (scenario->how & ASKS)
        play->rig.make_filters = rig_asking_with_body;
    torture_init(&play->torture, 0);
    struct worker_options options = {
        .io = &play->torture.io, .access_log = "off", .node = TEXT("node-1")};
    play->rig.worker = worker_new(&options);
    assert_non_null(play->rig.worker);
    struct worker_socket socket = {.fd = rig_listen(&play->rig.address)};
    socket.address = play->rig.address;
    struct snapshot *snapshot = rig_snapshot(&play->rig);
    worker_adopt(play->rig.worker, snapshot, &socket, 1);
    snapshot_unref(snapshot);
    play->torture.calls = 0;
    play->torture.fail_at = fail_at;
}

/* What the backends do: take whoever comes, answer each whole head once. */
static bool serve(struct play *play, const char *answer)
{
    bool has_moved = false;
    const uint32_t how = play->scenario->how;
    for (int i = 0; i < BACKEND_PEERS; i++) {
        struct rig_peer *peer = &play->backends[i];
        if (peer->fd < 0)
            peer->fd = accept4(play->rig.listening[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer->fd < 0)
            break;
        size_t before = peer->got.len;
        rig_read(peer);
        has_moved = has_moved || peer->got.len > before;
        size_t want = how & BIG_UP ? BIG : 4;
        if (play->has_answered[i] || peer->ended || peer->got.len < want ||
            !rig_has(peer, "\r\n\r\n"))
            continue;
        play->has_answered[i] = (how & TWICE) == 0;
        has_moved = true;
        if (how & BACKEND_RESETS) {
            struct linger hard = {.l_onoff = 1};
            setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
            rig_close_peer(peer);
            continue;
        }
        if (how & CLIENT_LEAVES && play->client.fd >= 0)
            rig_close_peer(&play->client);
        (void)!send(peer->fd, answer, strlen(answer), MSG_NOSIGNAL);
        builder_clear(&peer->got);
        play->answered[i] = how & BIG_DOWN ? BIG : 0;
        if (how & BACKEND_CLOSES)
            shutdown(peer->fd, SHUT_WR);
    }
    return has_moved;
}

/* Bytes of big bodies, as sockets take them. */
static bool push(int fd, size_t *left)
{
    static char bytes[32768];
    ssize_t sent =
        *left == 0 || fd < 0 ? 0 : send(fd, bytes, MIN(*left, sizeof(bytes)), MSG_NOSIGNAL);
    if (sent > 0)
        *left -= (size_t)sent;
    return sent > 0;
}

static bool turn(struct play *play, const char *answer)
{
    loop_turn(play->rig.worker->loop, 1);
    bool has_moved = serve(play, answer);
    has_moved |= push(play->client.fd, &play->up_left);
    for (int i = 0; i < BACKEND_PEERS; i++)
        has_moved |= push(play->backends[i].fd, &play->answered[i]);
    size_t before = play->client.got.len;
    if (play->client.fd >= 0)
        rig_read(&play->client);
    return has_moved || play->client.got.len > before;
}

static void ask(struct play *play)
{
    const struct scenario *scenario = play->scenario;
    size_t len = scenario->request_len == 0 ? strlen(scenario->request) : scenario->request_len;
    (void)!send(play->client.fd, scenario->request, len, MSG_NOSIGNAL);
    play->up_left = scenario->how & BIG_UP ? BIG : 0;
    if (scenario->how & CLIENT_HALF)
        shutdown(play->client.fd, SHUT_WR);
    for (int idle = 0; idle < IDLE_TURNS && !play->client.ended;)
        idle = turn(play, scenario->answer) ? 0 : idle + 1;
}

/* A client of its own, whatever happened before: with patience, since a listener that ran out of
 * descriptors takes a moment. */
static void check_next(struct play *play)
{
    static const struct scenario plain = {.name = "next",
                                          .request = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
                                          .how = TWICE}; /* what went before may still come */
    const struct scenario *tortured = play->scenario;
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    rig_close_peer(&play->client);
    play->scenario = &plain;
    memset(play->has_answered, 0, sizeof(play->has_answered));
    memset(play->answered, 0, sizeof(play->answered));
    for (int i = 0; i < BACKEND_PEERS; i++) {
        rig_close_peer(&play->backends[i]);
        play->backends[i].ended = false;
    }
    play->client = rig_connect(&play->rig);
    (void)!send(play->client.fd, plain.request, strlen(plain.request), MSG_NOSIGNAL);
    while (!rig_has(&play->client, "\r\n\r\nok")) {
        if (play->client.ended || clock_monotonic_ns() > until)
            fail_msg("scenario \"%s\", call %llu (%s): the next request got \"%.*s\"",
                     tortured->name, (unsigned long long)play->torture.fail_at,
                     play->torture.failed, (int)play->client.got.len, play->client.got.data);
        (void)turn(play, OK);
    }
    play->scenario = tortured;
}

static void play_close(struct play *play)
{
    rig_close_peer(&play->client);
    for (int i = 0; i < BACKEND_PEERS; i++)
        rig_close_peer(&play->backends[i]);
    play->torture.fail_at = 0;
    rig_close(&play->rig);
    io_kernel_free(play->torture.kernel);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Without a failure: the end of the answer is there, whatever the protocol. */
static void check_answer(const struct play *play)
{
    const uint32_t how = play->scenario->how;
    const struct rig_peer *client = &play->client;
    bool is_right = how & CLIENT_LEAVES    ? client->got.len == 0
                    : how & BACKEND_RESETS ? rig_has(client, "502 Bad Gateway")
                    : how & NO_BACKEND     ? rig_has(client, "400 Bad Request")
                    : how & BIG_DOWN       ? client->got.len > BIG
                                           : rig_has(client, "ok");
    if (!is_right)
        fail_msg("scenario \"%s\" got \"%.*s\"", play->scenario->name, (int)client->got.len,
                 client->got.data);
}

/* How many calls the scenario makes; *ret_failed the one that failed. */
static uint64_t run(const struct scenario *scenario, uint64_t fail_at)
{
    struct play play;
    int before = open_descriptors();
    play_open(&play, scenario, fail_at);
    for (int i = 0; i < BACKEND_PEERS; i++)
        play.backends[i].fd = -1;
    play.client = rig_connect(&play.rig);
    ask(&play);
    if (scenario->how & ADOPTS) {
        struct snapshot *snapshot = rig_snapshot(&play.rig);
        worker_adopt(play.rig.worker, snapshot, NULL, 0);
        snapshot_unref(snapshot);
    }
    if (scenario->how & TWICE && !play.client.ended)
        ask(&play);
    uint64_t calls = play.torture.calls;
    if (fail_at == 0)
        check_answer(&play);
    check_next(&play);
    play_close(&play);
    if (open_descriptors() != before)
        fail_msg("scenario \"%s\", call %llu: descriptors leak", scenario->name,
                 (unsigned long long)fail_at);
    return calls;
}

static void each_call_fails_once_and_the_next_request_is_answered(void **state)
{
    char *const *words = *state;
    uint64_t all = 0, only = 0;
    for (size_t i = 0; i < ARRAY_LEN(SCENARIOS); i++) {
        if (words[0] != NULL && strcmp(words[0], SCENARIOS[i].name) != 0)
            continue;
        if (words[0] != NULL && words[1] != NULL && text_to_u64(text_of(words[1]), &only)) {
            run(&SCENARIOS[i], only);
            continue;
        }
        uint64_t calls = run(&SCENARIOS[i], 0);
        for (uint64_t at = 1; at <= calls; at++)
            run(&SCENARIOS[i], at);
        all += calls;
    }
    print_message("%llu calls failed in %zu scenarios\n", (unsigned long long)all,
                  ARRAY_LEN(SCENARIOS));
}

int main(int argc, char **argv)
{
    (void)argc;
    char *const *words = argv + 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(each_call_fails_once_and_the_next_request_is_answered,
                                  (void *)(uintptr_t)words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
