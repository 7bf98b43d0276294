/* nantian install: prints what is to be applied to a cluster. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/install.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "control/kind/format.h"

#define NAMESPACE     "nantian-system"
#define REPLICAS_MAX  100
#define IMAGE_CONTROL "image: nantian-control"
#define IMAGE_PROXY   "- nantian-proxy"
#define REPLICAS      "replicas: 2"

struct install {
    const char *namespace, *image, *proxy_image; /* NULL: as it is */
    uint64_t replicas;                           /* 0: as it is */
    struct builder out;
};

/* In quotes, as JSON has them: YAML reads them so. */
static void add_quoted(struct install *install, const char *value)
{
    builder_add_char(&install->out, '"');
    json_escape(&install->out, text_of(value));
    builder_add_char(&install->out, '"');
}

/* Each thing that may be another one stands alone at the end of its line. */
static void add_line(struct install *install, struct text line)
{
    struct builder *out = &install->out;
    struct text words = text_trim(line);
    struct text upto;
    if (install->namespace != NULL && text_ends_with(line, TEXT(": " NAMESPACE))) {
        builder_add(out, text_slice(line, 0, line.len - strlen(NAMESPACE)));
        add_quoted(install, install->namespace);
    } else if (install->image != NULL && text_is(words, IMAGE_CONTROL)) {
        upto = text_slice(line, 0, text_find(line, ':', 0) + 2);
        builder_add(out, upto);
        add_quoted(install, install->image);
    } else if (install->proxy_image != NULL && text_is(words, IMAGE_PROXY)) {
        upto = text_slice(line, 0, text_find(line, '-', 0) + 2);
        builder_add(out, upto);
        add_quoted(install, install->proxy_image);
    } else if (install->replicas != 0 && text_is(words, REPLICAS)) {
        upto = text_slice(line, 0, text_find(line, ':', 0) + 2);
        builder_add(out, upto);
        builder_add_u64(out, install->replicas);
    } else {
        builder_add(out, line);
    }
    builder_add_char(out, '\n');
}

static void print_all(struct install *install)
{
    struct text text = text_of(install_text);
    for (size_t at = 0; at < text.len;) {
        size_t end = text_find(text, '\n', at);
        add_line(install, text_slice(text, at, end));
        at = end + 1;
    }
    fwrite(install->out.data, 1, install->out.len, stdout);
    builder_fini(&install->out);
}

static int run(int argc, char **argv)
{
    struct install install = {0};
    struct cli_args args;
    cli_args_init(&args, &cli_install, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_install);
            return CLI_OK;
        }
        if (cli_args_is(&args, "namespace", 'n'))
            install.namespace = cli_args_value(&args);
        else if (cli_args_is(&args, "image", '\0'))
            install.image = cli_args_value(&args);
        else if (cli_args_is(&args, "proxy-image", '\0'))
            install.proxy_image = cli_args_value(&args);
        else if (cli_args_is(&args, "replicas", '\0'))
            install.replicas = cli_args_number(&args, 1, REPLICAS_MAX);
        else
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    if (install.namespace != NULL && !format_label.matches(text_of(install.namespace))) {
        cli_complain(&cli_install, "`%s` is no name of a namespace: it must be %s",
                     install.namespace, format_label.what);
        return CLI_USAGE;
    }
    print_all(&install);
    return CLI_OK;
}

const struct cli_verb cli_install = {
    .name = "install",
    .summary = "print the manifests of a cluster's control plane",
    .usage = "[FLAGS] | kubectl apply --server-side -f -\n\n"
             "  --namespace NAME     where the control plane runs (nantian-system, -n)\n"
             "  --image IMAGE        of the control plane (nantian-control)\n"
             "  --proxy-image IMAGE  of data planes (nantian-proxy)\n"
             "  --replicas N         of the control plane (2)\n\n"
             "Gateway API's own definitions are not among them.",
    .run = run,
};
