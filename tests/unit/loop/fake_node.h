/* fake_node.h - the fake node's inside, shared by fake_node.c and fake.c. */
#ifndef TESTS_UNIT_LOOP_FAKE_NODE_H
#define TESTS_UNIT_LOOP_FAKE_NODE_H

#include "tests/unit/loop/fake.h"

struct node {
    const struct fake *fake;
    int reports;
    bool inside, spin;
    unsigned timers, timer_ms, spins;
    uint64_t deadline_ms;
    struct buf scratch;
    char text[300], reply[64], touch[256];
};
void fake_tell(struct node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
