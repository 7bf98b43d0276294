/* Routes without a request: the route table is asked for "/" of the server name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/session.h"

#include "base/hash.h"
#include "data/snapshot/route_table.h"

void session_init(struct exchange *x, struct message *request, struct proxy *proxy)
{
    message_init(request);
    request->method_name = TEXT("-");
    *x = (struct exchange){
        .lease = lease_take(proxy->lease),
        .worker = proxy->worker,
        .loop = proxy->loop,
        .request = request,
        .started_ns = loop_now_ns(proxy->loop),
        .snapshot_number = (uint32_t)proxy->lease->snapshot->number,
    };
}

static bool refuse(struct exchange *x, enum response_flag flag, const char *details)
{
    x->flag = flag;
    x->details = details;
    return false;
}

bool session_route(struct exchange *x, struct listener_config *listener, struct text server_name)
{
    struct message asked;
    message_init(&asked);
    asked.method = METHOD_GET;
    asked.method_name = TEXT("GET");
    asked.host = asked.authority = server_name;
    asked.path = TEXT("/");
    x->listener = listener;
    x->hit.route = NULL;
    x->backend = NULL;
    if (listener == NULL || !route_table_match(listener->routes, &asked, NULL, &x->hit)) {
        x->hit.route = NULL;
        return refuse(x, FLAG_NR, listener == NULL ? "listener_not_found" : "route_not_found");
    }
    const struct route *route = x->hit.route;
    if (route->weight_sum == 0 || route->backend_count == 0)
        return refuse(x, FLAG_NC, "backend_invalid");
    uint64_t at = random_below(loop_random(x->loop), route->weight_sum);
    uint32_t i = 0;
    while (i + 1 < route->backend_count && at >= route->backends[i].weight_end)
        i++;
    x->backend = &route->backends[i];
    return true;
}

struct backend *session_backend(struct exchange *x)
{
    const struct backend_table *table = x->lease->snapshot->backends;
    struct backend *backend = x->backend->slot < backend_table_slots(table)
                                  ? backend_table_get(table, x->backend->slot)
                                  : NULL;
    if (backend == NULL)
        (void)refuse(x, FLAG_NC, "backend_invalid");
    else if (backend->fail_status != 0)
        (void)refuse(x, FLAG_NC, "backend_unusable");
    else
        return backend;
    return NULL;
}

void session_ask(const struct backend *backend, const struct address *client,
                 struct balancer_ask *ret_ask)
{
    char text[ADDRESS_TEXT_MAX];
    *ret_ask = (struct balancer_ask){.has_hash = false};
    if (backend->table == NULL || backend->hash_key != HASH_CLIENT_ADDRESS)
        return;
    ret_ask->has_hash = true;
    ret_ask->hash = hash_stable(address_format_host(client, text));
}

void session_finish(struct exchange *x, struct proxy *proxy, const struct session_end *end)
{
    char peer[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX];
    access_log_write(&proxy->log, &(struct access_log_entry){
                                      .x = x,
                                      .protocol = end->protocol,
                                      .ended_ns = loop_now_ns(x->loop),
                                      .ended_wall_ns = loop_wall_ns(x->loop),
                                      .peer = address_format(end->peer, peer),
                                      .local = address_format(end->local, local),
                                      .server_name = end->server_name,
                                      .tls_version = end->tls_version,
                                      .termination = end->termination,
                                  });
    metrics_session_end(proxy->metrics, x);
    lease_drop(x->lease);
    x->lease = NULL;
}
