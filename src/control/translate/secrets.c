/* Secrets, ConfigMaps and ClusterTrustBundles as key material. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/secrets.h"

#include "control/kind/secret.h"
#include "control/store/grants.h"
#include "control/translate/outcome_internal.h"
#include "nantian/config/v1/secret.pb-c.h"

static bool contains(struct text text, const char *needle)
{
    return text.len > 0 && memmem(text.data, text.len, needle, strlen(needle)) != NULL;
}

static struct verdict fail(struct translation *t, const char *reason, const char *format,
                           struct store_key key, struct text why)
{
    struct text path =
        key.namespace.len == 0 ? key.name : piece_path(&t->scratch, key.namespace, key.name);
    struct text message = arena_printf(&t->scratch, "%s " TEXT_FMT " %s" TEXT_FMT ".",
                                       kind_name(key.kind), TEXT_ARG(path), format, TEXT_ARG(why));
    return (struct verdict){reason, message};
}

static struct verdict wrong_kind(struct translation *t, const struct kind_ref *ref,
                                 const char *reason, const char *wanted)
{
    struct text group = ref->group.len == 0 ? TEXT("core") : ref->group;
    return (struct verdict){reason,
                            arena_printf(&t->scratch,
                                         "A reference names the kind " TEXT_FMT
                                         " of the group " TEXT_FMT "; only %s is supported here.",
                                         TEXT_ARG(ref->kind), TEXT_ARG(group), wanted)};
}

static bool is_permitted(struct translation *t, struct piece *piece,
                         const struct kind_object *referrer, const struct kind_ref *ref,
                         struct store_key key)
{
    if (!text_equal(key.namespace, referrer->meta.namespace))
        piece_add_foreign(piece, key.namespace);
    return grants_permit(t->store, &(struct grants_reference){
                                       .from = referrer->id,
                                       .from_namespace = referrer->meta.namespace,
                                       .group = ref->group,
                                       .kind = ref->kind,
                                       .namespace = key.namespace,
                                       .name = key.name,
                                   });
}

/* What a data plane said against exactly these bytes; empty: nothing. */
static struct text refusal_of(struct translation *t, struct store_key key)
{
    if (t->outcome->refusals.count == 0)
        return TEXT_NONE;
    struct piece *trial = secrets_piece(t, key);
    const struct outcome_resource *resource = &trial->resources[0];
    struct text why =
        outcome_refusal(t->outcome, RESOURCE_SECRET, resource->name, resource->digest);
    piece_free(trial);
    return why;
}

static struct verdict check_pair(struct translation *t, const struct kind_object *object,
                                 struct store_key key, const char *bad_reason)
{
    const struct kind_entry *chain = kind_secret_get(object->secret, "tls.crt");
    const struct kind_entry *private = kind_secret_get(object->secret, "tls.key");
    if (chain == NULL || private == NULL)
        return fail(t, bad_reason, "lacks tls.crt or tls.key", key, TEXT_NONE);
    struct text why = TEXT_NONE;
    if (!contains(chain->bytes, "-----BEGIN CERTIFICATE-----") ||
        !contains(private->bytes, "PRIVATE KEY-----"))
        return fail(t, bad_reason, "holds no PEM certificate and key", key, TEXT_NONE);
    if (t->options->check_certificate != NULL &&
        !t->options->check_certificate(chain->bytes, private->bytes, &t->scratch, &why))
        return fail(t, bad_reason, "holds no usable certificate: ", key, why);
    struct text refusal = refusal_of(t, key);
    if (refusal.len > 0)
        return fail(t, bad_reason, "was refused by a data plane: ", key, refusal);
    if (why.len > 0)
        return fail(t, NULL, "holds a certificate that clients may refuse: ", key, why);
    return (struct verdict){0};
}

struct verdict secrets_certificate(struct translation *t, struct piece *piece,
                                   const struct kind_object *referrer, const struct kind_ref *ref,
                                   const char *bad_reason, struct store_key *ret_secret)
{
    if (kind_find(ref->group, ref->kind) != KIND_SECRET)
        return wrong_kind(t, ref, bad_reason, "Secret");
    struct store_key key = {
        KIND_SECRET, ref->namespace.len > 0 ? ref->namespace : referrer->meta.namespace, ref->name};
    if (!is_permitted(t, piece, referrer, ref, key))
        return fail(t, "RefNotPermitted",
                    "is in another namespace and no ReferenceGrant permits it", key, TEXT_NONE);
    const struct kind_object *object = store_get(t->store, key.kind, key.namespace, key.name);
    if (object == NULL)
        return fail(t, bad_reason, "does not exist", key, TEXT_NONE);
    struct verdict verdict = check_pair(t, object, key, bad_reason);
    if (verdict.reason == NULL)
        *ret_secret = key;
    return verdict;
}

