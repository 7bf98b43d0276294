/* Flags, one table; a mistake is named with what to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "data/ceiling.h"
#include "net/tls.h"

#define WORKERS_MAX 256
#define MEMORY_MIN  (16u << 20) /* less would refuse everything */

static const char USAGE[] =
    "usage: nantian-proxy --xds ADDRESS [FLAGS]\n"
    "\n"
    "The data plane: serves traffic by the configuration that a control plane sends.\n"
    "\n"
    "  --xds ADDRESS            a control plane: unix:/path or host:port; may be repeated\n"
    "  --xds-ca FILE            TLS: what the control plane's certificate must be signed by\n"
    "  --xds-cert FILE          TLS: our certificate, with --xds-key\n"
    "  --xds-key FILE\n"
    "  --xds-token FILE         who we are, as a token of a Kubernetes service account\n"
    "  --xds-server-name NAME   TLS: the name in its certificate (the host of --xds)\n"
    "  --node NAME              who we are (the host name)\n"
    "  --zone NAME              where we run, for endpoints that are meant for a zone\n"
    "                           ($NANTIAN_ZONE)\n"
    "  --gateway NAMESPACE/NAME the one Gateway to serve, or /CLASS (all that there are)\n"
    "  --state-dir DIR          keeps the last good snapshot; ours alone, mode 0700\n"
    "  --take-over              take the sockets of the one that serves from --state-dir,\n"
    "                           which drains once this one serves; nobody there: start as usual\n"
    "  --admin ADDRESS          health, metrics, dump; may be repeated, or off\n"
    "                           (127.0.0.1:19000)\n"
    "  --workers N              threads that serve (one a core)\n"
    "  --access-log WHERE       a file, stdout or off (stdout)\n"
    "  --default-address IP     for listeners that name none; may be repeated (0.0.0.0)\n"
    "  --drain-delay MS         between the signal and the end of accepting (0)\n"
    "  --drain-timeout MS       how long requests may finish (60000)\n"
    "  --memory-max SIZE        bytes, or with Ki, Mi, Gi, or off: from there on new requests get "
    "503\n"
    "                           (75 % of the cgroup's limit, if it has one)\n"
    "  --handshake-rate N       TLS handshakes a second, and at once, that one client address may\n"
    "                           begin beside others, or off (1000)\n"
    "  --log-format FORMAT      json or text, access log included (json)\n"
    "  --log-level LEVEL        debug, info, warn or error (info)\n"
    "  --version                what this is\n"
    "  --help                   this\n"
    "\n"
    "Signals: TERM and INT drain, USR1 reopens the access log. To restart without losing a\n"
    "request, start a second one with --take-over.\n";

static bool wrong(const char *format, const char *a, const char *b)
{
    /* one write: the other plane may be speaking */
    fprintf(stderr, "nantian-proxy: %s%s%s; --help lists the flags\n", a, format, b);
    return false;
}

static bool add(const char **list, size_t *count, const char *flag, const char *value)
{
    if (*count == OPTIONS_LIST_MAX)
        return wrong(": too many values, the last is ", flag, value);
    list[(*count)++] = value;
    return true;
}

static bool number(const char *flag, const char *value, uint64_t min, uint64_t max,
                   uint64_t *ret_number)
{
    uint64_t parsed;
    if (!text_to_u64(text_of(value), &parsed) || parsed < min || parsed > max)
        return wrong(": not a number in range: ", flag, value);
    *ret_number = parsed;
    return true;
}

static bool take_workers(struct options *options, const char *flag, const char *value)
{
    uint64_t parsed;
    if (!number(flag, value, 1, WORKERS_MAX, &parsed))
        return false;
    options->workers = (uint32_t)parsed;
    return true;
}

static bool take_default(struct options *options, const char *flag, const char *value)
{
    struct address address;
    if (!address_parse(text_of(value), 0, &address))
        return wrong(": not an IP address: ", flag, value);
    if (options->default_address_count == OPTIONS_LIST_MAX)
        return wrong(": too many values, the last is ", flag, value);
    options->default_addresses[options->default_address_count++] = text_of(value);
    return true;
}

