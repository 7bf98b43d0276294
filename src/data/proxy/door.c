/* Addresses that a worker listens on, and how many clients came in by each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "data/proxy/proxy.h"

void proxy_door_init(struct proxy_door *door, struct proxy *proxy, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    *door = (struct proxy_door){.proxy = proxy, .address = *address};
    int len = snprintf(door->port_text, sizeof(door->port_text), "%u", address_port(address));
    door->port = text_from(door->port_text, (size_t)len);
    door->metrics = metrics_door_of(proxy->metrics, address_format(address, text));
}

void proxy_door_bind(struct proxy_door *door, const struct binding *binding)
{
    door->binding = binding;
    if (binding == NULL)
        return;
    struct listener_limits limits = {0};
    if (binding->listener_count > 0)
        limits = binding->listeners[0]->limits;
    door->settings = (struct http_settings){
        .header_ms = limits.header_ms,
        .idle_ms = limits.idle_ms,
        .body_ms = limits.body_ms,
        .version = HTTP_AUTO,
        .allow_h2 = true,
        .merge_slashes = true,
        .proxy_protocol = binding->listener_count > 0 && binding->listeners[0]->proxy_protocol,
        .chooser = door,
    };
}

void proxy_door_enter(struct proxy_door *door)
{
    door->connections++;
    metrics_add(&door->metrics->opened, 1);
}

void proxy_door_leave(struct proxy_door *door)
{
    metrics_add(&door->metrics->closed, 1);
    door->connections--;
    if (door->connections == 0 && door->is_closed && door->on_empty != NULL)
        door->on_empty(door);
}
