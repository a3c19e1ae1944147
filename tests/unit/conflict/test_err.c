#include "conflict/err.h"
#include "tests/lib/check.h"

#include <string.h>

/* Every error has a name of its own, and a number that is none has one too. */
static void every_error_has_its_own_name(void **state)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_non_null(err_name((enum err)i));
        assert_true(strlen(err_name((enum err)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
    }
    assert_string_equal(err_name((enum err)ERR_COUNT), "unknown error");
    assert_string_equal(err_name((enum err) - 1), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_name),
    };
    return check_run(tests);
}
