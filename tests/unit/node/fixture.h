/* fixture.h - the network of a test of nodes, which is its state: two or three offices in a row. */
#ifndef TESTS_UNIT_NODE_FIXTURE_H
#define TESTS_UNIT_NODE_FIXTURE_H

#include "tests/lib/check.h"
#include "tests/unit/node/net.h"

int net_set_up_two(void **state); /* hub and province, at rest */
int net_set_up_three(void **state);
int net_tear_down(void **state);

#define TEST_OF_TWO(f) cmocka_unit_test_setup_teardown(f, net_set_up_two, net_tear_down)
#define TEST_OF_THREE(f) cmocka_unit_test_setup_teardown(f, net_set_up_three, net_tear_down)
/* Behind the file's own start. */
#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, start, net_tear_down)

/* Where `t` is the network. */
#define HUB (&t->office[0])
#define PROVINCE (&t->office[1])
#define DISTRICT (&t->office[2])

#endif
