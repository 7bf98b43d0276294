/* {"nodes": 1, "cuts": [{"digest", "seen": {"epoch", "kinds": {"Gateway": 7}}, "gateways": []}],
 * "refusals": [{"type", "name", "digest", "why"}], "claim": {"epoch", "kinds"}} */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/statement.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/value.h"

#define CLOSING 4096 /* of LIMIT_RELAY_BYTES, for what follows the lists */

static void write_version(struct json *json, const char *key,
                          const struct snapshot_version *version)
{
    json_object_begin(json, key);
    json_int(json, "epoch", (int64_t)version->epoch);
    json_object_begin(json, "kinds");
    for (uint32_t i = 0; i < version->count; i++)
        json_int(json, version->vector[i].kind, (int64_t)version->vector[i].revision);
    json_object_end(json);
    json_object_end(json);
}

static void write_digest(struct json *json, struct digest digest)
{
    char hex[33];
    digest_format(digest, hex);
    json_string(json, "digest", hex);
}

bool statement_write(const struct statement *statement, struct builder *out)
{
    const size_t room = LIMIT_RELAY_BYTES - CLOSING;
    bool fits = true;
    struct json json;
    json_init(&json, out, 0);
    json_object_begin(&json, NULL);
    json_int(&json, "nodes", (int64_t)statement->nodes);
    if (statement->claim != NULL)
        write_version(&json, "claim", statement->claim);
    json_array_begin(&json, "refusals");
    for (size_t i = 0; i < statement->refusal_count && (fits = out->len < room); i++) {
        const struct statement_refusal *refusal = &statement->refusals[i];
        json_object_begin(&json, NULL);
        json_string(&json, "type", types_name(refusal->type));
        json_text(&json, "name", refusal->name);
        write_digest(&json, refusal->digest);
        json_text(&json, "why", refusal->why);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_array_begin(&json, "cuts");
    for (size_t i = 0; i < statement->cut_count && (fits = fits && out->len < room); i++) {
        const struct statement_cut *cut = &statement->cuts[i];
        json_object_begin(&json, NULL);
        write_digest(&json, cut->digest);
        write_version(&json, "seen", &cut->seen);
        json_array_begin(&json, "gateways");
        for (size_t k = 0; k < cut->gateway_count && (fits = out->len < room); k++)
            json_text(&json, NULL, cut->gateways[k]);
        json_array_end(&json);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    return fits;
}

/* ---- reading ---- */

static bool read_version(const struct value *value, struct snapshot_version *ret)
{
    const struct value *kinds = value_get(value, "kinds");
    *ret = (struct snapshot_version){.epoch = (uint64_t)value_int(value_get(value, "epoch"), 0)};
    if (kinds == NULL || kinds->kind != VALUE_MAP)
        return false;
    for (size_t i = 0; i < kinds->map.count; i++) {
        int64_t revision = value_int(kinds->map.members[i].value, -1);
        if (revision < 0 || !version_set(ret, kinds->map.members[i].key, (uint64_t)revision))
            return false;
    }
    return true;
}

static bool read_digest(const struct value *value, struct digest *ret)
{
    struct text hex = value_string(value_get(value, "digest"));
    return hex.len == 32 && text_hex_to_u64(text_slice(hex, 0, 16), &ret->high) &&
           text_hex_to_u64(text_slice(hex, 16, 32), &ret->low);
}

static size_t list_count(const struct value *list)
{
    return list != NULL && list->kind == VALUE_LIST ? list->list.count : 0;
}

static bool read_cut(const struct value *value, struct arena *arena, struct statement_cut *ret)
{
    const struct value *gateways = value_get(value, "gateways");
    ret->gateway_count = list_count(gateways);
    ret->gateways = arena_array(arena, struct text, ret->gateway_count + 1);
    for (size_t i = 0; i < ret->gateway_count; i++)
        ret->gateways[i] = value_string(gateways->list.items[i]);
    return read_digest(value, &ret->digest) && read_version(value_get(value, "seen"), &ret->seen);
}

static bool read_refusal(const struct value *value, struct statement_refusal *ret)
{
    ret->name = value_string(value_get(value, "name"));
    ret->why = value_string(value_get(value, "why"));
    return types_from_name(value_string(value_get(value, "type")), &ret->type) &&
           read_digest(value, &ret->digest);
}

bool statement_read(struct text text, struct arena *arena, struct statement *ret)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, arena);
    bool good = value_parse_json(text, TEXT_NONE, arena, &value, &faults);
    faults_fini(&faults);
    if (!good)
        return false;
    const struct value *cuts = value_get(value, "cuts"), *refusals = value_get(value, "refusals");
    struct statement_cut *all = arena_array(arena, struct statement_cut, list_count(cuts) + 1);
    struct statement_refusal *refused =
        arena_array(arena, struct statement_refusal, list_count(refusals) + 1);
    *ret = (struct statement){.nodes = (uint64_t)value_int(value_get(value, "nodes"), 0),
                              .cuts = all,
                              .refusals = refused};
    for (size_t i = 0; i < list_count(cuts); i++)
        ret->cut_count += read_cut(cuts->list.items[i], arena, &all[ret->cut_count]);
    for (size_t i = 0; i < list_count(refusals); i++)
        ret->refusal_count += read_refusal(refusals->list.items[i], &refused[ret->refusal_count]);
    if (value_get(value, "claim") != NULL) {
        struct snapshot_version *claim = arena_new(arena, struct snapshot_version);
        ret->claim = read_version(value_get(value, "claim"), claim) ? claim : NULL;
    }
    return true;
}
