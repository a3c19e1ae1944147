/* fixture.h - the network of a test of nodes, which is its state: two or three offices in a row. */
#ifndef TESTS_UNIT_NODE_FIXTURE_H
#define TESTS_UNIT_NODE_FIXTURE_H

#include "tests/lib/check.h"
#include "tests/unit/node/net.h"

int net_set_up_two(void **state); /* hub and province, at rest */
int net_set_up_three(void **state);
int net_tear_down(void **state);

/* Puts an item into an office's journal as if its own program had. */
void net_slip_in(struct net *t, struct net_office *o, enum item_kind kind, const struct buf *b);
/* The same with the next changeset of its site, which its program would not have sealed: a row of
 * `note`, in this context (NULL: as it should be) and with this time. */
void net_forge(struct net *t, struct net_office *o, const struct clock *context, uint64_t hlc,
               const char *id);
void net_forge_change(struct net *t, struct net_office *o, const struct clock *context,
                      uint64_t hlc, enum change_kind kind, struct dot birth, const char *id);

struct forged_change {
    enum change_kind kind;
    struct dot birth;
    const char *id;
};
void net_forge_changes(struct net *t, struct net_office *o, const struct clock *context,
                       uint64_t hlc, const struct forged_change *change, uint32_t n);

#define TEST_OF_TWO(f) cmocka_unit_test_setup_teardown(f, net_set_up_two, net_tear_down)
#define TEST_OF_THREE(f) cmocka_unit_test_setup_teardown(f, net_set_up_three, net_tear_down)
/* Behind the file's own start. */
#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, start, net_tear_down)

/* Where `t` is the network. */
#define HUB (&t->office[0])
#define PROVINCE (&t->office[1])
#define DISTRICT (&t->office[2])

#endif
