/* An HTTP/2 client and server of ours in one loop: what each end says and hears is counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/h2_side.h"

static inline void pair_on_stream(void *owner, struct http_stream *stream)
{
    struct pair *pair = owner;
    struct side *side = &pair->served[pair->served_count++ % PAIR_SIDES];
    assert_null(side->stream);
    *side = (struct side){.pair = pair, .stream = stream, .serving = true};
    http_stream_own(stream, &PAIR_STREAM, side);
}

static inline void pair_on_ready(void *owner, struct http_connection *connection)
{
    (void)connection;
    ((struct pair *)owner)->ready++;
}

static inline void pair_on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct pair *pair = owner;
    if (connection->serving) {
        pair->server_closed++;
        pair->server_err = err;
        pair->server = NULL;
        return;
    }
    pair->client_closed++;
    pair->client_err = err;
    pair->client = NULL;
    snprintf(pair->client_why, sizeof(pair->client_why), "%s",
             connection->why == NULL ? "" : connection->why);
}

static const struct http_connection_events PAIR_EVENTS = {
    .on_stream = pair_on_stream,
    .on_ready = pair_on_ready,
    .on_closed = pair_on_closed,
};

static inline void pair_on_accept(void *owner, int fd, const struct address *peer)
{
    struct pair *pair = owner;
    pair->server = http_serve(pair->loop, fd, peer, pair->server_tls, &pair->server_settings,
                              &PAIR_EVENTS, pair);
    assert_non_null(pair->server);
}

static inline struct tls_certificate *pair_pick(void *owner, const struct tls_hello *hello,
                                                struct tls_context **ret_rules)
{
    const struct http_connection *connection = owner;
    (void)hello, (void)ret_rules;
    return ((struct pair *)connection->owner)->certificate;
}

static inline void pair_use_tls(struct pair *pair)
{
    static const char *const alpn[] = {"h2", "http/1.1", NULL};
    const char *why = NULL;
    pair->authority = test_identity_new(NULL, "authority", NULL, 10);
    pair->leaf = test_identity_new(&pair->authority, "leaf", "DNS:a.example", 10);
    pair->certificate =
        tls_certificate_new(text_of(pair->leaf.chain_pem), text_of(pair->leaf.key_pem), &why);
    assert_non_null(pair->certificate);
    const struct tls_server_options server = {.pick = pair_pick, .alpn = alpn};
    const struct tls_client_options client = {.ca_pem = text_of(pair->authority.chain_pem),
                                              .alpn = alpn};
    pair->server_tls = tls_server_new(&server, &why);
    pair->client_tls = tls_client_new(&client, &why);
    assert_true(pair->server_tls != NULL && pair->client_tls != NULL);
}

static inline void pair_connect(struct pair *pair)
{
    struct text name = pair->client_tls == NULL ? TEXT_NONE : TEXT("a.example");
    pair->ready = pair->client_closed = 0;
    pair->client = http_connect(pair->loop, &pair->address, pair->client_tls, name, 5000,
                                &pair->settings, &PAIR_EVENTS, pair);
    PAIR_UNTIL(pair, pair->ready > 0 && pair->server != NULL);
    assert_int_equal(pair->client->version, 20);
}

static inline struct pair *pair_new(bool tls)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    struct address any;
    assert_true(address_parse(TEXT("127.0.0.1"), 0, &any));
    pair->loop = loop_new(NULL);
    pair->settings.version = tls ? HTTP_AUTO : HTTP_2;
    pair->server_settings.allow_h2 = true;
    if (tls)
        pair_use_tls(pair);
    int fd = listener_open(&any, false);
    assert_true(fd >= 0);
    pair->address = listener_local(fd);
    pair->listener.owner = pair;
    pair->listener.on_accept = pair_on_accept;
    assert_true(listener_start(&pair->listener, pair->loop, fd));
    pair_connect(pair);
    return pair;
}

static inline void pair_free(struct pair *pair)
{
    if (pair->client != NULL)
        http_close(pair->client, ERR_NONE);
    if (pair->server != NULL)
        http_close(pair->server, ERR_NONE);
    listener_close(&pair->listener);
    loop_turn(pair->loop, 0);
    for (size_t i = 0; i < PAIR_SIDES; i++)
        assert_true(pair->called[i].stream == NULL && pair->served[i].stream == NULL);
    assert_int_equal(loop_buffers(pair->loop)->lent_bytes, 0);
    if (pair->server_tls != NULL) {
        tls_context_unref(pair->server_tls);
        tls_context_unref(pair->client_tls);
        tls_certificate_unref(pair->certificate);
        test_identity_free(&pair->leaf);
        test_identity_free(&pair->authority);
    }
    loop_free(pair->loop);
    free(pair);
}

/* A request with `len` bytes of body; NULL when the connection carries no more. */
static inline struct side *pair_try(struct pair *pair, const char *method, const char *path,
                                    uint64_t len, bool trailers)
{
    struct message head;
    struct http_stream *stream = http_open(pair->client);
    if (stream == NULL)
        return NULL;
    struct side *side = &pair->called[pair->called_count++ % PAIR_SIDES];
    assert_null(side->stream);
    *side = (struct side){.pair = pair, .stream = stream, .to_send = len};
    side->want_trailers = trailers;
    http_stream_own(stream, &PAIR_STREAM, side);
    message_init(&head);
    head.method_name = text_of(method);
    head.method = message_method(head.method_name);
    head.authority = head.host = TEXT("a.example");
    head.path = text_of(path);
    head.framing = len == 0 ? FRAMING_NONE : trailers ? FRAMING_CHUNKED : FRAMING_LENGTH;
    head.content_length = len;
    side->ended = len == 0 && !trailers;
    http_stream_send_head(stream, &head, side->ended);
    if (!side->ended)
        side_push(side);
    return side;
}

static inline struct side *pair_call(struct pair *pair, const char *method, const char *path,
                                     uint64_t len)
{
    struct side *side = pair_try(pair, method, path, len, false);
    assert_non_null(side);
    return side;
}