static bool take_admin(struct options *options, const char *flag, const char *value)
{
    struct address address;
    if (strcmp(value, "off") == 0) {
        options->admin_count = 0;
        return true;
    }
    if (!address_parse_endpoint(text_of(value), &address))
        return wrong(": not an address (127.0.0.1:19000, unix:/path, off): ", flag, value);
    return add(options->admin, &options->admin_count, flag, value);
}

static bool take_xds(struct options *options, const char *flag, const char *value)
{
    struct text text = text_of(value);
    if (!text_starts_with(text, TEXT("unix:")) && text_find(text, ':', 0) == text.len)
        return wrong(": not an address (unix:/path, host:port): ", flag, value);
    return add(options->xds, &options->xds_count, flag, value);
}

static bool take_format(struct options *options, const char *flag, const char *value)
{
    options->log_as_text = strcmp(value, "text") == 0;
    if (!options->log_as_text && strcmp(value, "json") != 0)
        return wrong(": json or text, not ", flag, value);
    return true;
}

static bool take_level(struct options *options, const char *flag, const char *value)
{
    if (!log_level_parse(text_of(value), &options->log_level))
        return wrong(": debug, info, warn or error, not ", flag, value);
    return true;
}

static bool take_node(struct options *options, const char *flag, const char *value)
{
    if (value[0] == '\0' || strlen(value) > LIMIT_HOSTNAME)
        return wrong(": 1 to 253 bytes, not ", flag, value);
    free(options->node);
    options->node = memory_string(text_of(value));
    return true;
}

static bool take_gateway(struct options *options, const char *flag, const char *value)
{
    const char *slash = strchr(value, '/');
    if (slash == NULL || slash[1] == '\0' || strchr(slash + 1, '/') != NULL)
        return wrong(": NAMESPACE/NAME or /CLASS, not ", flag, value);
    options->gateway = value;
    return true;
}

/* The flags whose value is kept as it is. */
static const char **plain_flag(struct options *options, const char *flag)
{
    const struct {
        const char *flag;
        const char **place;
    } flags[] = {
        {"--xds-ca", &options->xds_ca},       {"--xds-cert", &options->xds_cert},
        {"--xds-key", &options->xds_key},     {"--xds-server-name", &options->xds_name},
        {"--state-dir", &options->state_dir}, {"--access-log", &options->access_log},
        {"--xds-token", &options->xds_token}, {"--zone", &options->zone},
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strcmp(flags[i].flag, flag) == 0)
            return flags[i].place;
    return NULL;
}

static bool take_delay(struct options *options, const char *flag, const char *value)
{
    return number(flag, value, 0, 3600000, &options->drain_delay_ms);
}

static bool take_timeout(struct options *options, const char *flag, const char *value)
{
    return number(flag, value, 0, 86400000, &options->drain_timeout_ms);
}

static bool take_memory(struct options *options, const char *flag, const char *value)
{
    static const struct {
        struct text suffix;
        unsigned shift;
    } units[] = {{{"Ki", 2}, 10}, {{"Mi", 2}, 20}, {{"Gi", 2}, 30}};
    struct text text = text_of(value);
    uint64_t parsed = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (text_ends_with(text, units[i].suffix)) {
            shift = units[i].shift;
            text.len -= 2;
            break;
        }
    }
    bool is_off = text_is(text, "off");
    if (!is_off && (!text_to_u64(text, &parsed) || parsed > UINT64_MAX >> shift ||
                    parsed << shift < MEMORY_MIN))
        return wrong(": not off, nor a size from 16Mi on: ", flag, value);
    options->memory_max = is_off ? 0 : parsed << shift;
    return true;
}

static bool take_handshakes(struct options *options, const char *flag, const char *value)
{
    bool is_off = strcmp(value, "off") == 0;
    options->handshake_rate = 0;
    return is_off || number(flag, value, 1, 1000000, &options->handshake_rate);
}

typedef bool (*take_flag)(struct options *options, const char *flag, const char *value);

static take_flag find_flag(const char *flag)
{
    static const struct {
        const char *flag;
        take_flag take;
    } flags[] = {
        {"--xds", take_xds},           {"--node", take_node},
        {"--gateway", take_gateway},   {"--admin", take_admin},
        {"--workers", take_workers},   {"--default-address", take_default},
        {"--drain-delay", take_delay}, {"--drain-timeout", take_timeout},
        {"--log-format", take_format}, {"--log-level", take_level},
        {"--memory-max", take_memory}, {"--handshake-rate", take_handshakes},
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strcmp(flags[i].flag, flag) == 0)
            return flags[i].take;
    return NULL;
}

