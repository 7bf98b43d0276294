/* The objects, member by member. Fields that a load balancer, an autoscaler or a user may own (node
 * ports, replicas) are not among them, so that a server-side apply leaves them alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/manifest.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "control/kind/gateway.h"
#include "control/kind/listener_set.h"
#include "control/kind/service.h"

#define LABEL_MAX_BYTES 63

struct making {
    const struct manifest_options *options;
    const struct fleet *fleet;
    struct json json;
    struct builder out;
};

/* What the Gateway wants of its objects; those that Gateways share are no single one's. */
static const struct kind_infrastructure *infrastructure(const struct making *making)
{
    return fleet_is_shared(making->fleet) ? NULL : making->fleet->owner->gateway->infrastructure;
}

/* ---- metadata ---- */

/* By which we find and know what is ours. */
static bool is_ours(struct text key)
{
    static const char *const OURS[] = {
        MANIFEST_LABEL_GATEWAY, MANIFEST_LABEL_CLASS,    MANIFEST_LABEL_FLEET,  MANIFEST_LABEL_NAME,
        MANIFEST_LABEL_MANAGER, KIND_ANNOTATION_GATEWAY, KIND_ANNOTATION_FLEET,
    };
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (text_is(key, OURS[i]))
            return true;
    return false;
}

static void add_pairs(struct making *making, const struct kind_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (is_ours(pairs->items[i].key))
            continue;
        json_key(&making->json, pairs->items[i].key);
        json_text(&making->json, NULL, pairs->items[i].value);
    }
}

/* By which the pods are found. The value of a label has 63 bytes at most, and a Gateway's name up
 * to 253, as a class's. */
static void add_own_labels(struct making *making)
{
    const struct fleet *fleet = making->fleet;
    struct text name = fleet->owner->meta.name;
    if (fleet_is_shared(fleet))
        json_text(&making->json, MANIFEST_LABEL_FLEET, fleet->name);
    else
        json_text(&making->json, MANIFEST_LABEL_GATEWAY,
                  name.len <= LABEL_MAX_BYTES ? name : fleet->name);
    json_text(&making->json, MANIFEST_LABEL_CLASS, fleet->class_label);
}

static void add_labels(struct making *making)
{
    const struct kind_infrastructure *wanted = infrastructure(making);
    json_object_begin(&making->json, "labels");
    if (wanted != NULL)
        add_pairs(making, &wanted->labels);
    json_string(&making->json, MANIFEST_LABEL_NAME, "nantian-proxy");
    json_string(&making->json, MANIFEST_LABEL_MANAGER, "nantian-control");
    add_own_labels(making);
    json_object_end(&making->json);
}

static void add_annotations(struct making *making, bool is_front)
{
    const struct kind_infrastructure *wanted = infrastructure(making);
    if (!is_front && (wanted == NULL || wanted->annotations.count == 0))
        return;
    json_object_begin(&making->json, "annotations");
    if (wanted != NULL)
        add_pairs(making, &wanted->annotations);
    if (is_front)
        json_text(&making->json,
                  fleet_is_shared(making->fleet) ? KIND_ANNOTATION_FLEET : KIND_ANNOTATION_GATEWAY,
                  making->fleet->owner->meta.name);
    json_object_end(&making->json);
}

/* They go with their Gateway, or their class. */
static void add_owner(struct making *making)
{
    const struct kind_meta *meta = &making->fleet->owner->meta;
    struct json *json = &making->json;
    json_array_begin(json, "ownerReferences");
    json_object_begin(json, NULL);
    json_text(json, "apiVersion", meta->api_version);
    json_text(json, "kind", meta->kind);
    json_text(json, "name", meta->name);
    json_text(json, "uid", meta->uid);
    json_bool(json, "controller", true);
    json_bool(json, "blockOwnerDeletion", false);
    json_object_end(json);
    json_array_end(json);
}

