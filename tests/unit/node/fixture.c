#include "tests/unit/node/fixture.h"

static struct net net;

int net_set_up_two(void **state)
{
    net_start(&net);
    net_grow(&net, "province", "12", "hub");
    *state = &net;
    return net_settle(&net, 20000) ? 0 : -1;
}

int net_set_up_three(void **state)
{
    net_three(&net);
    *state = &net;
    return 0;
}

int net_tear_down(void **state)
{
    net_stop(*state);
    return 0;
}
