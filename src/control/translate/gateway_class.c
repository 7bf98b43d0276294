/* GatewayClass: ours by its controllerName, accepted if its parameters are there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/gateway_class.h"

#include "control/kind/gateway_class.h"
#include "control/store/parameters.h"

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
        return piece;
    }
    conditions_set(&status->conditions, &piece->arena, "Accepted", CONDITION_FALSE,
                   "InvalidParameters", arena_text(&piece->arena, no));
    struct piece_spot spot = {FAULT_ERROR, "InvalidParameters", class->parameters->place,
                              TEXT("spec.parametersRef"), TEXT_NONE};
    piece_fault(piece, object, &spot, no);
    return piece;
}