static void begin(struct making *making, const char *api_version, const char *kind)
{
    struct json *json = &making->json;
    builder_clear(&making->out);
    json_init(json, &making->out, 0);
    json_object_begin(json, NULL);
    json_string(json, "apiVersion", api_version);
    json_string(json, "kind", kind);
    json_object_begin(json, "metadata");
    json_text(json, "name", making->fleet->name);
    json_text(json, "namespace", making->fleet->namespace);
    add_labels(making);
    add_annotations(making, strcmp(kind, "Service") == 0);
    add_owner(making);
    json_object_end(json);
}

static struct text path_of(struct arena *arena, const char *group, struct text namespace,
                           const char *plural, struct text name)
{
    return arena_printf(arena, "%s/namespaces/" TEXT_FMT "/%s/" TEXT_FMT, group,
                        TEXT_ARG(namespace), plural, TEXT_ARG(name));
}

static struct manifest end(struct making *making, const char *group, const char *plural,
                           struct arena *arena)
{
    json_object_end(&making->json);
    return (struct manifest){
        .path = path_of(arena, group, making->fleet->namespace, plural, making->fleet->name),
        .json = arena_text(arena, builder_text(&making->out)),
    };
}

/* ---- Service ---- */

struct port {
    int32_t number;
    bool is_udp;
};

static int compare_ports(const void *a, const void *b)
{
    const struct port *one = a, *other = b;
    if (one->number != other->number)
        return one->number < other->number ? -1 : 1;
    return (int)one->is_udp - (int)other->is_udp;
}

static size_t add_port(struct port *ports, size_t count, struct port port)
{
    for (size_t i = 0; i < count; i++)
        if (compare_ports(&ports[i], &port) == 0)
            return count;
    if (count < LIMIT_GATEWAY_PORTS)
        ports[count++] = port;
    return count;
}

static size_t add_listeners(struct port *ports, size_t count, const struct kind_listener *listeners,
                            size_t listener_count)
{
    for (size_t i = 0; i < listener_count; i++)
        if (listeners[i].port > 0)
            count = add_port(
                ports, count,
                (struct port){listeners[i].port, listeners[i].protocol == KIND_PROTOCOL_UDP});
    return count;
}

static bool names_gateway(const struct kind_object *set, const struct kind_object *gateway)
{
    const struct kind_parent_ref *parent = &set->listener_set->parent;
    struct text namespace = parent->namespace.len > 0 ? parent->namespace : set->meta.namespace;
    return text_equal(parent->name, gateway->meta.name) &&
           text_equal(namespace, gateway->meta.namespace);
}

/* A ListenerSet that is refused costs a port on which nobody listens. */
static size_t add_gateway(struct store *store, const struct kind_object *gateway,
                          struct port ports[LIMIT_GATEWAY_PORTS], size_t count)
{
    count =
        add_listeners(ports, count, gateway->gateway->listeners, gateway->gateway->listener_count);
    struct store_list sets = store_list(store, KIND_LISTENER_SET);
    for (size_t i = 0; i < sets.count; i++)
        if (names_gateway(sets.items[i], gateway))
            count = add_listeners(ports, count, sets.items[i]->listener_set->listeners,
                                  sets.items[i]->listener_set->listener_count);
    return count;
}

/* Sorted, each once. */
static size_t find_ports(struct store *store, const struct fleet *fleet,
                         struct port ports[LIMIT_GATEWAY_PORTS])
{
    size_t count = 0;
    for (size_t i = 0; i < fleet->gateway_count; i++)
        count = add_gateway(store, fleet->gateways[i], ports, count);
    if (count > 1)
        qsort(ports, count, sizeof(*ports), compare_ports);
    return count;
}

static void add_selector(struct making *making, const char *key)
{
    json_object_begin(&making->json, key);
    add_own_labels(making);
    json_object_end(&making->json);
}

/* Of one Gateway; several would ask for one each. */
static struct text wanted_address(const struct fleet *fleet)
{
    const struct kind_gateway *gateway = fleet->owner->gateway;
    bool is_asked = !fleet_is_shared(fleet) && gateway->address_count > 0 &&
                    gateway->addresses[0].type == KIND_ADDRESS_IP;
    return is_asked ? gateway->addresses[0].value : TEXT_NONE;
}

