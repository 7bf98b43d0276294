/* Makes the view of a Gateway: its class, its addresses, its listeners, its ListenerSets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/kind/listener_set.h"
#include "control/store/namespaces.h"
#include "control/store/parameters.h"
#include "control/translate/addresses.h"
#include "control/translate/gateway_class.h"
#include "control/translate/listener_set.h"
#include "control/translate/listeners.h"
#include "control/translate/secrets.h"
#include "control/translate/view.h"

static void check_parameters(struct translation *t, struct gateway_view *view,
                             const struct kind_object *object)
{
    const struct kind_gateway *gateway = object->gateway;
    const struct kind_object *parameters;
    struct piece_spot spot = {FAULT_ERROR, "InvalidParameters", gateway->place,
                              TEXT("spec.gatewayClassName"), TEXT_NONE};
    if (gateway_class_standing(t, gateway->class_name) == GATEWAY_CLASS_INVALID) {
        view->no_parameters = TEXT("Its GatewayClass is not accepted.");
    } else {
        view->no_parameters = parameters_of_gateway(t->store, object, &view->arena, &parameters);
        if (view->no_parameters.len > 0)
            spot.place = gateway->infrastructure->parameters->place;
        spot.field = TEXT("spec.infrastructure.parametersRef");
    }
    if (view->no_parameters.len > 0)
        piece_fault(view->draft, object, &spot, view->no_parameters);
}

static void check_settings(struct translation *t, struct gateway_view *view,
                           const struct kind_object *object)
{
    const struct kind_gateway *gateway = object->gateway;
    check_parameters(t, view, object);
    if (gateway->tls == NULL || gateway->tls->client_certificate == NULL)
        return;
    const struct kind_ref *ref = gateway->tls->client_certificate;
    struct store_key key;
    struct verdict verdict =
        secrets_certificate(t, view->draft, object, ref, "InvalidClientCertificateRef", &key);
    if (verdict.reason != NULL) {
        view->resolved =
            (struct verdict){verdict.reason, arena_text(&view->arena, verdict.message)};
        struct piece_spot spot = {FAULT_ERROR, verdict.reason, ref->place,
                                  TEXT("spec.tls.backend.clientCertificateRef"), TEXT_NONE};
        piece_fault(view->draft, object, &spot, view->resolved.message);
    } else {
        view->client_certificate = piece_key_copy(&view->arena, key);
    }
    if (!translation_can(t, CAPABILITY_BACKEND_CLIENT_CERTIFICATE))
        view_reject(
            view, object, ref->place, "spec.tls.backend",
            (struct verdict){"Invalid",
                             TEXT("spec.tls.backend.clientCertificateRef: client certificates "
                                  "to backends are not supported by this data plane.")});
}

/* Of a Gateway, for its ListenerSets as well: a port speaks one protocol, and whom the addresses of
 * clients are believed from is the Gateway's owner's to say. */
static bool is_proxied(const struct kind_object *gateway)
{
    return text_is(kind_pairs_get(&gateway->meta.annotations, KIND_ANNOTATION_PROXY), "true");
}

static void check_annotations(struct gateway_view *view, const struct kind_object *object)
{
    struct text value = kind_pairs_get(&object->meta.annotations, KIND_ANNOTATION_PROXY);
    if (value.data == NULL || text_is(value, "true") || text_is(value, "false"))
        return;
    struct piece_spot spot = {FAULT_WARNING, "InvalidAnnotation", object->meta.place,
                              TEXT("metadata.annotations"), TEXT("Write \"true\" or \"false\".")};
    piece_fault(view->draft, object, &spot,
                TEXT("The annotation " KIND_ANNOTATION_PROXY " is not \"true\"; the PROXY "
                     "protocol is not expected."));
}