/* No data: there are none. */
static struct text authorities_of(const struct kind_object *object)
{
    if (object->id == KIND_CLUSTER_TRUST_BUNDLE)
        return object->cluster_trust_bundle->trust_bundle;
    const struct kind_entry *entry = kind_config_map_get(object->config_map, "ca.crt");
    return entry == NULL ? TEXT_NONE : entry->bytes;
}

static struct verdict check_bundle(struct translation *t, const struct kind_object *object,
                                   struct store_key key)
{
    const char *reason = "InvalidCACertificateRef";
    bool is_map = key.kind == KIND_CONFIG_MAP;
    struct text pem = authorities_of(object);
    if (is_map && pem.data == NULL)
        return fail(t, reason, "lacks ca.crt", key, TEXT_NONE);
    struct text why = TEXT_NONE;
    if (!contains(pem, "-----BEGIN CERTIFICATE-----"))
        return fail(t, reason,
                    is_map ? "holds no PEM certificate in ca.crt"
                           : "holds no PEM certificate in trustBundle",
                    key, TEXT_NONE);
    if (t->options->check_ca != NULL && !t->options->check_ca(pem, &t->scratch, &why))
        return fail(t, reason, "holds no usable CA certificate: ", key, why);
    why = refusal_of(t, key);
    if (why.len > 0)
        return fail(t, reason, "was refused by a data plane: ", key, why);
    return (struct verdict){0};
}

struct verdict secrets_ca(struct translation *t, struct piece *piece,
                          const struct kind_object *referrer, const struct kind_ref *ref,
                          const char *kind_reason, struct store_key *ret_bundle)
{
    enum kind_id kind = kind_find(ref->group, ref->kind);
    if (kind != KIND_CONFIG_MAP && kind != KIND_CLUSTER_TRUST_BUNDLE)
        return wrong_kind(t, ref, kind_reason, "ConfigMap or ClusterTrustBundle");
    struct store_key key = {
        kind, ref->namespace.len > 0 ? ref->namespace : referrer->meta.namespace, ref->name};
    if (kind == KIND_CLUSTER_TRUST_BUNDLE)
        key.namespace = TEXT_NONE; /* the cluster's: no namespace has to permit it */
    else if (!is_permitted(t, piece, referrer, ref, key))
        return fail(t, "RefNotPermitted",
                    "is in another namespace and no ReferenceGrant permits it", key, TEXT_NONE);
    const struct kind_object *object = store_get(t->store, key.kind, key.namespace, key.name);
    if (object == NULL)
        return fail(t, "InvalidCACertificateRef", "does not exist", key, TEXT_NONE);
    struct verdict verdict = check_bundle(t, object, key);
    if (verdict.reason == NULL)
        *ret_bundle = key;
    return verdict;
}

struct text secrets_resource_name(struct arena *arena, struct store_key key)
{
    if (key.kind == KIND_SECRET)
        return piece_path(arena, key.namespace, key.name);
    return arena_printf(arena, "ca/%s/" TEXT_FMT "/" TEXT_FMT, kind_name(key.kind),
                        TEXT_ARG(key.namespace), TEXT_ARG(key.name));
}

void secrets_add_want(struct translation *t, struct piece *piece, struct store_key key)
{
    piece_add_want(piece, &(struct piece_want){.type = RESOURCE_SECRET,
                                               .resource = secrets_resource_name(&t->scratch, key),
                                               .object = key});
}

static ProtobufCBinaryData copy_of(struct arena *arena, struct text bytes)
{
    uint8_t *copy = arena_alloc(arena, bytes.len);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    return (ProtobufCBinaryData){bytes.len, copy};
}

static ProtobufCBinaryData bytes_of(struct arena *arena, const struct kind_entry *entry)
{
    return entry == NULL ? (ProtobufCBinaryData){0} : copy_of(arena, entry->bytes);
}

struct piece *secrets_piece(struct translation *t, struct store_key key)
{
    const struct kind_object *object = store_get(t->store, key.kind, key.namespace, key.name);
    if (object == NULL)
        return NULL;
    Nantian__Config__V1__Secret message = NANTIAN__CONFIG__V1__SECRET__INIT;
    if (key.kind == KIND_SECRET) {
        message.certificate_chain =
            bytes_of(&t->scratch, kind_secret_get(object->secret, "tls.crt"));
        message.private_key = bytes_of(&t->scratch, kind_secret_get(object->secret, "tls.key"));
    } else {
        message.ca = copy_of(&t->scratch, authorities_of(object));
    }
    struct piece *piece = piece_new(key);
    piece_add_resource(piece, RESOURCE_SECRET, secrets_resource_name(&t->scratch, key), &message,
                       &t->scratch);
    return piece;
}