static struct manifest make_service(struct making *making, const struct port *ports, size_t count,
                                    struct arena *arena)
{
    struct text address = wanted_address(making->fleet);
    struct json *json = &making->json;
    begin(making, "v1", "Service");
    json_object_begin(json, "spec");
    json_string(json, "type", "LoadBalancer");
    if (address.len > 0)
        json_text(json, "loadBalancerIP", address);
    add_selector(making, "selector");
    json_array_begin(json, "ports");
    for (size_t i = 0; i < count; i++) {
        const char *protocol = ports[i].is_udp ? "UDP" : "TCP";
        struct text name =
            arena_printf(arena, "%s-%d", ports[i].is_udp ? "udp" : "tcp", (int)ports[i].number);
        json_object_begin(json, NULL);
        json_text(json, "name", name);
        json_string(json, "protocol", protocol);
        json_int(json, "port", ports[i].number);
        json_int(json, "targetPort", ports[i].number);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
    return end(making, "/api/v1", "services", arena);
}

/* ---- Deployment ---- */

static void add_arguments(struct making *making, struct arena *arena)
{
    const struct manifest_options *options = making->options;
    const struct text words[] = {
        TEXT("--xds"),
        options->xds_address,
        TEXT("--xds-ca"),
        TEXT("/var/run/nantian/ca/ca.crt"),
        TEXT("--xds-token"),
        TEXT("/var/run/nantian/token/token"),
        TEXT("--gateway"),
        making->fleet->path,
        TEXT("--state-dir"),
        TEXT("/var/lib/nantian/state"),
        TEXT("--admin"),
        TEXT("0.0.0.0:19000"),
        TEXT("--access-log"),
        TEXT("/dev/stdout"),
        TEXT("--default-address"),
        TEXT("0.0.0.0"),
        TEXT("--xds-server-name"),
        options->server_name,
        TEXT("--drain-delay"),
        arena_printf(arena, "%d", LIMIT_POD_DELAY_MS),
    };
    json_array_begin(&making->json, "args");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        json_text(&making->json, NULL, words[i]);
    json_array_end(&making->json);
}

static void add_probe(struct json *json, const char *key, const char *path, int period)
{
    json_object_begin(json, key);
    json_object_begin(json, "httpGet");
    json_string(json, "path", path);
    json_int(json, "port", 19000);
    json_object_end(json);
    json_int(json, "periodSeconds", period);
    json_object_end(json);
}

static void add_mount(struct json *json, const char *name, const char *path, bool is_writable)
{
    json_object_begin(json, NULL);
    json_string(json, "name", name);
    json_string(json, "mountPath", path);
    if (!is_writable)
        json_bool(json, "readOnly", true);
    json_object_end(json);
}

static void add_container(struct making *making, struct arena *arena)
{
    struct json *json = &making->json;
    json_array_begin(json, "containers");
    json_object_begin(json, NULL);
    json_string(json, "name", "proxy");
    json_text(json, "image", making->options->image);
    add_arguments(making, arena);
    json_raw(json, "env",
             TEXT("[{\"name\":\"NANTIAN_ZONE\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":"
                  "\"metadata.labels['topology.kubernetes.io/zone']\"}}}]"));
    json_raw(json, "resources", TEXT("{\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"}}"));
    json_raw(json, "ports",
             TEXT("[{\"name\":\"admin\",\"containerPort\":19000,"
                  "\"protocol\":\"TCP\"}]"));
    add_probe(json, "readinessProbe", "/readyz", 1);
    add_probe(json, "livenessProbe", "/healthz", 10);
    json_raw(json, "securityContext",
             TEXT("{\"allowPrivilegeEscalation\":false,\"readOnlyRootFilesystem\":true,"
                  "\"capabilities\":{\"drop\":[\"ALL\"]}}"));
    json_array_begin(json, "volumeMounts");
    add_mount(json, "state", "/var/lib/nantian", true);
    add_mount(json, "ca", "/var/run/nantian/ca", false);
    add_mount(json, "token", "/var/run/nantian/token", false);
    json_array_end(json);
    json_object_end(json);
    json_array_end(json);
}

/* Keys stay in memory; the token is for us alone and no use at the API server. */
static void add_volumes(struct making *making)
{
    struct json *json = &making->json;
    json_array_begin(json, "volumes");
    json_raw(json, NULL,
             TEXT("{\"name\":\"state\",\"emptyDir\":{\"medium\":\"Memory\","
                  "\"sizeLimit\":\"256Mi\"}}"));
    json_object_begin(json, NULL);
    json_string(json, "name", "ca");
    json_object_begin(json, "configMap");
    json_text(json, "name", making->fleet->name);
    json_object_end(json);
    json_object_end(json);
    json_object_begin(json, NULL);
    json_string(json, "name", "token");
    json_object_begin(json, "projected");
    json_array_begin(json, "sources");
    json_object_begin(json, NULL);
    json_object_begin(json, "serviceAccountToken");
    json_text(json, "audience", making->options->audience);
    json_int(json, "expirationSeconds", 3600);
    json_string(json, "path", "token");
    json_object_end(json);
    json_object_end(json);
    json_array_end(json);
    json_object_end(json);
    json_object_end(json);
    json_array_end(json);
}

/* Over nodes and zones, as far as it goes. */
static void add_spread(struct making *making)
{
    static const char *const KEYS[] = {"kubernetes.io/hostname", "topology.kubernetes.io/zone"};
    struct json *json = &making->json;
    json_array_begin(json, "topologySpreadConstraints");
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        json_object_begin(json, NULL);
        json_int(json, "maxSkew", 1);
        json_string(json, "topologyKey", KEYS[i]);
        json_string(json, "whenUnsatisfiable", "ScheduleAnyway");
        json_object_begin(json, "labelSelector");
        add_selector(making, "matchLabels");
        json_object_end(json);
        json_object_end(json);
    }
    json_array_end(json);
}

