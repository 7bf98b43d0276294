/* Directory, or file -> store -> outcome, without a socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/regex.h"
#include "net/tls_check.h"

static bool load_file(struct source *source, enum kind_mode mode, const char *path)
{
    const char *slash = strrchr(path, '/');
    source->files =
        files_new(slash == NULL ? TEXT(".") : text_from(path, (size_t)(slash + 1 - path)), mode,
                  source->store);
    return files_load_one(source->files, text_of(slash == NULL ? path : slash + 1));
}

static bool load_directory(struct source *source, enum kind_mode mode, const char *path)
{
    source->files = files_new(text_of(path), mode, source->store);
    return files_load(source->files);
}

bool source_load(struct source *source, const struct cli_verb *verb, const char *path,
                 enum kind_mode mode)
{
    *source = (struct source){0};
    struct stat facts;
    if (stat(path, &facts) != 0) {
        cli_complain(verb, "%s: %s", path, strerrordesc_np(errno));
        return false;
    }
    if (!S_ISDIR(facts.st_mode) && !S_ISREG(facts.st_mode)) {
        cli_complain(verb, "%s is neither a directory nor a file", path);
        return false;
    }
    source->options = (struct translate_options){
        .standalone = true,
        .check_certificate = tls_check_certificate,
        .check_ca = tls_check_ca,
        .check_regex = regex_check,
    };
    source->store = store_new();
    if (!(S_ISDIR(facts.st_mode) ? load_directory : load_file)(source, mode, path)) {
        cli_complain(verb, "%s: %s", path, strerrordesc_np(errno));
        source_fini(source);
        return false;
    }
    source->outcome = translate(source->store, &source->options);
    return true;
}

void source_fini(struct source *source)
{
    files_free(source->files);
    outcome_free(source->outcome);
    store_free(source->store);
    *source = (struct source){0};
}
