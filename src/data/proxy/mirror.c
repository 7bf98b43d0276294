/* A copy is an exchange of its own around a call: arena, lease, a body that waits here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/mirror.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "data/proxy/transfer.h"

struct mirror {
    struct arena arena;
    struct exchange x; /* holds a lease */
    struct route policy;
    struct message request, trailers;
    struct call call;
    struct proxy *proxy;
    struct buffer body; /* not yet taken by its backend */
    bool body_ended, is_end_sent, is_over;
    struct timer timer;           /* from the request's end on */
    struct defer grave;           /* nothing is freed under a caller's feet */
    struct transfer *feeder;      /* NULL: the body is complete, or nobody's any more */
    struct mirror *next_fed;      /* of the same feeder */
    struct mirror *next, *before; /* of the worker */
};

/* -- its end -- */

static void bury(void *owner)
{
    struct mirror *m = owner;
    lease_drop(m->x.lease);
    arena_fini(&m->arena);
    free(m);
}

static void leave_feeder(struct mirror *m)
{
    if (m->feeder == NULL)
        return;
    struct mirror **at = &m->feeder->mirrors;
    while (*at != m)
        at = &(*at)->next_fed;
    *at = m->next_fed;
    m->feeder = NULL;
}

static void end(struct mirror *m, enum metrics_mirror result)
{
    struct proxy *proxy = m->proxy;
    if (m->is_over)
        return;
    m->is_over = true;
    metrics_add(&proxy->metrics->mirrors[result], 1);
    leave_feeder(m);
    loop_disarm(proxy->loop, &m->timer);
    call_cancel(&m->call);
    proxy->mirror_bytes -= buffer_len(&m->body);
    buffer_fini(&m->body);
    if (m->before != NULL)
        m->before->next = m->next;
    else
        proxy->mirrors = m->next;
    if (m->next != NULL)
        m->next->before = m->before;
    proxy->mirror_count--;
    loop_defer(proxy->loop, &m->grave);
}

static void on_timer(void *owner)
{
    struct mirror *m = owner;
    end(m, MIRROR_FAILED);
}

/* -- its body -- */

static void send_body(struct mirror *m)
{
    if (m->is_over || m->call.stream == NULL)
        return;
    struct text rest = buffer_text(&m->body);
    if (rest.len > 0) {
        size_t taken = call_write(&m->call, rest, false);
        m->proxy->mirror_bytes -= taken;
        buffer_consume(&m->body, taken);
    }
    if (buffer_len(&m->body) > 0 || !m->body_ended || m->is_end_sent)
        return;
    m->is_end_sent = true;
    if (m->trailers.field_count > 0)
        call_send_trailers(&m->call, &m->trailers);
    else
        (void)call_write(&m->call, TEXT_NONE, true);
}

static void keep(struct mirror *m, struct text bytes)
{
    if (m->is_over)
        return;
    if (buffer_len(&m->body) + bytes.len > LIMIT_MIRROR_BODY ||
        m->proxy->mirror_bytes + bytes.len > LIMIT_MIRROR_BYTES) {
        end(m, MIRROR_SLOW);
        return;
    }
    buffer_add(&m->body, bytes.data, bytes.len);
    m->proxy->mirror_bytes += bytes.len;
    send_body(m);
}

void mirror_feed(struct transfer *t, struct text bytes)
{
    struct mirror *next;
    for (struct mirror *m = t->mirrors; m != NULL && bytes.len > 0; m = next) {
        next = m->next_fed;
        keep(m, bytes);
    }
}

void mirror_feed_end(struct transfer *t, const struct message *trailers)
{
    while (t->mirrors != NULL) {
        struct mirror *m = t->mirrors;
        leave_feeder(m);
        m->body_ended = true;
        message_copy(&m->trailers, trailers, &m->arena);
        loop_arm(m->x.loop, &m->timer, LIMIT_MIRROR_ANSWER_MS);
        send_body(m);
    }
}

