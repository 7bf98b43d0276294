/* Secret, ConfigMap and ClusterTrustBundle. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/secret.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct kind_entry *find(const struct kind_entry *entries, size_t count,
                                     const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (text_is(entries[i].key, key))
            return &entries[i];
    return NULL;
}

const struct kind_entry *kind_secret_get(const struct kind_secret *secret, const char *key)
{
    return find(secret->entries, secret->entry_count, key);
}

const struct kind_entry *kind_config_map_get(const struct kind_config_map *map, const char *key)
{
    return find(map->entries, map->entry_count, key);
}

static const struct decode_field secret_fields[] = {
    {"type", DECODE_TEXT, .offset = offsetof(struct kind_secret, type), .otherwise = "Opaque"},
    {"data", DECODE_BASE64, .offset = offsetof(struct kind_secret, entries),
     .second = offsetof(struct kind_secret, entry_count), .format = &format_data_key},
    {"stringData", DECODE_ENTRIES, .offset = offsetof(struct kind_secret, entries),
     .second = offsetof(struct kind_secret, entry_count), .format = &format_data_key},
    {.name = "immutable"},
    {.name = "apiVersion"},
    {.name = "kind"},
    {.name = "metadata"},
};

static void check_secret(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_secret *secret = out;
    static const char *const keys[] = {"tls.crt", "tls.key"};
    if (!text_is(secret->type, "kubernetes.io/tls"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (kind_secret_get(secret, keys[i]) == NULL)
            decode_add(
                decode,
                &(struct decode_fault){.code = "MissingField",
                                       .at = map,
                                       .child = decode_child(decode, "data[\"%s\"]", keys[i])},
                "%s is required when type is kubernetes.io/tls", keys[i]);
}

const struct decode_shape kind_shape_secret = {
    .size = sizeof(struct kind_secret),
    .fields = secret_fields,
    .count = ARRAY_LEN(secret_fields),
    .check = check_secret,
};

static const struct decode_field config_map_fields[] = {
    {"data", DECODE_ENTRIES, .offset = offsetof(struct kind_config_map, entries),
     .second = offsetof(struct kind_config_map, entry_count), .format = &format_data_key},
    {"binaryData", DECODE_BASE64, .offset = offsetof(struct kind_config_map, entries),
     .second = offsetof(struct kind_config_map, entry_count), .format = &format_data_key},
    {.name = "immutable"},
    {.name = "apiVersion"},
    {.name = "kind"},
    {.name = "metadata"},
};

const struct decode_shape kind_shape_config_map = {
    .size = sizeof(struct kind_config_map),
    .fields = config_map_fields,
    .count = ARRAY_LEN(config_map_fields),
};

static const struct decode_field bundle_fields[] = {
    {"signerName", DECODE_TEXT, .offset = offsetof(struct kind_cluster_trust_bundle, signer_name)},
    {"trustBundle", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_cluster_trust_bundle, trust_bundle)},
};

const struct decode_shape kind_shape_cluster_trust_bundle = {
    .size = sizeof(struct kind_cluster_trust_bundle),
    .fields = bundle_fields,
    .count = ARRAY_LEN(bundle_fields),
};