static void judge_set(struct translation *t, struct gateway_view *view,
                      const struct kind_object *gateway, const struct kind_object *object,
                      struct claims *claims, struct set_view *ret_set)
{
    const struct kind_listener_set *set = object->listener_set;
    *ret_set = (struct set_view){.key = piece_key_copy(&view->arena, piece_key_of(object)),
                                 .generation = object->meta.generation,
                                 .first = view->listener_count};
    if (!namespaces_allow(t->store, &gateway->gateway->allowed_listeners, gateway->meta.namespace,
                          object->meta.namespace)) {
        struct text message = arena_printf(
            &view->arena,
            "The Gateway " TEXT_FMT " does not take ListenerSets of the namespace " TEXT_FMT ".",
            TEXT_ARG(view->path), TEXT_ARG(object->meta.namespace));
        ret_set->accepted = (struct verdict){"NotAllowed", message};
        struct piece_spot spot = {FAULT_ERROR, "NotAllowed", set->parent.place,
                                  TEXT("spec.parentRef"),
                                  TEXT("Set spec.allowedListeners of the Gateway.")};
        piece_fault(view->draft, object, &spot, message);
        return;
    }
    if (view->accepted.reason != NULL) {
        ret_set->accepted =
            (struct verdict){"ParentNotAccepted",
                             arena_printf(&view->arena, "The Gateway " TEXT_FMT " is not accepted.",
                                          TEXT_ARG(view->path))};
        return;
    }
    struct listeners_owner owner = {object, gateway->gateway, is_proxied(gateway)};
    for (size_t i = 0; i < set->listener_count; i++)
        listeners_evaluate(t, view, &owner, &set->listeners[i],
                           &view->listeners[view->listener_count++]);
    ret_set->count = set->listener_count;
    listeners_find_conflicts(view, claims, ret_set->first, ret_set->count);
}

static void add_listeners(struct translation *t, struct gateway_view *view,
                          const struct kind_object *object)
{
    size_t set_count;
    const struct kind_object **sets = listener_set_list(t, view->key, &set_count);
    size_t total = object->gateway->listener_count;
    for (size_t i = 0; i < set_count; i++)
        total += sets[i]->listener_set->listener_count;
    view->listeners = arena_array(&view->arena, struct listener_view, total);
    struct listeners_owner owner = {object, object->gateway, is_proxied(object)};
    for (size_t i = 0; i < object->gateway->listener_count; i++)
        listeners_evaluate(t, view, &owner, &object->gateway->listeners[i],
                           &view->listeners[view->listener_count++]);
    view->own_count = view->listener_count;
    struct claims claims;
    claims_init(&claims, &t->scratch);
    listeners_find_conflicts(view, &claims, 0, view->own_count);
    view->sets = arena_array(&view->arena, struct set_view, set_count);
    for (size_t i = 0; i < set_count; i++)
        judge_set(t, view, object, sets[i], &claims, &view->sets[view->set_count++]);
    claims_fini(&claims);
    claims_find_overlaps(view, &t->scratch);
}

/* Says each conflict once it is known who won. */
static void report_conflicts(struct translation *t, struct gateway_view *view)
{
    for (size_t i = 0; i < view->listener_count; i++) {
        const struct listener_view *listener = &view->listeners[i];
        view->is_insecure = view->is_insecure || listener->is_insecure;
        if (listener->conflict.reason == NULL)
            continue;
        const struct kind_object *object = store_get(
            t->store, listener->owner.kind, listener->owner.namespace, listener->owner.name);
        struct text field =
            arena_printf(&t->scratch, "spec.listeners[" TEXT_FMT "]", TEXT_ARG(listener->name));
        struct piece_spot spot = {FAULT_ERROR, listener->conflict.reason, listener->place, field,
                                  TEXT("Give it another port or hostname.")};
        piece_fault(view->draft, object, &spot, listener->conflict.message);
    }
}

/* In standalone the same data planes serve all Gateways, whatever their classes say. */
static struct text find_fleet(struct translation *t, struct gateway_view *view,
                              const struct kind_object *object)
{
    struct text name = object->gateway->class_name;
    const struct kind_object *class = store_get(t->store, KIND_GATEWAY_CLASS, TEXT_NONE, name);
    if (t->options->standalone || class == NULL || parameters_fleet(t->store, class).len == 0)
        return view->path;
    return arena_printf(&view->arena, "/" TEXT_FMT, TEXT_ARG(name));
}

