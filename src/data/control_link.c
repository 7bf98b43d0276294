/* Finds the control planes. What is a number or a path is used at once; a name is asked for again
 * and again, while traffic is served from disk, and the link goes where it leads then. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/control_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "data/upstream/resolve.h"
#include "net/tls.h"

#define FILE_MAX (1u << 20)

/* What a name of the options led to last. */
struct found {
    struct address *addresses; /* owns */
    size_t count;
};

struct control_link {
    struct loop *loop;
    const struct options *options;
    void *owner;
    void (*on_link)(void *owner);
    struct resolve *resolve;
    struct tls_context *tls;
    struct link *link;
    struct text server_name;
    struct found found[OPTIONS_LIST_MAX]; /* by their place there */
};

struct place {
    struct text host;
    uint16_t port;
    struct address address; /* len 0: a name */
};

/* "host:port", "[::1]:port", "unix:/path". */
static bool parse_place(const char *text, struct place *ret_place)
{
    struct text whole = text_of(text);
    *ret_place = (struct place){0};
    if (address_parse_endpoint(whole, &ret_place->address))
        return true;
    ret_place->address.len = 0;
    size_t colon = whole.len;
    while (colon > 0 && whole.data[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon < 2 || !text_to_u64(text_slice(whole, colon, whole.len), &port) || port == 0 ||
        port > UINT16_MAX)
        return false;
    ret_place->host = text_slice(whole, 0, colon - 1);
    ret_place->port = (uint16_t)port;
    return true;
}

static struct builder read_file(const char *path, bool *ret_good)
{
    struct builder out = {0};
    FILE *file = fopen(path, "re");
    *ret_good = file != NULL;
    while (file != NULL && out.len < FILE_MAX) {
        char *at = builder_reserve(&out, 4096);
        size_t got = fread(at, 1, 4096, file);
        out.len += got;
        if (got == 0)
            break;
    }
    if (file != NULL)
        fclose(file);
    if (!*ret_good)
        log_error("a file cannot be read", log_str("path", path));
    return out;
}

static bool load_certificate(const struct options *options, struct tls_client_options *tls)
{
    bool chain_good, key_good;
    const char *why = "";
    struct builder chain = read_file(options->xds_cert, &chain_good);
    struct builder key = read_file(options->xds_key, &key_good);
    if (chain_good && key_good)
        tls->certificate = tls_certificate_new(builder_text(&chain), builder_text(&key), &why);
    if (chain_good && key_good && tls->certificate == NULL)
        log_error("the certificate for the control plane cannot be used", log_str("why", why));
    builder_fini(&chain);
    if (key.data != NULL)
        explicit_bzero(key.data, key.cap);
    builder_fini(&key);
    return tls->certificate != NULL;
}

static bool make_tls(struct control_link *control)
{
    static const char *const ALPN[] = {"h2", NULL};
    const struct options *options = control->options;
    struct tls_client_options tls = {.alpn = ALPN};
    bool is_good;
    const char *why = "";
    if (options->xds_ca == NULL)
        return true;
    struct builder ca = read_file(options->xds_ca, &is_good);
    tls.ca_pem = builder_text(&ca);
    if (is_good && options->xds_cert != NULL)
        is_good = load_certificate(options, &tls);
    if (is_good) {
        control->tls = tls_client_new(&tls, &why);
        if (control->tls == NULL)
            log_error("TLS to the control plane cannot be set up", log_str("why", why));
    }
    tls_certificate_unref(tls.certificate);
    builder_fini(&ca);
    return control->tls != NULL;
}

/* All that is known now, in the order of the options; the caller's to free. */
static struct address *list_addresses(const struct control_link *control, size_t *ret_count)
{
    size_t room = control->options->xds_count, count = 0;
    for (size_t i = 0; i < control->options->xds_count; i++)
        room += control->found[i].count;
    struct address *list = memory_alloc((room + 1) * sizeof(*list));
    for (size_t i = 0; i < control->options->xds_count; i++) {
        const struct found *found = &control->found[i];
        struct place place;
        if (!parse_place(control->options->xds[i], &place))
            continue;
        if (place.address.len > 0)
            list[count++] = place.address;
        for (size_t j = 0; j < found->count; j++) {
            list[count] = found->addresses[j];
            address_set_port(&list[count++], place.port);
        }
    }
    *ret_count = count;
    return list;
}

static void make_link(struct control_link *control)
{
    size_t count;
    struct address *list = list_addresses(control, &count);
    struct link_options link = {
        .loop = control->loop,
        .addresses = list,
        .count = count,
        .tls = control->tls,
        .server_name = control->server_name,
        .token_file = control->options->xds_token,
    };
    bool is_first = control->link == NULL && count > 0;
    if (is_first)
        control->link = link_new(&link);
    else if (count > 0)
        link_set_addresses(control->link, list, count);
    free(list);
    if (is_first)
        control->on_link(control->owner);
}

static void on_resolved(void *owner, struct text key, const struct address *addresses, size_t count)
{
    struct control_link *control = owner;
    for (size_t i = 0; i < control->options->xds_count; i++) {
        struct found *found = &control->found[i];
        if (!text_is(key, control->options->xds[i]))
            continue;
        found->addresses = memory_resize(found->addresses, count * sizeof(*addresses));
        memcpy(found->addresses, addresses, count * sizeof(*addresses));
        found->count = count;
    }
    make_link(control);
}

struct control_link *control_link_new(struct loop *loop, const struct options *options, void *owner,
                                      void (*on_link)(void *owner))
{
    struct control_link *control = memory_new(struct control_link);
    *control =
        (struct control_link){.loop = loop, .options = options, .owner = owner, .on_link = on_link};
    control->resolve = resolve_new(loop, on_resolved, control);
    for (size_t i = 0; i < options->xds_count; i++) {
        struct place place;
        if (!parse_place(options->xds[i], &place)) {
            log_error("the address of a control plane is not valid",
                      log_str("xds", options->xds[i]));
            control_link_free(control);
            return NULL;
        }
        if (control->server_name.len == 0)
            control->server_name = place.host;
    }
    if (options->xds_name != NULL)
        control->server_name = text_of(options->xds_name);
    bool is_named = options->xds_ca == NULL || control->server_name.len > 0;
    if (!is_named)
        log_error("a control plane that is named by its IP address cannot be verified",
                  log_str("xds", options->xds[0]),
                  log_str("hint", "say --xds-server-name, a name of its certificate"));
    if (is_named && control->resolve != NULL && make_tls(control))
        return control;
    control_link_free(control);
    return NULL;
}

void control_link_free(struct control_link *control)
{
    if (control == NULL)
        return;
    link_free(control->link);
    resolve_free(control->resolve);
    tls_context_unref(control->tls);
    for (size_t i = 0; i < OPTIONS_LIST_MAX; i++)
        free(control->found[i].addresses);
    free(control);
}

void control_link_start(struct control_link *control)
{
    resolve_begin(control->resolve);
    for (size_t i = 0; i < control->options->xds_count; i++) {
        struct place place;
        if (parse_place(control->options->xds[i], &place) && place.address.len == 0)
            resolve_want(control->resolve, text_of(control->options->xds[i]), place.host);
    }
    resolve_commit(control->resolve);
    make_link(control);
}

struct link *control_link_get(const struct control_link *control)
{
    return control->link;
}

const char *control_link_why(const struct control_link *control)
{
    return control->options->xds_count == 0 ? "no control plane is configured"
                                            : "the control plane's name has no address yet";
}
