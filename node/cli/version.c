#include "node/cli/cli.h"

#include "protocol/message.h"

#include <stdio.h>

int command_version(struct cli *c, int argc, char **argv)
{
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code != CLI_OK)
        return code;
    if (c->json)
        cli_print_json(json_pack("{s:i, s:s, s:i}", "schema", CLI_SCHEMA, "version", TONLE_VERSION,
                                 "protocol", PROTOCOL_VERSION));
    else
        cli_print("tonle %s (protocol %d)\n", TONLE_VERSION, PROTOCOL_VERSION);
    return CLI_OK;
}