struct gateway_view *view_new(struct translation *t, const struct kind_object *object)
{
    enum gateway_class_standing standing = gateway_class_standing(t, object->gateway->class_name);
    if (standing == GATEWAY_CLASS_OTHER || standing == GATEWAY_CLASS_MISSING)
        return NULL;
    struct gateway_view *view = memory_new(struct gateway_view);
    arena_init(&view->arena, 0);
    view->key = piece_key_copy(&view->arena, piece_key_of(object));
    view->path = piece_path(&view->arena, object->meta.namespace, object->meta.name);
    view->fleet = find_fleet(t, view, object);
    view->generation = object->meta.generation;
    view->created = object->meta.created;
    view->draft = piece_new(view->key);
    addresses_find(t, view, object);
    check_settings(t, view, object);
    check_annotations(view, object);
    add_listeners(t, view, object);
    report_conflicts(t, view);
    for (size_t i = 0; i < view->listener_count; i++) {
        struct listener_view *listener = &view->listeners[i];
        listener->is_withheld = view->accepted.reason != NULL;
        listener->refused = gateway_refusal(t, view, listener);
    }
    return view;
}

void view_free(struct gateway_view *view)
{
    if (view == NULL)
        return;
    piece_free(view->draft);
    arena_fini(&view->arena);
    free(view);
}

const struct set_view *view_find_set(const struct gateway_view *view, struct store_key key)
{
    for (size_t i = 0; i < view->set_count; i++) {
        if (piece_keys_equal(view->sets[i].key, key))
            return &view->sets[i];
    }
    return NULL;
}

static void add_namespaces(struct builder *builder, const struct kind_namespaces *allowed)
{
    builder_printf(builder, "|%d", (int)allowed->from);
    const struct kind_selector *selector = allowed->selector;
    for (size_t i = 0; selector != NULL && i < selector->match_labels.count; i++)
        builder_printf(builder, "|" TEXT_FMT "=" TEXT_FMT,
                       TEXT_ARG(selector->match_labels.items[i].key),
                       TEXT_ARG(selector->match_labels.items[i].value));
    for (size_t i = 0; selector != NULL && i < selector->expression_count; i++) {
        const struct kind_requirement *requirement = &selector->expressions[i];
        builder_printf(builder, "|%d:" TEXT_FMT, (int)requirement->operator,
                       TEXT_ARG(requirement->key));
        for (size_t k = 0; k < requirement->values.count; k++)
            builder_printf(builder, "," TEXT_FMT, TEXT_ARG(requirement->values.items[k]));
    }
}

void view_update_digest(struct gateway_view *view)
{
    struct builder builder = {0};
    builder_printf(&builder, "%d " TEXT_FMT "/" TEXT_FMT "\n", view->accepted.reason == NULL,
                   TEXT_ARG(view->client_certificate.namespace),
                   TEXT_ARG(view->client_certificate.name));
    for (size_t i = 0; i < view->listener_count; i++) {
        const struct listener_view *listener = &view->listeners[i];
        builder_printf(&builder, TEXT_FMT "|" TEXT_FMT "|%d|%d|%u|%d|%d",
                       TEXT_ARG(listener->resource), TEXT_ARG(listener->hostname),
                       (int)listener->port, (int)listener->protocol, listener->kinds,
                       listener->is_terminated, view_is_served(listener));
        add_namespaces(&builder, &listener->allowed);
        builder_add_char(&builder, '\n');
    }
    for (size_t i = 0; i < view->set_count; i++)
        builder_printf(&builder, TEXT_FMT "/" TEXT_FMT " %zu %d\n",
                       TEXT_ARG(view->sets[i].key.namespace), TEXT_ARG(view->sets[i].key.name),
                       view->sets[i].first, view->sets[i].accepted.reason == NULL);
    view->digest = hash_digest(builder_text(&builder));
    builder_fini(&builder);
}