void mirror_leave(struct transfer *t)
{
    while (t->mirrors != NULL)
        end(t->mirrors, MIRROR_CUT);
}

void mirror_close_all(struct proxy *proxy)
{
    while (proxy->mirrors != NULL)
        end(proxy->mirrors, MIRROR_CUT);
}

/* -- what its call tells -- */

static void on_sent(void *owner)
{
    send_body(owner);
}

static void on_informational(void *owner, struct message *head)
{
    (void)owner, (void)head;
}

static void on_readable(void *owner)
{
    struct mirror *m = owner;
    struct http_stream *from = m->call.stream;
    struct text bytes;
    if (from == NULL)
        return;
    while ((bytes = http_stream_peek(from)).len > 0)
        http_stream_consume(from, bytes.len);
    if (from->read_ended)
        end(m, MIRROR_ANSWERED);
}

static void on_head(void *owner, struct message *head, bool is_end)
{
    (void)head;
    if (is_end)
        end(owner, MIRROR_ANSWERED);
    else
        on_readable(owner);
}

static void on_retry(void *owner, int status)
{
    (void)owner, (void)status;
}

static void on_failed(void *owner, enum err err, enum response_flag flag, const char *details)
{
    (void)err, (void)flag, (void)details;
    end(owner, MIRROR_FAILED);
}

static const struct call_events EVENTS = {
    .on_sent = on_sent,
    .on_informational = on_informational,
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_sent,
    .on_retry = on_retry,
    .on_failed = on_failed,
};

/* -- its beginning -- */

static struct mirror *make(struct transfer *t)
{
    struct proxy *proxy = t->proxy;
    struct mirror *m = memory_new(struct mirror);
    arena_init(&m->arena, 0);
    m->proxy = proxy;
    m->policy.retry.once = true;
    exchange_beside(&m->x, &t->x, &m->arena, &m->policy);
    lease_take(m->x.lease);
    message_copy(&m->request, t->x.request, &m->arena);
    m->request.expect_continue = false; /* the request itself waits for it */
    m->x.request = &m->request;
    buffer_init(&m->body, loop_buffers(proxy->loop));
    timer_init(&m->timer, m, on_timer);
    defer_init(&m->grave, m, bury);
    m->next = proxy->mirrors;
    if (m->next != NULL)
        m->next->before = m;
    proxy->mirrors = m;
    proxy->mirror_count++;
    return m;
}

static void start(struct transfer *t, struct backend *backend)
{
    struct mirror *m = make(t);
    if (t->request_ended) {
        m->body_ended = m->is_end_sent = true;
        loop_arm(m->x.loop, &m->timer, LIMIT_MIRROR_ANSWER_MS);
    } else {
        m->feeder = t;
        m->next_fed = t->mirrors;
        t->mirrors = m;
    }
    call_start(&m->call, &(struct call_request){
                             .x = &m->x,
                             .pools = &m->proxy->pools,
                             .backend = backend,
                             .request_ends = t->request_ended,
                             .events = &EVENTS,
                             .owner = m,
                         });
}

void mirror_begin(struct transfer *t)
{
    struct metrics *metrics = t->proxy->metrics;
    const struct backend_table *table = t->x.lease->snapshot->backends;
    if (t->x.request->wants_upgrade)
        return; /* what follows is a conversation, and there is one client */
    for (const struct exchange_copy *copy = t->x.copies; copy != NULL; copy = copy->next) {
        struct backend *backend =
            copy->slot < backend_table_slots(table) ? backend_table_get(table, copy->slot) : NULL;
        if (t->proxy->mirror_count >= LIMIT_MIRRORS || t->proxy->pressure > PRESSURE_NONE)
            metrics_add(&metrics->mirrors[MIRROR_OVERFLOW], 1);
        else if (backend == NULL || backend->fail_status != 0)
            metrics_add(&metrics->mirrors[MIRROR_FAILED], 1);
        else
            start(t, backend);
    }
}
