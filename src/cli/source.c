/* Directory -> store -> outcome, without a socket. A single file counts as well. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/regex.h"
#include "net/tls_check.h"

bool source_load(struct source *source, const struct cli_verb *verb, const char *directory,
                 enum kind_mode mode)
{
    *source = (struct source){0};
    struct stat facts;
    if (stat(directory, &facts) != 0) {
        cli_complain(verb, "%s: %s", directory, strerrordesc_np(errno));
        return false;
    }
    if (!S_ISDIR(facts.st_mode)) {
        cli_complain(verb, "%s is not a directory", directory);
        return false;
    }
    source->options = (struct translate_options){
        .standalone = true,
        .check_certificate = tls_check_certificate,
        .check_ca = tls_check_ca,
        .check_regex = regex_check,
    };
    source->store = store_new();
    source->files = files_new(text_of(directory), mode, source->store);
    if (!files_load(source->files)) {
        cli_complain(verb, "%s: %s", directory, strerrordesc_np(errno));
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
