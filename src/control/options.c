/* Strict: an unknown flag, a missing value or an unreadable file ends the start with a sentence. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "control/files/directory.h"

static const char USAGE[] =
    "nantian-control: the control plane over a directory of Gateway API YAML, or over a cluster\n\n"
    "  --directory DIR         *.yaml, *.yml and *.json in it are the configuration\n"
    "  --kubeconfig FILE  --context NAME\n"
    "                          the cluster is the configuration; in a pod neither flag is needed\n"
    "  --proxy-image IMAGE     each Gateway of the cluster gets data planes of its own\n"
    "  --lease SECONDS         of replicas, another one writes so long after the one that writes\n"
    "                          was heard of last (10)\n"
    "  --relist SECONDS        every kind of the cluster is listed again so often (600), in case\n"
    "                          the API server lost an event\n"
    "  --state-dir DIR         keeps the version counter over restarts\n"
    "  --xds ADDR              where data planes come: unix:PATH or IP:PORT (repeatable)\n"
    "  --xds-cert FILE  --xds-key FILE  --xds-client-ca FILE\n"
    "                          mutual TLS; required for IP:PORT, but in a cluster, where\n"
    "                          the certificate is ours and data planes show a token\n"
    "  --certificate-life SECONDS\n"
    "                          of our own certificate, which is replaced in time (30 days)\n"
    "  --admin ADDR            API, health and metrics: unix:PATH or IP:PORT (repeatable)\n"
    "  --default-address IP    where Gateways without spec.addresses bind\n"
    "  --session-key FILE      signs sessions; the same for all replicas (else: of the cluster's\n"
    "                          Secret with our certificate, or made and kept in DIR)\n"
    "  --controller-name NAME  of the GatewayClasses that are ours\n"
    "  --log-format json|text  --log-level debug|info|warn|error\n"
    "  --version  --help\n";

static int complain(const char *flag, const char *what)
{
    fprintf(stderr, "nantian-control: %s %s; see --help\n", flag, what);
    return 2;
}

static int read_address(const char *flag, const char *value, struct address *list, size_t *count)
{
    if (*count == OPTIONS_ADDRESSES)
        return complain(flag, "is given too often");
    if (!address_parse_endpoint(text_of(value), &list[*count]))
        return complain(flag, "wants unix:PATH or IP:PORT");
    (*count)++;
    return -1;
}

static int read_file(struct options *options, const char *flag, const char *path,
                     struct text *ret_content)
{
    const char *why = directory_read(path, &options->arena, ret_content);
    if (why == NULL)
        return -1;
    fprintf(stderr, "nantian-control: %s: %s: %s\n", flag, path, why);
    return 2;
}

static int read_life(struct options *options, const char *flag, struct text text)
{
    uint64_t seconds = 0;
    if (!text_to_u64(text, &seconds) || seconds < 3 || seconds > LIMIT_AUTHORITY_S)
        return complain(flag, "wants a number of seconds, 3 at least");
    options->certificate_s = (uint32_t)seconds;
    return -1;
}

static int read_seconds(const char *flag, struct text text, uint32_t *ret_ms)
{
    uint64_t seconds = 0;
    if (!text_to_u64(text, &seconds) || seconds == 0 || seconds > 86400)
        return complain(flag, "wants seconds, 1 to 86400");
    *ret_ms = (uint32_t)seconds * 1000;
    return -1;
}

/* From the root: whoever reads it in our answers may stand elsewhere. Links are not followed, for
 * they may be swapped. */
static struct text absolute(struct text path, struct arena *arena)
{
    char here[PATH_MAX];
    if (path.len == 0 || path.data[0] == '/' || getcwd(here, sizeof(here)) == NULL)
        return path;
    while (text_starts_with(path, TEXT("./")))
        path = text_slice(path, 2, path.len);
    if (path.len == 0 || text_is(path, "."))
        return arena_text(arena, text_of(here));
    return arena_printf(arena, "%s/" TEXT_FMT, here, TEXT_ARG(path));
}

