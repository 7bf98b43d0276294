/* Finds the control planes. What is a number or a path is used at once; a name is asked for until
 * there is an answer, while traffic is served from disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/control_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "data/upstream/resolve.h"
#include "net/tls.h"

#define FILE_MAX (1u << 20)

struct control_link {
    struct loop *loop;
    const struct options *options;
    void *owner;
    void (*on_link)(void *owner);
    struct resolve *resolve;
    struct tls_context *tls;
    struct link *link;
    struct text server_name;
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

static void make_link(struct control_link *control, const struct address *more, size_t more_count,
                      struct text more_key)
{
    struct address *list = memory_alloc((OPTIONS_LIST_MAX + more_count) * sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < control->options->xds_count; i++) {
        struct place place;
        if (!parse_place(control->options->xds[i], &place))
            continue;
        if (place.address.len > 0)
            list[count++] = place.address;
        for (size_t j = 0; j < more_count && text_is(more_key, control->options->xds[i]); j++) {
            list[count] = more[j];
            address_set_port(&list[count++], place.port);
        }
    }
    struct link_options link = {
        .loop = control->loop,
        .addresses = list,
        .count = count,
        .tls = control->tls,
        .server_name = control->server_name,
        .token_file = control->options->xds_token,
    };
    if (count > 0)
        control->link = link_new(&link);
    free(list);
    if (control->link != NULL)
        control->on_link(control->owner);
}

static void on_resolved(void *owner, struct text key, const struct address *addresses, size_t count)
{
    struct control_link *control = owner;
    if (control->link == NULL)
        make_link(control, addresses, count, key);
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
    free(control);
}

void control_link_start(struct control_link *control)
{
    bool has_number = false;
    resolve_begin(control->resolve);
    for (size_t i = 0; i < control->options->xds_count; i++) {
        struct place place;
        if (!parse_place(control->options->xds[i], &place))
            continue;
        if (place.address.len > 0)
            has_number = true;
        else
            resolve_want(control->resolve, text_of(control->options->xds[i]), place.host);
    }
    resolve_commit(control->resolve);
    if (has_number)
        make_link(control, NULL, 0, TEXT_NONE);
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
