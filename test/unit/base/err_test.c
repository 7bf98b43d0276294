/* Each error has its word; a broken rule of ours ends the process. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/macros.h"
#include "test.h"

static void every_error_has_its_own_word(void **state)
{
    (void)state;
    for (int i = ERR_NONE; i <= ERR_SYSTEM; i++) {
        assert_non_null(err_name((enum err)i));
        assert_string_not_equal(err_name((enum err)i), "unknown");
        for (int j = ERR_NONE; j < i; j++)
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
    }
    assert_string_equal(err_name((enum err)99), "unknown");
    assert_string_equal(err_name((enum err) - 1), "unknown");
}

static void a_failed_check_aborts(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        CHECK(child != 0);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_word),
        cmocka_unit_test(a_failed_check_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