static int read_flag(struct options *options, const char *flag, const char *value)
{
    struct text name = text_of(flag + 2), text = text_of(value);
    if (text_is(name, "directory"))
        options->directory = absolute(text, &options->arena);
    else if (text_is(name, "kubeconfig"))
        options->kubeconfig = text;
    else if (text_is(name, "proxy-image"))
        options->proxy_image = text;
    else if (text_is(name, "certificate-life"))
        return read_life(options, flag, text);
    else if (text_is(name, "context"))
        options->context = text;
    else if (text_is(name, "state-dir"))
        options->state_dir = text;
    else if (text_is(name, "xds"))
        return read_address(flag, value, options->xds, &options->xds_count);
    else if (text_is(name, "admin"))
        return read_address(flag, value, options->admin, &options->admin_count);
    else if (text_is(name, "xds-cert"))
        return read_file(options, flag, value, &options->certificate);
    else if (text_is(name, "xds-key"))
        return read_file(options, flag, value, &options->key);
    else if (text_is(name, "xds-client-ca"))
        return read_file(options, flag, value, &options->client_ca);
    else if (text_is(name, "session-key"))
        return read_file(options, flag, value, &options->session_key);
    else if (text_is(name, "relist"))
        return read_seconds(flag, text, &options->relist_ms);
    else if (text_is(name, "lease"))
        return read_seconds(flag, text, &options->lease_ms);
    else if (text_is(name, "default-address"))
        options->default_address = text;
    else if (text_is(name, "controller-name"))
        options->controller = text;
    else if (text_is(name, "log-format") && (text_is(text, "json") || text_is(text, "text")))
        options->log_as_text = text_is(text, "text");
    else if (text_is(name, "log-format"))
        return complain(flag, "is json or text");
    else if (!text_is(name, "log-level"))
        return complain(flag, "is not a flag");
    else if (!log_level_parse(text, &options->log_level))
        return complain(flag, "is debug, info, warn or error");
    return -1;
}

bool options_are_for_cluster(const struct options *options)
{
    return options->kubeconfig.len > 0 ||
           (options->directory.len == 0 && getenv("KUBERNETES_SERVICE_HOST") != NULL);
}

static int check(const struct options *options)
{
    if (options->directory.len > 0 && options->kubeconfig.len > 0)
        return complain("--directory", "and --kubeconfig exclude each other");
    if (options->directory.len == 0 && !options_are_for_cluster(options))
        return complain("--directory or --kubeconfig", "is missing");
    if (options->state_dir.len == 0)
        return complain("--state-dir", "is missing");
    if (options->xds_count == 0)
        return complain("--xds", "is missing");
    struct address address;
    if (options->default_address.len > 0 && !address_parse(options->default_address, 0, &address))
        return complain("--default-address", "wants an IP address");
    bool has_tls =
        options->certificate.len > 0 && options->key.len > 0 && options->client_ca.len > 0;
    for (size_t i = 0; i < options->xds_count; i++)
        if (options->xds[i].any.sa_family != AF_UNIX && !has_tls &&
            !options_are_for_cluster(options))
            return complain("--xds IP:PORT", "wants --xds-cert, --xds-key and --xds-client-ca");
    return -1;
}

int control_options_read(struct options *options, int argc, char **argv)
{
    *options = (struct options){
        .log_level = LOG_INFO, .relist_ms = LIMIT_KUBE_RELIST_MS, .lease_ms = LIMIT_LEASE_MS};
    arena_init(&options->arena, 0);
    for (int i = 1; i < argc; i++) {
        struct text flag = text_of(argv[i]);
        if (text_is(flag, "--help") || text_is(flag, "-h")) {
            fputs(USAGE, stdout);
            return 0;
        }
        if (text_is(flag, "--version")) {
            printf("nantian-control %s\n", NANTIAN_VERSION);
            return 0;
        }
        if (!text_starts_with(flag, TEXT("--")))
            return complain(argv[i], "is not a flag");
        if (i + 1 == argc)
            return complain(argv[i], "wants a value");
        int code = read_flag(options, argv[i], argv[i + 1]);
        if (code >= 0)
            return code;
        i++;
    }
    return check(options);
}

void control_options_fini(struct options *options)
{
    arena_fini(&options->arena);
}
