/* Parents of a route, in the order the specification gives: is the parent ours, is there such a
 * listener, may the route attach, do the hostnames meet. One listener that takes it is enough. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/attach.h"

#include "base/limits.h"
#include "control/store/namespaces.h"
#include "control/translate/listener_set.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/terms/hostname.h"

struct job {
    struct translation *t;
    struct piece *piece;
    const struct attach_route *route;
    struct attach_parent *parent;
};

static void say(struct job *job, enum fault_level level, const char *code, const char *hint,
                struct text message)
{
    struct piece_spot spot = {
        level, code, job->parent->ref->place,
        arena_printf(&job->t->scratch, "spec.parentRefs[%zu]", job->parent->index), text_of(hint)};
    piece_fault(job->piece, job->route->object, &spot, message);
}

static void refuse(struct job *job, const char *reason, struct text message)
{
    job->parent->refused = (struct verdict){reason, message};
    say(job, FAULT_ERROR, reason, "", message);
}

static const struct gateway_view *find_view(const struct translation *t, struct store_key gateway)
{
    char path[LIMIT_HOSTNAME * 2 + 2];
    struct text key = {path, gateway.namespace.len + 1 + gateway.name.len};
    if (key.len > sizeof(path))
        return NULL;
    memcpy(path, gateway.namespace.data, gateway.namespace.len);
    path[gateway.namespace.len] = '/';
    memcpy(path + gateway.namespace.len + 1, gateway.name.data, gateway.name.len);
    const struct gateway_entry *entry = outcome_gateway(t->outcome, key);
    return entry == NULL ? NULL : entry->view;
}

static void report_missing(struct job *job, struct store_key key)
{
    if (store_get(job->t->store, key.kind, key.namespace, key.name) != NULL)
        return; /* somebody else's, or its own fault says why */
    say(job, FAULT_ERROR, "ParentNotFound", "Name a Gateway or ListenerSet that exists.",
        arena_printf(&job->t->scratch, "The %s " TEXT_FMT "/" TEXT_FMT " does not exist.",
                     kind_name(key.kind), TEXT_ARG(key.namespace), TEXT_ARG(key.name)));
}

/* False: not ours. *ret_first and *ret_count say which listeners the parent has. */
static bool find_parent(struct job *job, size_t *ret_first, size_t *ret_count)
{
    struct attach_parent *parent = job->parent;
    struct store_key key = {parent->kind, parent->namespace, parent->ref->name};
    if (parent->kind == KIND_GATEWAY) {
        parent->view = find_view(job->t, key);
        if (parent->view == NULL) {
            report_missing(job, key);
            return false;
        }
        *ret_first = 0;
        *ret_count = parent->view->own_count;
        return true;
    }
    const struct kind_object *object = store_get(job->t->store, key.kind, key.namespace, key.name);
    if (object == NULL) {
        report_missing(job, key);
        return false;
    }
    struct store_key gateway = listener_set_parent(object);
    parent->view = gateway.kind == KIND_NONE ? NULL : find_view(job->t, gateway);
    const struct set_view *set = parent->view == NULL ? NULL : view_find_set(parent->view, key);
    if (set == NULL)
        return false;
    *ret_first = set->first;
    *ret_count = set->count;
    if (set->accepted.reason != NULL)
        refuse(job, "NotAllowedByListeners",
               arena_printf(&job->t->scratch, "The ListenerSet is not accepted: " TEXT_FMT,
                            TEXT_ARG(set->accepted.message)));
    return true;
}

static bool is_named(const struct attach_parent *parent, const struct listener_view *listener)
{
    const struct kind_parent_ref *ref = parent->ref;
    return (ref->section_name.len == 0 || text_equal(ref->section_name, listener->name)) &&
           (ref->port == 0 || ref->port == listener->port);
}

static bool is_allowed(const struct job *job, const struct listener_view *listener)
{
    const struct kind_object *object = job->route->object;
    return (listener->kinds >> object->id & 1) != 0 &&
           namespaces_allow(job->t->store, &listener->allowed, listener->namespace,
                            object->meta.namespace);
}

