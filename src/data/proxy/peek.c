/* Reads until the client hello is whole, then hands the connection on with what was read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/peek.h"

#include <stdlib.h>

#include "base/memory.h"
#include "data/proxy/tunnel.h"
#include "net/client_hello.h"

#define READ_BYTES 4096

struct peek {
    struct proxy_door *door;
    struct peek *next, *previous;
    struct stream stream;
    struct buffer bytes;
    struct timer deadline;
    peek_https on_https;
};

static void finish(struct peek *peek)
{
    struct proxy_door *door = peek->door;
    struct proxy *proxy = door->proxy;
    loop_disarm(proxy->loop, &peek->deadline);
    stream_close(&peek->stream);
    buffer_fini(&peek->bytes);
    if (peek->previous != NULL)
        peek->previous->next = peek->next;
    else
        proxy->peeks = peek->next;
    if (peek->next != NULL)
        peek->next->previous = peek->previous;
    proxy->tunnel_count--;
    free(peek);
    proxy_door_leave(door);
}

/* Closed without an alert, as the Gateway API asks for names that nobody serves. */
static void refuse(struct peek *peek, const char *reason)
{
    metrics_door_refused(peek->door->metrics, reason);
    finish(peek);
}

static void on_deadline(void *owner)
{
    refuse(owner, "tls_hello_timeout");
}

static void hand_on(struct peek *peek, const struct client_hello *hello)
{
    struct proxy_door *door = peek->door;
    struct text name = text_from(hello->server_name, hello->server_name_len);
    struct listener_config *listener =
        door->binding == NULL ? NULL : binding_listener(door->binding, name);
    if (listener == NULL) {
        refuse(peek, "tls_name_unknown");
        return;
    }
    struct text early = buffer_text(&peek->bytes);
    if (listener->protocol == LISTENER_HTTPS)
        peek->on_https(door, &peek->stream, early);
    else
        tunnel_take_over(door, &peek->stream, early, listener, name);
    finish(peek);
}

static void read_hello(struct peek *peek)
{
    struct client_hello hello;
    while (peek->stream.read_ready) {
        enum err err = stream_read(&peek->stream, &peek->bytes, READ_BYTES);
        if (err == ERR_AGAIN)
            return;
        if (err != ERR_NONE) {
            refuse(peek, "tls_hello_missing");
            return;
        }
        err = client_hello_parse(buffer_text(&peek->bytes), &hello);
        if (err == ERR_NONE) {
            hand_on(peek, &hello);
            return;
        }
        if (err != ERR_AGAIN) {
            refuse(peek, "tls_hello_invalid");
            return;
        }
    }
}

static void on_event(void *owner, uint32_t events)
{
    struct peek *peek = owner;
    if ((events & STREAM_FAILED) != 0) {
        refuse(peek, "proxy_protocol");
        return;
    }
    if ((events & STREAM_CONNECTED) != 0)
        loop_arm(peek->door->proxy->loop, &peek->deadline, LIMIT_HANDSHAKE_MS);
    if ((events & STREAM_READABLE) != 0)
        read_hello(peek);
}

void peek_begin(struct proxy_door *door, int fd, const struct address *peer, peek_https on_https)
{
    struct proxy *proxy = door->proxy;
    struct peek *peek = memory_new(struct peek);
    uint32_t header_ms = door->settings.header_ms;
    peek->door = door;
    peek->on_https = on_https;
    peek->stream.owner = peek;
    peek->stream.on_event = on_event;
    buffer_init(&peek->bytes, loop_buffers(proxy->loop));
    timer_init(&peek->deadline, peek, on_deadline);
    peek->next = proxy->peeks;
    if (peek->next != NULL)
        peek->next->previous = peek;
    proxy->peeks = peek;
    proxy->tunnel_count++;
    proxy_door_enter(door);
    enum err err = door->settings.proxy_protocol
                       ? stream_accept_proxied(&peek->stream, proxy->loop, fd, peer, NULL,
                                               header_ms == 0 ? LIMIT_HEADER_MS : header_ms)
                       : stream_accept(&peek->stream, proxy->loop, fd, peer, NULL);
    if (err != ERR_NONE)
        finish(peek);
}

void peek_close_all(struct proxy *proxy)
{
    while (proxy->peeks != NULL)
        finish(proxy->peeks);
}
