/* spec.addresses against what there is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/addresses.h"

#include "control/kind/format.h"
#include "control/kind/service.h"
#include "control/store/parameters.h"
#include "control/translate/endpoints.h"
#include "control/translate/listeners.h"

static bool has_address(const struct gateway_view *view, struct text value)
{
    for (size_t i = 0; i < view->address_count; i++) {
        if (text_equal(view->addresses[i].value, value))
            return true;
    }
    return false;
}

static void add_address(struct gateway_view *view, const char *type, struct text value)
{
    if (!has_address(view, value))
        view->addresses[view->address_count++] =
            (struct status_address){type, arena_text(&view->arena, value)};
}

/* The Service in front of the data planes of its class, or of its own; NULL: there is none. */
static const struct kind_object *front_of(struct translation *t, const struct kind_object *object,
                                          bool is_shared)
{
    if (is_shared) {
        const struct kind_object *class =
            store_get(t->store, KIND_GATEWAY_CLASS, TEXT_NONE, object->gateway->class_name);
        return parameters_front(t->store, class);
    }
    struct store_list list = store_list_namespace(t->store, KIND_SERVICE, object->meta.namespace);
    for (size_t i = 0; i < list.count; i++) {
        struct text name =
            kind_pairs_get(&list.items[i]->meta.annotations, KIND_ANNOTATION_GATEWAY);
        if (text_equal(name, object->meta.name))
            return list.items[i];
    }
    return NULL;
}

static void add_all(struct gateway_view *view, const struct kind_texts *values)
{
    for (size_t i = 0; i < values->count; i++)
        add_address(view, format_is_ip(values->items[i]) ? "IPAddress" : "Hostname",
                    values->items[i]);
}

/* What the Service has; then each address that is asked for must be one of them. */
static void find_fronted(struct translation *t, struct gateway_view *view,
                         const struct kind_object *object)
{
    const struct kind_gateway *gateway = object->gateway;
    const struct kind_object *front = front_of(t, object, view_is_shared(view));
    const struct kind_object *left = front_of(t, object, !view_is_shared(view));
    view->is_fronted = true;
    if (front != NULL) {
        const struct kind_service *service = front->service;
        bool is_inner = !text_is(service->type, "LoadBalancer");
        view->addresses = arena_array(&view->arena, struct status_address,
                                      service->ingress.count + service->external_ips.count +
                                          service->cluster_ips.count);
        add_all(view, &service->ingress);
        add_all(view, &service->external_ips);
        if (is_inner)
            add_all(view, &service->cluster_ips);
    }
    bool is_reached = view->address_count > 0 && endpoints_any_ready(t, front);
    view->is_moving = !is_reached && left != NULL && endpoints_any_ready(t, left);
    if (view->address_count == 0 && !view->is_moving) {
        view->unusable = (struct verdict){
            "AddressNotAssigned", TEXT("Waiting for an address of the Service of this Gateway.")};
    }
    for (size_t i = 0; i < gateway->address_count; i++) {
        struct text value = gateway->addresses[i].value;
        if (value.len > 0 && !has_address(view, value))
            view->unusable = (struct verdict){
                "AddressNotUsable",
                arena_printf(
                    &view->arena,
                    "spec.addresses[%zu]: the Service of this Gateway did not get " TEXT_FMT ".", i,
                    TEXT_ARG(value))};
    }
}

static void find_bound(struct translation *t, struct gateway_view *view,
                       const struct kind_object *object)
{
    const struct kind_gateway *gateway = object->gateway;
    const struct translate_options *options = t->options;
    view->addresses = arena_array(&view->arena, struct status_address,
                                  gateway->address_count + options->address_count);
    bool wants_default = gateway->address_count == 0;
    for (size_t i = 0; i < gateway->address_count; i++) {
        struct text value = gateway->addresses[i].value;
        if (format_is_ip(value))
            add_address(view, "IPAddress", value);
        wants_default = wants_default || value.len == 0;
    }
    for (size_t i = 0; wants_default && i < options->address_count; i++)
        add_address(view, "IPAddress", options->addresses[i]);
}

static void check_asked(struct translation *t, struct gateway_view *view,
                        const struct kind_object *object)
{
    const struct kind_gateway *gateway = object->gateway;
    for (size_t i = 0; i < gateway->address_count; i++) {
        const struct kind_address *address = &gateway->addresses[i];
        struct text message = TEXT_NONE;
        if (address->type != KIND_ADDRESS_IP || address->routability.len > 0)
            message = arena_printf(&t->scratch,
                                   "spec.addresses[%zu]: addresses of the type " TEXT_FMT
                                   "%s are not supported; give an IPAddress.",
                                   i, TEXT_ARG(address->type_text),
                                   address->routability.len > 0 ? " with routability" : "");
        else if (address->value.len > 0 && !format_is_ip(address->value))
            message =
                arena_printf(&t->scratch, "spec.addresses[%zu]: \"" TEXT_FMT "\" is no IP address.",
                             i, TEXT_ARG(address->value));
        if (message.len > 0)
            view_reject(view, object, address->place, "spec.addresses",
                        (struct verdict){"UnsupportedAddress", message});
    }
}

void addresses_find(struct translation *t, struct gateway_view *view,
                    const struct kind_object *object)
{
    check_asked(t, view, object);
    if (t->options->standalone || t->options->address_count > 0)
        find_bound(t, view, object);
    else
        find_fronted(t, view, object);
}