static bool meets(const struct attach_route *route, const struct listener_view *listener)
{
    if (route->hostname_count == 0)
        return true;
    for (size_t i = 0; i < route->hostname_count; i++) {
        if (hostname_intersects(route->hostnames[i], listener->hostname))
            return true;
    }
    return false;
}

static void explain(struct job *job, size_t named, size_t allowed)
{
    struct arena *arena = &job->t->scratch;
    const struct kind_parent_ref *ref = job->parent->ref;
    const struct kind_meta *meta = &job->route->object->meta;
    struct text parent =
        arena_printf(arena, "%s " TEXT_FMT "/" TEXT_FMT, kind_name(job->parent->kind),
                     TEXT_ARG(job->parent->namespace), TEXT_ARG(ref->name));
    if (named == 0) {
        struct text section = TEXT_NONE, port = TEXT_NONE;
        if (ref->section_name.len > 0)
            section = arena_printf(arena, " named \"" TEXT_FMT "\"", TEXT_ARG(ref->section_name));
        if (ref->port != 0)
            port = arena_printf(arena, " on port %d", (int)ref->port);
        refuse(job, "NoMatchingParent",
               arena_printf(arena, "The " TEXT_FMT " has no listener" TEXT_FMT TEXT_FMT ".",
                            TEXT_ARG(parent), TEXT_ARG(section), TEXT_ARG(port)));
    } else if (allowed == 0) {
        refuse(job, "NotAllowedByListeners",
               arena_printf(arena,
                            "No listener of the " TEXT_FMT " takes routes of the kind %s from the "
                            "namespace " TEXT_FMT ".",
                            TEXT_ARG(parent), kind_name(job->route->object->id),
                            TEXT_ARG(meta->namespace)));
    } else {
        refuse(job, "NoMatchingListenerHostname",
               arena_printf(arena,
                            "None of the route's hostnames fits a listener of the " TEXT_FMT ".",
                            TEXT_ARG(parent)));
    }
}

static void attach(struct job *job, size_t first, size_t count)
{
    struct attach_parent *parent = job->parent;
    parent->listeners = arena_array(&job->t->scratch, const struct listener_view *, count);
    size_t named = 0, allowed = 0;
    for (size_t i = first; i < first + count; i++) {
        const struct listener_view *listener = &parent->view->listeners[i];
        if (!is_named(parent, listener))
            continue;
        named++;
        if (job->route->is_unsupported || !is_allowed(job, listener))
            continue;
        allowed++;
        if (meets(job->route, listener))
            parent->listeners[parent->listener_count++] = listener;
    }
    bool is_excused = job->route->is_unsupported && named > 0;
    if (parent->listener_count == 0 && !is_excused)
        explain(job, named, allowed);
}

struct attach_parent *attach_parents(struct translation *t, struct piece *piece,
                                     const struct attach_route *route, size_t *ret_count)
{
    struct attach_parent *parents =
        arena_array(&t->scratch, struct attach_parent, route->parents->count);
    size_t found = 0;
    for (size_t i = 0; i < route->parents->count; i++) {
        const struct kind_parent_ref *ref = &route->parents->items[i];
        struct attach_parent *parent = &parents[found];
        *parent = (struct attach_parent){
            .ref = ref,
            .index = i,
            .kind = kind_find(ref->group, ref->kind),
            .namespace = ref->namespace.len > 0 ? ref->namespace : route->object->meta.namespace,
        };
        if (parent->kind != KIND_GATEWAY && parent->kind != KIND_LISTENER_SET)
            continue; /* a Service parent is a mesh's business */
        struct job job = {t, piece, route, parent};
        size_t first, count;
        if (!find_parent(&job, &first, &count))
            continue;
        found++;
        if (parent->refused.reason == NULL)
            attach(&job, first, count);
    }
    *ret_count = found;
    return parents;
}
