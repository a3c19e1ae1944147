/* rooms.h - the public headers of the store's rooms at once: for tests that drive a whole store. */
#ifndef TESTS_LIB_ROOMS_H
#define TESTS_LIB_ROOMS_H

#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/capture/publish.h"
#include "node/check/check.h"
#include "node/db/query.h"
#include "node/desk/desk.h"
#include "node/journal/journal.h"
#include "node/journal/registry.h"
#include "node/load/load.h"
#include "node/state/state.h"
#include "node/store/store.h"

#endif