static struct manifest make_deployment(struct making *making, struct arena *arena)
{
    struct json *json = &making->json;
    begin(making, "apps/v1", "Deployment");
    json_object_begin(json, "spec");
    json_object_begin(json, "selector");
    add_selector(making, "matchLabels");
    json_object_end(json);
    json_object_begin(json, "template");
    json_object_begin(json, "metadata");
    add_labels(making);
    add_annotations(making, false);
    json_object_end(json);
    json_object_begin(json, "spec");
    json_text(json, "serviceAccountName", making->fleet->name);
    json_bool(json, "automountServiceAccountToken", false);
    json_int(json, "terminationGracePeriodSeconds",
             (LIMIT_POD_DELAY_MS + LIMIT_DRAIN_TIMEOUT_MS) / 1000 + 10);
    json_raw(json, "securityContext",
             TEXT("{\"runAsNonRoot\":true,\"runAsUser\":65532,\"runAsGroup\":65532,"
                  "\"fsGroup\":65532,\"seccompProfile\":{\"type\":\"RuntimeDefault\"},"
                  "\"sysctls\":[{\"name\":\"net.ipv4.ip_unprivileged_port_start\","
                  "\"value\":\"0\"}]}"));
    add_container(making, arena);
    add_volumes(making);
    add_spread(making);
    json_object_end(json);
    json_object_end(json);
    json_object_end(json);
    return end(making, "/apis/apps/v1", "deployments", arena);
}

/* ---- HorizontalPodAutoscaler, PodDisruptionBudget ---- */

