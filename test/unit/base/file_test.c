/* Descriptors that the parent closed, files replaced whole, a directory with one user. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char folder[64], path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/file-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/kept", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if a temporary file was left */
}

static void expect_content(const char *content)
{
    char found[64] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, found, sizeof(found) - 1) >= 0);
    close(fd);
    assert_string_equal(found, content);
}

static void a_file_is_replaced_with_its_mode(void **state)
{
    (void)state;
    struct stat facts;
    assert_true(file_replace(path, TEXT("first and long"), 0600));
    assert_true(file_replace(path, TEXT("second"), 0600));
    expect_content("second");
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
}

static void a_file_that_cannot_be_written_whole_stays_as_it_was(void **state)
{
    (void)state;
    assert_true(file_replace(path, TEXT("before"), 0600));
    pid_t child = fork();
    if (child == 0) { /* no file may be longer than this: stands for a full disk */
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        struct rlimit limit = {4, 4};
        bool is_set =
            sigaction(SIGXFSZ, &ignore, NULL) == 0 && setrlimit(RLIMIT_FSIZE, &limit) == 0;
        _exit(is_set && !file_replace(path, TEXT("much too long"), 0600) && errno == EFBIG ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_content("before");
}

static void a_folder_that_is_not_there_is_said(void **state)
{
    (void)state;
    assert_false(file_replace("/nonexistent/file", TEXT("x"), 0600));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_lock("/nonexistent"), -1);
    assert_int_equal(errno, ENOENT);
}

static void a_directory_is_taken_by_one_until_it_ends(void **state)
{
    (void)state;
    int first = file_lock(folder);
    assert_true(first >= 0);
    assert_int_equal(file_lock(folder), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(first);
    int second = file_lock(folder);
    assert_true(second >= 0);
    close(second);
}

static void closed_standard_descriptors_lead_nowhere(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        file_open_standard();
        bool is_harmless = write(STDOUT_FILENO, "x", 1) < 0 && errno == EBADF &&
                           write(STDERR_FILENO, "x", 1) == 1 &&
                           fcntl(STDIN_FILENO, F_GETFD) == 0; /* programs we start have them too */
        _exit(is_harmless ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_replaced_with_its_mode, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_written_whole_stays_as_it_was,
                                        make_folder, remove_folder),
        cmocka_unit_test(a_folder_that_is_not_there_is_said),
        cmocka_unit_test_setup_teardown(a_directory_is_taken_by_one_until_it_ends, make_folder,
                                        remove_folder),
        cmocka_unit_test(closed_standard_descriptors_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
