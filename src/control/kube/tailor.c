/* Any field may be overlaid but those by which the objects are found and belong together. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/tailor.h"

#include "base/json.h"
#include "control/kind/canonical.h"
#include "control/kind/gateway.h"
#include "control/kind/service.h"
#include "control/kube/overlay.h"
#include "control/store/parameters.h"

struct tailoring {
    struct arena *arena;
    struct manifest *manifests;
    const struct kind_object *parameters;
    struct text why;
};

/* A path of members each; NULL ends it. */
static const char *const FIXED[][6] = {
    {"apiVersion"},
    {"kind"},
    {"metadata", "name"},
    {"metadata", "namespace"},
    {"metadata", "ownerReferences"},
    {"metadata", "labels", MANIFEST_LABEL_GATEWAY},
    {"metadata", "labels", MANIFEST_LABEL_FLEET},
    {"metadata", "labels", MANIFEST_LABEL_CLASS},
    {"metadata", "labels", MANIFEST_LABEL_NAME},
    {"metadata", "labels", MANIFEST_LABEL_MANAGER},
    {"metadata", "annotations", KIND_ANNOTATION_GATEWAY},
    {"metadata", "annotations", KIND_ANNOTATION_FLEET},
    {"spec", "selector"},
    {"spec", "scaleTargetRef"},
    {"spec", "template", "metadata", "labels", MANIFEST_LABEL_GATEWAY},
    {"spec", "template", "metadata", "labels", MANIFEST_LABEL_FLEET},
    {"spec", "template", "metadata", "labels", MANIFEST_LABEL_CLASS},
    {"spec", "template", "metadata", "labels", MANIFEST_LABEL_NAME},
    {"spec", "template", "spec", "serviceAccountName"},
};

static struct value *parse(struct arena *arena, struct text json)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, arena);
    bool good = value_parse_json(json, TEXT_NONE, arena, &value, &faults);
    faults_fini(&faults);
    return good ? value : NULL;
}

static const struct value *find(const struct value *object, const char *const path[6])
{
    for (size_t i = 0; i < ARRAY_LEN(FIXED[0]) && path[i] != NULL; i++)
        object = value_get(object, path[i]);
    return object;
}

static bool is_same(const struct value *a, const struct value *b)
{
    return a == NULL || b == NULL ? a == b : canonical_equal(a, b);
}

static void complain(struct tailoring *tailoring, enum kind_overlay part, struct text what)
{
    const struct kind_meta *meta = &tailoring->parameters->meta;
    if (tailoring->why.len == 0)
        tailoring->why = arena_printf(
            tailoring->arena, "GatewayParameters " TEXT_FMT "/" TEXT_FMT ": spec.%s: " TEXT_FMT ".",
            TEXT_ARG(meta->namespace), TEXT_ARG(meta->name), kind_overlay_name(part),
            TEXT_ARG(what));
}

static void check(struct tailoring *tailoring, enum kind_overlay part, const struct value *before,
                  const struct value *after)
{
    for (size_t i = 0; i < ARRAY_LEN(FIXED); i++) {
        if (is_same(find(before, FIXED[i]), find(after, FIXED[i])))
            continue;
        struct builder path CLEANUP(builder_fini) = {0};
        for (size_t k = 0; k < ARRAY_LEN(FIXED[0]) && FIXED[i][k] != NULL; k++)
            builder_printf(&path, "%s%s", k == 0 ? "" : ".", FIXED[i][k]);
        complain(tailoring, part,
                 arena_printf(tailoring->arena, TEXT_FMT " cannot be changed",
                              TEXT_ARG(builder_text(&path))));
    }
}

static void lay_one(struct tailoring *tailoring, enum kind_overlay part, struct text overlay)
{
    struct manifest *manifest = &tailoring->manifests[part];
    struct value *patch = parse(tailoring->arena, overlay);
    struct value *before = parse(tailoring->arena, manifest->json);
    if (patch == NULL || before == NULL)
        return; /* the class's overlay took it out: nothing is left to be overlaid */
    const char *kind = arena_string(tailoring->arena, value_string(value_get(before, "kind")));
    struct overlay_result result = overlay_lay(kind, before, patch, tailoring->arena);
    bool is_optional = part == KIND_OVERLAY_SCALER || part == KIND_OVERLAY_DISRUPTION;
    if (result.why.len > 0) {
        complain(tailoring, part, result.why);
    } else if (result.is_deleted && !is_optional) {
        complain(tailoring, part, TEXT("it cannot be left out"));
    } else if (result.is_deleted) {
        manifest->path = manifest_removal(manifest->path, tailoring->arena);
        manifest->json = TEXT_NONE;
    } else {
        struct builder out CLEANUP(builder_fini) = {0};
        struct json json;
        check(tailoring, part, before, result.object);
        json_init(&json, &out, 0);
        json_value(&json, NULL, result.object);
        manifest->json = arena_text(tailoring->arena, builder_text(&out));
    }
}

/* Two would own the number of pods otherwise. */
static void check_replicas(struct tailoring *tailoring)
{
    static const char *const REPLICAS[6] = {"spec", "replicas"};
    const struct manifest *manifests = tailoring->manifests;
    if (manifests[KIND_OVERLAY_SCALER].json.len == 0)
        return;
    const struct value *deployment =
        parse(tailoring->arena, manifests[KIND_OVERLAY_DEPLOYMENT].json);
    if (find(deployment, REPLICAS) != NULL)
        complain(tailoring, KIND_OVERLAY_DEPLOYMENT,
                 TEXT("spec.replicas is the HorizontalPodAutoscaler's to set; give it minReplicas "
                      "and maxReplicas, or take it out with \"$patch: delete\""));
}

static void lay_all(struct tailoring *tailoring, const struct kind_object *parameters)
{
    if (parameters == NULL)
        return;
    tailoring->parameters = parameters;
    for (enum kind_overlay part = 0; part < KIND_OVERLAYS; part++)
        if (parameters->gateway_parameters->overlays[part].len > 0)
            lay_one(tailoring, part, parameters->gateway_parameters->overlays[part]);
    check_replicas(tailoring);
}

struct text tailor_lay(struct store *store, const struct fleet *fleet, struct arena *arena,
                       struct manifest manifests[KIND_OVERLAYS], bool *ret_is_tailored)
{
    const struct kind_object *class =
        store_get(store, KIND_GATEWAY_CLASS, TEXT_NONE, fleet->class_name);
    const struct kind_object *of_class = NULL, *own = NULL;
    struct tailoring tailoring = {.arena = arena, .manifests = manifests};
    *ret_is_tailored = false;
    if (class != NULL)
        tailoring.why = parameters_of_class(store, class, arena, &of_class);
    if (tailoring.why.len == 0 && !fleet_is_shared(fleet))
        tailoring.why = parameters_of_gateway(store, fleet->owner, arena, &own);
    *ret_is_tailored = of_class != NULL || own != NULL;
    if (tailoring.why.len > 0)
        return tailoring.why;
    lay_all(&tailoring, of_class);
    lay_all(&tailoring, own);
    return tailoring.why;
}
