/* Where a request goes: its listener, its route, one of the route's backends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "data/proxy/respond.h"
#include "data/proxy/transfer.h"

/* The one that the client's session is with, if it still has a share. */
static const struct weighted_backend *backend_of_session(struct transfer *t)
{
    const struct route *route = t->x.hit.route;
    for (uint32_t i = 0; t->session.is_known && i < route->backend_count; i++) {
        const struct weighted_backend *backend = &route->backends[i];
        if (backend->weight > 0 && backend->slot != BACKEND_NONE &&
            hash_stable(backend->name) == t->session.backend)
            return backend;
    }
    return NULL;
}

/* By weight among the route's backends; an invalid reference keeps its share and gets 500. */
const struct weighted_backend *transfer_choose(struct transfer *t)
{
    struct exchange *x = &t->x;
    const struct route *route = x->hit.route;
    if (UNLIKELY(route->session != NULL))
        session_read(&t->session, route->session, x);
    if (route->weight_sum == 0 || route->backend_count == 0)
        return NULL;
    if (route->backend_count == 1)
        return &route->backends[0];
    if (UNLIKELY(route->session != NULL)) {
        const struct weighted_backend *known = backend_of_session(t);
        if (known != NULL)
            return known;
    }
    uint64_t at = random_below(loop_random(x->loop), route->weight_sum);
    uint32_t i = 0;
    while (i + 1 < route->backend_count && at >= route->backends[i].weight_end)
        i++;
    return &route->backends[i];
}

struct backend *transfer_backend(const struct exchange *x)
{
    const struct backend_table *table = x->lease->snapshot->backends;
    if (x->backend == NULL || x->backend->slot >= backend_table_slots(table))
        return NULL;
    return backend_table_get(table, x->backend->slot);
}

static bool is_named_method(const struct exchange *x)
{
    enum method method = x->request->method;
    if (method != METHOD_TRACE && method != METHOD_CONNECT &&
        !text_is(x->request->method_name, "PRI"))
        return true;
    return x->hit.route != NULL && x->hit.match->method.len > 0;
}

/* RFC 9110 7.4: over TLS a request is served only by the listener whose certificate was shown. */
static bool is_misdirected(const struct exchange *x)
{
    const struct stream *stream = &x->client->connection->stream;
    return stream->tls != NULL && x->listener != NULL &&
           binding_listener(x->binding, stream_server_name(stream)) != x->listener;
}

/* Little memory is left: this request ends its connection, or is not served at all. */
static bool is_shed(struct transfer *t)
{
    if (LIKELY(t->proxy->pressure == PRESSURE_NONE))
        return false;
    http_drain(t->x.client->connection, 0);
    if (t->proxy->pressure < PRESSURE_FULL)
        return false;
    respond_failure(&t->x, ERR_LIMIT, FLAG_OM, NULL);
    return true;
}

bool transfer_find_route(struct transfer *t)
{
    struct exchange *x = &t->x;
    if (x->binding != NULL)
        x->listener = binding_listener(x->binding, x->request->host);
    if (x->listener != NULL) {
        metrics_request_begin(t->proxy->metrics, x->listener);
        if (route_table_match(x->listener->routes, x->request, NULL, &x->hit))
            route_prefetch(x->hit.route);
        else
            x->hit.route = NULL;
    }
    if (UNLIKELY(!is_named_method(x))) {
        if (x->request->version < 20) /* what follows would be no request */
            http_drain(x->client->connection, 0);
        respond_status(x, 405, FLAG_NONE, "method_not_allowed", "This method is not served.\n");
        return false;
    }
    if (UNLIKELY(x->listener != NULL && x->listener->unusable != NULL)) {
        respond_status(x, 500, FLAG_NC, x->listener->unusable, "The listener cannot be used.\n");
        return false;
    }
    if (UNLIKELY(is_misdirected(x))) {
        respond_status(x, 421, FLAG_NR, "misdirected_request",
                       "Another listener serves this host: connect to it by its name.\n");
        return false;
    }
    if (LIKELY(x->hit.route != NULL)) {
        metrics_route_known(t->proxy->metrics, x->hit.route);
        return !is_shed(t);
    }
    respond_failure(x, ERR_NONE, FLAG_NR, x->listener == NULL ? "listener_not_found" : NULL);
    return false;
}
