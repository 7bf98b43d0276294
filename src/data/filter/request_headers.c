/* Sets, adds and removes header fields of the request. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/filters.h"
#include "data/filter/header_edit.h"

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    struct header_edit *edit = arena_new(arena, struct header_edit);
    *ret_config = edit;
    return header_edit_compile(message, true, arena, edit, fault);
}

static enum filter_verdict on_request(struct exchange *x, const void *config, void *state)
{
    (void)state;
    const struct header_edit *edit = config;
    header_edit_apply(edit, x->request, x->arena);
    if (edit->host.len > 0)
        x->host_rewrite = edit->host;
    return FILTER_NEXT;
}

const struct filter_type filter_request_headers = {
    .name = "request_headers",
    .compile = compile,
    .on_request = on_request,
};