/* It owns the number of pods: the Deployment says none. */
static struct manifest make_scaler(struct making *making, struct arena *arena)
{
    struct json *json = &making->json;
    begin(making, "autoscaling/v2", "HorizontalPodAutoscaler");
    json_object_begin(json, "spec");
    json_object_begin(json, "scaleTargetRef");
    json_string(json, "apiVersion", "apps/v1");
    json_string(json, "kind", "Deployment");
    json_text(json, "name", making->fleet->name);
    json_object_end(json);
    json_int(json, "minReplicas", 1);
    json_int(json, "maxReplicas", 10);
    json_raw(json, "metrics",
             TEXT("[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":"
                  "{\"type\":\"Utilization\",\"averageUtilization\":70}}}]"));
    json_raw(json, "behavior", TEXT("{\"scaleDown\":{\"stabilizationWindowSeconds\":300}}"));
    json_object_end(json);
    return end(making, "/apis/autoscaling/v2", "horizontalpodautoscalers", arena);
}

/* One at a time: a node is drained also where there is but one pod. */
static struct manifest make_disruption(struct making *making, struct arena *arena)
{
    struct json *json = &making->json;
    begin(making, "policy/v1", "PodDisruptionBudget");
    json_object_begin(json, "spec");
    json_int(json, "maxUnavailable", 1);
    json_object_begin(json, "selector");
    add_selector(making, "matchLabels");
    json_object_end(json);
    json_object_end(json);
    return end(making, "/apis/policy/v1", "poddisruptionbudgets", arena);
}

bool manifest_make(const struct manifest_options *options, struct store *store,
                   const struct fleet *fleet, struct arena *arena,
                   struct manifest ret_manifests[KIND_OVERLAYS])
{
    struct port ports[LIMIT_GATEWAY_PORTS];
    size_t count = find_ports(store, fleet, ports);
    if (count == 0)
        return false;
    struct making making = {.options = options, .fleet = fleet};
    begin(&making, "v1", "ServiceAccount");
    json_bool(&making.json, "automountServiceAccountToken", false);
    ret_manifests[KIND_OVERLAY_SERVICE_ACCOUNT] = end(&making, "/api/v1", "serviceaccounts", arena);
    begin(&making, "v1", "ConfigMap");
    json_object_begin(&making.json, "data");
    json_text(&making.json, "ca.crt", options->ca);
    json_object_end(&making.json);
    ret_manifests[KIND_OVERLAY_CONFIG_MAP] = end(&making, "/api/v1", "configmaps", arena);
    ret_manifests[KIND_OVERLAY_SERVICE] = make_service(&making, ports, count, arena);
    ret_manifests[KIND_OVERLAY_DEPLOYMENT] = make_deployment(&making, arena);
    ret_manifests[KIND_OVERLAY_SCALER] = make_scaler(&making, arena);
    ret_manifests[KIND_OVERLAY_DISRUPTION] = make_disruption(&making, arena);
    builder_fini(&making.out);
    return true;
}

/* All of ours with that name, of which there is one at most: an object of somebody else's stays. */
struct text manifest_removal(struct text path, struct arena *arena)
{
    size_t slash = path.len;
    while (path.data[slash - 1] != '/')
        slash--;
    return arena_printf(arena,
                        "%.*s?fieldSelector=metadata.name%%3D" TEXT_FMT
                        "&labelSelector=app.kubernetes.io%%2Fmanaged-by%%3Dnantian-control",
                        (int)slash - 1, path.data, TEXT_ARG(text_slice(path, slash, path.len)));
}

void manifest_unmake(struct text namespace, struct text name, struct arena *arena,
                     struct manifest ret_manifests[KIND_OVERLAYS])
{
    static const struct {
        const char *group, *plural;
    } PARTS[KIND_OVERLAYS] = {
        {"/apis/autoscaling/v2", "horizontalpodautoscalers"},
        {"/apis/policy/v1", "poddisruptionbudgets"},
        {"/apis/apps/v1", "deployments"},
        {"/api/v1", "configmaps"},
        {"/api/v1", "serviceaccounts"},
        {"/api/v1", "services"},
    };
    for (size_t i = 0; i < KIND_OVERLAYS; i++) {
        struct text path = path_of(arena, PARTS[i].group, namespace, PARTS[i].plural, name);
        ret_manifests[i] = (struct manifest){.path = manifest_removal(path, arena)};
    }
}
