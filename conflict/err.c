#include "conflict/err.h"

static const char *const name_of[ERR_COUNT] = {
    [ERR_OK] = "ok",
    [ERR_MALFORMED] = "malformed",
    [ERR_LIMIT] = "over the limit",
    [ERR_NOT_FOUND] = "not found",
    [ERR_EXISTS] = "exists already",
    [ERR_BUSY] = "busy",
    [ERR_IO] = "input or output failed",
    [ERR_CORRUPT] = "corrupt",
    [ERR_FULL] = "disk full",
    [ERR_REFUSED] = "refused",
    [ERR_GAP] = "gap",
    [ERR_CAUSAL] = "context not here yet",
    [ERR_SIGNATURE] = "bad signature",
    [ERR_IDENTITY] = "identity in doubt",
    [ERR_CLOCK] = "clock is wrong",
    [ERR_SCHEMA] = "schema does not fit",
    [ERR_CONSTRAINT] = "constraint failed",
    [ERR_USAGE] = "usage",
    [ERR_STATE] = "not possible now",
    [ERR_NOTHING] = "so already",
};

const char *err_name(enum err e)
{
    if ((unsigned)e >= ERR_COUNT)
        return "unknown error";
    return name_of[e];
}
