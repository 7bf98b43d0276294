/* GatewayClass: ours by its controllerName, accepted if its parameters are there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/gateway_class.h"

#include "control/kind/gateway_class.h"
#include "control/store/parameters.h"
#include "control/translate/outcome_internal.h"

#define FEATURES_MAX 64

enum gateway_class_standing gateway_class_standing(struct translation *t, struct text name)
{
    const struct kind_object *object = store_get(t->store, KIND_GATEWAY_CLASS, TEXT_NONE, name);
    if (object == NULL) {
        bool is_implied = t->options->standalone && store_count(t->store, KIND_GATEWAY_CLASS) == 0;
        return is_implied ? GATEWAY_CLASS_IMPLIED : GATEWAY_CLASS_MISSING;
    }
    const struct kind_gateway_class *class = object->gateway_class;
    if (!text_equal(class->controller_name, t->controller))
        return GATEWAY_CLASS_OTHER;
    const struct kind_object *parameters;
    return parameters_of_class(t->store, object, &t->scratch, &parameters).len == 0
               ? GATEWAY_CLASS_OURS
               : GATEWAY_CLASS_INVALID;
}

/* Another release is no reason to stop: what is in both goes on. */
static void supported_version(struct translation *t, struct piece *piece,
                              struct conditions *conditions)
{
    const char *found = t->outcome->bundle;
    struct text version = text_of(found == NULL ? "" : found);
    struct text made_for = TEXT(TRANSLATE_BUNDLE);
    if (found == NULL)
        return;
    bool is_release =
        text_starts_with(version, TEXT(TRANSLATE_BUNDLE ".")) || text_equal(version, made_for);
    struct text message =
        arena_printf(&piece->arena, "Gateway API " TEXT_FMT " is installed.", TEXT_ARG(version));
    if (version.len == 0)
        message = arena_printf(&piece->arena,
                               "The installed definitions of Gateway API do not say which release "
                               "they are; this controller is made for %s, and goes on.",
                               TRANSLATE_BUNDLE);
    else if (!is_release)
        message = arena_printf(&piece->arena,
                               "Gateway API " TEXT_FMT " is installed; this controller is made for "
                               "%s, and goes on with what is in both.",
                               TEXT_ARG(version), TRANSLATE_BUNDLE);
    conditions_set(conditions, &piece->arena, "SupportedVersion",
                   is_release ? CONDITION_TRUE : CONDITION_FALSE,
                   is_release ? "SupportedVersion" : "UnsupportedVersion", message);
}

struct piece *gateway_class_piece(struct translation *t, const struct kind_object *object)
{
    const struct kind_gateway_class *class = object->gateway_class;
    if (!text_equal(class->controller_name, t->controller))
        return NULL;
    struct piece *piece = piece_new(piece_key_of(object));
    struct object_status *status = piece_status(piece, object, t->controller);
    const char **features = arena_array(&piece->arena, const char *, FEATURES_MAX);
    status->features = features;
    status->feature_count = capability_features(t->capabilities, features, FEATURES_MAX);
    const struct kind_object *parameters;
    struct text no = parameters_of_class(t->store, object, &t->scratch, &parameters);
    if (no.len == 0) {
        conditions_set(&status->conditions, &piece->arena, "Accepted", CONDITION_TRUE, "Accepted",
                       TEXT("This controller answers for Gateways of this class."));
        supported_version(t, piece, &status->conditions);
        return piece;
    }
    conditions_set(&status->conditions, &piece->arena, "Accepted", CONDITION_FALSE,
                   "InvalidParameters", arena_text(&piece->arena, no));
    supported_version(t, piece, &status->conditions);
    struct piece_spot spot = {FAULT_ERROR, "InvalidParameters", class->parameters->place,
                              TEXT("spec.parametersRef"), TEXT_NONE};
    piece_fault(piece, object, &spot, no);
    return piece;
}
