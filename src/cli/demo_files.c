/* The demo's files, as text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_files.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/file.h"

static const char GATEWAY[] =
    "# A Gateway says where traffic comes in. No GatewayClass is needed in a directory.\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: Gateway\n"
    "metadata:\n"
    "  name: demo\n"
    "spec:\n"
    "  gatewayClassName: nantian\n"
    "  listeners:\n"
    "    - name: http\n"
    "      protocol: HTTP\n"
    "      port: %u\n";

static const char ROUTES[] =
    "# An HTTPRoute says which requests go where. Rules are tried in the order that the Gateway "
    "API\n"
    "# defines: longer paths first, then more headers; ask `nantian explain` why one won.\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: HTTPRoute\n"
    "metadata:\n"
    "  name: echo\n"
    "spec:\n"
    "  parentRefs:\n"
    "    - name: demo\n"
    "  rules:\n"
    "    # Requests with this header meet the new version.\n"
    "    - name: canary\n"
    "      matches:\n"
    "        - headers:\n"
    "            - name: x-canary\n"
    "              value: \"yes\"\n"
    "      backendRefs:\n"
    "        - name: echo-v2\n"
    "          port: 80\n"
    "    # Nine of ten requests stay with the old one.\n"
    "    - name: stable\n"
    "      backendRefs:\n"
    "        - name: echo-v1\n"
    "          port: 80\n"
    "          weight: 90\n"
    "        - name: echo-v2\n"
    "          port: 80\n"
    "          weight: 10\n"
    "      timeouts:\n"
    "        request: 10s\n"
    "---\n"
    "# Filters change requests and responses, or answer themselves.\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: HTTPRoute\n"
    "metadata:\n"
    "  name: filters\n"
    "spec:\n"
    "  parentRefs:\n"
    "    - name: demo\n"
    "  rules:\n"
    "    - matches:\n"
    "        - path:\n"
    "            value: /old\n"
    "      filters:\n"
    "        - type: RequestRedirect\n"
    "          requestRedirect:\n"
    "            path:\n"
    "              type: ReplacePrefixMatch\n"
    "              replacePrefixMatch: /new\n"
    "            statusCode: 301\n"
    "    - matches:\n"
    "        - path:\n"
    "            value: /new\n"
    "      filters:\n"
    "        - type: URLRewrite\n"
    "          urlRewrite:\n"
    "            path:\n"
    "              type: ReplacePrefixMatch\n"
    "              replacePrefixMatch: /\n"
    "        - type: RequestHeaderModifier\n"
    "          requestHeaderModifier:\n"
    "            set:\n"
    "              - name: x-from\n"
    "                value: new\n"
    "        - type: ResponseHeaderModifier\n"
    "          responseHeaderModifier:\n"
    "            add:\n"
    "              - name: x-served-by\n"
    "                value: nantian\n"
    "      backendRefs:\n"
    "        - name: echo-v1\n"
    "          port: 80\n";

static const char SERVICES[] =
    "# In a cluster EndpointSlices say where a Service's pods are; in a directory the annotation "
    "may.\n"
    "# Written anew at each start of the demo: the backends take free ports.\n"
    "apiVersion: v1\n"
    "kind: Service\n"
    "metadata:\n"
    "  name: echo-v1\n"
    "  annotations:\n"
    "    gateway.nantian.dev/addresses: 127.0.0.1:%u\n"
    "spec:\n"
    "  ports:\n"
    "    - port: 80\n"
    "---\n"
    "apiVersion: v1\n"
    "kind: Service\n"
    "metadata:\n"
    "  name: echo-v2\n"
    "  annotations:\n"
    "    gateway.nantian.dev/addresses: 127.0.0.1:%u\n"
    "spec:\n"
    "  ports:\n"
    "    - port: 80\n";

static bool write_file(struct text directory, const char *name, struct text content, bool replace)
{
    char path[4096];
    snprintf(path, sizeof(path), TEXT_FMT "/%s", TEXT_ARG(directory), name);
    if (!replace && access(path, F_OK) == 0)
        return true;
    return file_replace(path, content, 0644);
}

bool demo_files_write(struct text directory, const struct demo_ports *ports)
{
    struct builder out = {0};
    builder_printf(&out, GATEWAY, ports->gateway);
    bool written = write_file(directory, "gateway.yaml", builder_text(&out), false) &&
                   write_file(directory, "routes.yaml", text_of(ROUTES), false);
    builder_clear(&out);
    builder_printf(&out, SERVICES, ports->echo[0], ports->echo[1]);
    written = written && write_file(directory, "services.yaml", builder_text(&out), true);
    builder_fini(&out);
    return written;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

void demo_files_remove_tree(const char *root)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
