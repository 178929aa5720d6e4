/* banff repack IN OUT: a data set with other chunks, other compression or in another order. */
#include "cli/args.h"
#include "cli/cmd.h"

#include <banff/data.h>

#include <stdlib.h>

static const char about[] =
    "Writes a data set anew, by all ranks; the result's bytes do not depend on how many there are. What IN states of "
    "its\n"
    "content is checked on the way. OUT may not exist. Without options, everything is stored as it was.\n";

static bnf_status parse_level(const char *text, int *level)
{
    char *end;
    if (!text)
        *level = -1;
    else if (text[0] == 'o' && text[1] == 'f' && text[2] == 'f' && !text[3])
        *level = 0;
    else {
        long value = strtol(text, &end, 10);
        if (*end || end == text || value < 1 || value > 9)
            return bnf_fail(BNF_ERR_CONFIG, "--compress %s: it must be off or a level from 1 to 9", text);
        *level = (int)value;
    }
    return BNF_OK;
}

static bnf_status parse_seed(const char *text, bnf_repack_options *o)
{
    char *end;
    if (!text)
        return BNF_OK;
    o->shuffle = true;
    o->seed = strtoull(text, &end, 10);
    if (*end || end == text || text[0] == '-')
        return bnf_fail(BNF_ERR_CONFIG, "--shuffle-once %s: it must be a number, the seed", text);
    return BNF_OK;
}

bnf_status bnf_cmd_repack(const bnf_comm *world, int argc, char **argv)
{
    bnf_arg_list files = {0};
    bnf_repack_options o = {0};
    const char *level = NULL, *seed = NULL;
    bool help = false;
    char checksum[17];
    const bnf_arg args[] = {
        {"chunk", "N", "images in a chunk: what is read and unpacked together", BNF_ARG_INT, &o.chunk_rows},
        {"compress", "LEVEL|off", "zlib level 1 to 9, or none", BNF_ARG_STR, &level},
        {"shuffle-once", "SEED", "bring the training samples into a random order", BNF_ARG_STR, &seed},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);

    BNF_TRY(bnf_args_parse(args, n, argc, argv, &files));
    if (help) {
        if (bnf_comm_rank(world) == 0)
            bnf_args_help(stdout, "repack IN OUT [options]", about, args, n);
        return BNF_OK;
    }
    if (files.count != 2)
        return bnf_fail(BNF_ERR_CONFIG, "repack: give the data set and the name of the new one");
    if (o.chunk_rows < 0)
        return bnf_fail(BNF_ERR_CONFIG, "--chunk %lld: it must be at least 1", (long long)o.chunk_rows);
    BNF_TRY(parse_level(level, &o.deflate));
    BNF_TRY(parse_seed(seed, &o));
    BNF_TRY(bnf_dataset_repack(world, files.item[0], files.item[1], &o, checksum));
    if (bnf_comm_rank(world) == 0)
        printf("%s: checksum %s\n", files.item[1], checksum);
    return BNF_OK;
}
