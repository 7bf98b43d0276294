/* Changes the host and the path of the request that is sent to the backend. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/path_edit.h"

struct url_rewrite {
    struct text hostname; /* empty: keep */
    struct path_edit path;
};

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__UrlRewrite *from = message;
    struct url_rewrite *config = arena_new(arena, struct url_rewrite);
    config->hostname = arena_text(arena, text_of(from->hostname));
    if (!path_edit_host_is_valid(config->hostname)) {
        fault->field = TEXT("hostname");
        fault->what = TEXT("is not a host name");
        return ERR_INVALID;
    }
    *ret_config = config;
    return path_edit_compile(from->path, arena, &config->path, fault);
}

static enum filter_verdict on_request(struct exchange *x, const void *opaque, void *state)
{
    (void)state;
    const struct url_rewrite *config = opaque;
    if (config->hostname.len > 0)
        x->host_rewrite = config->hostname;
    if (config->path.kind != PATH_EDIT_NONE) {
        struct text path = path_edit_apply(&config->path, x);
        if (x->original_path.len == 0)
            x->original_path = x->request->path;
        x->request->path = path;
    }
    return FILTER_NEXT;
}

const struct filter_type filter_url_rewrite = {
    .name = "url_rewrite",
    .compile = compile,
    .on_request = on_request,
};
