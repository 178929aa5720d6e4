/* banff synth shapes: generated sets of pictures. */
#include "cli/args.h"
#include "cli/cmd.h"

#include <banff/data.h>

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static bnf_status synth_shapes(const bnf_comm *world, int argc, char **argv)
{
    bnf_import_output output = {0};
    bnf_synth_shapes_options o = {.channels = 1, .noise = 20.0};
    bnf_import_summary summary;
    const char *size = "28x28";
    int64_t train = 10000, test = 2000, seed = 0, deflate = 0;
    bool help = false;
    const bnf_arg args[] = {
        {"out", "FILE", "the HDF5 file to write (needed)", BNF_ARG_STR, &output.path},
        {"train", "N", "training images (default 10000)", BNF_ARG_INT, &train},
        {"test", "N", "test images (default 2000; 0: no test part)", BNF_ARG_INT, &test},
        {"size", "HxW", "size of the images (default 28x28)", BNF_ARG_STR, &size},
        {"channels", "1|3", "grey or colour (default 1)", BNF_ARG_INT, &o.channels},
        {"noise", "S", "standard deviation of the noise in grey levels (default 20)", BNF_ARG_REAL, &o.noise},
        {"seed", "S", "another seed, other images (default 0)", BNF_ARG_INT, &seed},
        {"deflate", "N", "compress with zlib level 1 to 9 (default 0: not)", BNF_ARG_INT, &deflate},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help},
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (help) {
        if (bnf_comm_rank(world) == 0)
            bnf_args_help(stdout, "synth shapes --out FILE [options]",
                          "Generates ten classes of shapes and gratings; the same options give the same images.", args,
                          COUNT(args));
        return BNF_OK;
    }
    if (!output.path)
        return bnf_fail(BNF_ERR_CONFIG, "--out FILE is needed");
    if (deflate < 0 || deflate > 9)
        return bnf_fail(BNF_ERR_CONFIG, "--deflate %lld: it must be 0 to 9", (long long)deflate);
    BNF_TRY(bnf_args_size("size", size, &o.height, &o.width));
    output.deflate = (int)deflate;
    o.count[BNF_TRAIN] = train;
    o.count[BNF_TEST] = test;
    o.seed = (uint64_t)seed;
    BNF_TRY(bnf_synth_shapes(world, &o, &output, &summary));
    if (bnf_comm_rank(world) == 0)
        printf("%s: %lld training and %lld test images of %lld x %lld x %lld, %lld classes, checksum %s\n", output.path,
               (long long)summary.count[BNF_TRAIN], (long long)summary.count[BNF_TEST], (long long)summary.h,
               (long long)summary.w, (long long)summary.c, (long long)summary.classes, summary.checksum);
    return BNF_OK;
}

bnf_status bnf_cmd_synth(const bnf_comm *world, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "shapes") == 0)
        return synth_shapes(world, argc - 1, argv + 1);
    if (argc < 2 || strcmp(argv[1], "--help") != 0)
        return bnf_fail(BNF_ERR_CONFIG, "synth: '%s' is no generator; there is: shapes", argc > 1 ? argv[1] : "");
    if (bnf_comm_rank(world) == 0)
        printf("usage: banff synth shapes --out FILE [options]   (--help after shapes lists them)\n\n"
               "Generates a set of labelled images.\n");
    return BNF_OK;
}
