/* check.h - what every test program begins with: cmocka with the headers that it needs, and checks
 * that tell errors by their names.
 */
#ifndef TESTS_LIB_CHECK_H
#define TESTS_LIB_CHECK_H

#include "conflict/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* The call gives this error, or ERR_OK; otherwise the test fails with the names of both. */
#define assert_err(call, wanted) check_err((call), (wanted), "", #call, __FILE__, __LINE__)
#define assert_ok(call) assert_err(call, ERR_OK)
/* ERR_OK; otherwise the test fails with what the store says. */
#define assert_store_ok(s, call)                                                                   \
    do {                                                                                           \
        enum err check_e = (call);                                                                 \
        check_err(check_e, ERR_OK, check_e ? store_message(s) : "", #call, __FILE__, __LINE__);    \
    } while (0)

/* The same of a call that is a whole transaction of this store. */
#define assert_committed(s, call)                                                                  \
    do {                                                                                           \
        assert_store_ok(s, store_begin(s));                                                        \
        assert_store_ok(s, call);                                                                  \
        assert_store_ok(s, store_commit(s));                                                       \
    } while (0)

static inline void check_err(enum err e, enum err wanted, const char *message, const char *call,
                             const char *file, int line)
{
    if (e == wanted)
        return;
    print_error("%s: %s instead of %s: %s\n", call, err_name(e), err_name(wanted), message);
    _fail(file, line);
}

/* A test between the file's own start and stop. */
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

/* The whole of main: runs an array of tests, behind a group's set-up. ONLY=pattern in the
 * environment: those whose names fit. */
#define check_run(tests) check_run_after(NULL, tests)
#define check_run_after(set_up, tests)                                                             \
    (cmocka_set_test_filter(getenv("ONLY")),                                                       \
     cmocka_run_group_tests_name(__FILE__, tests, set_up, NULL))

#endif