static void set_defaults(struct options *options)
{
    char host[256] = "nantian-proxy";
    const char *zone = getenv("NANTIAN_ZONE");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
        memcpy(host, "nantian-proxy", sizeof("nantian-proxy"));
    *options = (struct options){
        .node = memory_string(text_of(host)),
        .workers = cores < 1 ? 1 : (uint32_t)MIN(cores, WORKERS_MAX),
        .zone = zone == NULL ? "" : zone,
        .access_log = "stdout",
        .log_level = LOG_INFO,
        .drain_delay_ms = LIMIT_DRAIN_DELAY_MS,
        .drain_timeout_ms = LIMIT_DRAIN_TIMEOUT_MS,
        .handshake_rate = LIMIT_HANDSHAKE_RATE,
        .memory_max = ceiling_default("/proc/self/cgroup", "/sys/fs/cgroup"),
    };
}

static bool take(struct options *options, char *flag, const char *value)
{
    const char **place = plain_flag(options, flag);
    take_flag function = find_flag(flag);
    if (place == NULL && function == NULL)
        return wrong(": no such flag", flag, "");
    if (value == NULL)
        return wrong(" needs a value", flag, "");
    if (place != NULL) {
        *place = value;
        return true;
    }
    return function(options, flag, value);
}

/* Asked for before anything is begun: to try again later would not help. No reader of a pipe, a
 * full disk and what else may pass are left to who opens it in earnest. */
static bool log_has_place(const char *path)
{
    if (strcmp(path, "stdout") == 0 || strcmp(path, "off") == 0)
        return true;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || (errno != ENOENT && errno != ENOTDIR && errno != EISDIR && errno != EACCES &&
                       errno != ELOOP && errno != ENAMETOOLONG && errno != EROFS);
}

static bool is_complete(struct options *options, bool admin_given)
{
    if (!admin_given)
        options->admin[options->admin_count++] = "127.0.0.1:19000";
    if ((options->xds_cert == NULL) != (options->xds_key == NULL))
        return wrong(" and --xds-key belong together", "--xds-cert", "");
    if (options->xds_cert != NULL && options->xds_ca == NULL)
        return wrong(" needs --xds-ca", "--xds-cert", "");
    if (options->xds_token != NULL && options->xds_ca == NULL)
        return wrong(" needs --xds-ca: a token is not shown to just anybody", "--xds-token", "");
    if (options->take_over && options->state_dir == NULL)
        return wrong(" needs --state-dir", "--take-over", "");
    if (options->xds_count == 0 && options->state_dir == NULL)
        return wrong(" is missing: nothing would ever be served", "--xds", "");
    if (!log_has_place(options->access_log)) {
        fprintf(stderr, "nantian-proxy: --access-log %s: %s\n", options->access_log,
                strerrordesc_np(errno));
        return false;
    }
    return true;
}

enum options_result options_parse(struct options *options, int argc, char **argv)
{
    bool admin_given = false;
    set_defaults(options);
    for (int i = 1; i < argc; i++) {
        char *flag = argv[i], *equals = strchr(flag, '=');
        if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) {
            fputs(USAGE, stdout);
            return OPTIONS_EXIT;
        }
        if (strcmp(flag, "--version") == 0) {
            printf("nantian-proxy %s (%s)\n", NANTIAN_VERSION, tls_library());
            return OPTIONS_EXIT;
        }
        if (strcmp(flag, "--take-over") == 0) {
            options->take_over = true;
            continue;
        }
        bool is_joined = flag[0] == '-' && equals != NULL;
        if (is_joined)
            *equals = '\0';
        const char *value = is_joined ? equals + 1 : i + 1 < argc ? argv[i + 1] : NULL;
        if (!take(options, flag, value))
            return OPTIONS_WRONG;
        admin_given = admin_given || strcmp(flag, "--admin") == 0;
        i += !is_joined;
    }
    return is_complete(options, admin_given) ? OPTIONS_RUN : OPTIONS_WRONG;
}

void options_fini(struct options *options)
{
    free(options->node);
    options->node = NULL;
}
