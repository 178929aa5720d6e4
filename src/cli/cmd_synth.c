/* banff synth shapes|glyphs|wasserstein|koch|showers: generated sets. */
#include "cli/cmd.h"
#include "cli/output.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* Options that all generators have. */
struct common {
    bnf_import_output output;
    int64_t train, test, deflate;
    bool help;
};
/* clang-format off */
#define COMMON_ARGS(c)                                                                                \
    {"out", "FILE", "the HDF5 file to write (needed)", BNF_ARG_STR, &(c).output.path},                \
    {"train", "N", "training images (default 10000)", BNF_ARG_INT, &(c).train},                       \
    {"test", "N", "test images (default 2000; 0: no test part)", BNF_ARG_INT, &(c).test},             \
    {"deflate", "N", "compress with zlib level 1 to 9 (default 0: not)", BNF_ARG_INT, &(c).deflate},  \
    {"help", NULL, "print this", BNF_ARG_FLAG, &(c).help}
/* clang-format on */
static const struct common defaults = {.train = 10000, .test = 2000};

static bnf_status finish_common(struct common *c, int64_t count[BNF_SPLIT_COUNT])
{
    BNF_TRY(bnf_output_check(&c->output, c->deflate));
    count[BNF_TRAIN] = c->train;
    count[BNF_TEST] = c->test;
    return BNF_OK;
}

static bnf_status synth_shapes(const bnf_comm *world, int argc, char **argv)
{
    struct common c = defaults;
    bnf_synth_shapes_options o = {.channels = 1, .noise = 20.0};
    bnf_import_summary summary;
    const char *size = "28x28";
    int64_t seed = 0;
    const bnf_arg args[] = {
        {"size", "HxW", "size of the images (default 28x28)", BNF_ARG_STR, &size},
        {"channels", "1|3", "grey or colour (default 1)", BNF_ARG_INT, &o.channels},
        {"noise", "S", "standard deviation of the noise in grey levels (default 20)", BNF_ARG_REAL, &o.noise},
        {"seed", "S", "another seed, other images (default 0)", BNF_ARG_INT, &seed},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(world, "synth shapes --out FILE [options]",
                               "Generates ten classes of shapes and gratings; the same options give the same images.",
                               args, COUNT(args));
    BNF_TRY(finish_common(&c, o.count));
    BNF_TRY(bnf_args_size("size", size, &o.height, &o.width));
    o.seed = (uint64_t)seed;
    BNF_TRY(bnf_synth_shapes(world, &o, &c.output, &summary));
    bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

static bnf_status synth_glyphs(const bnf_comm *world, int argc, char **argv)
{
    struct common c = defaults;
    bnf_synth_glyphs_options o = {.noise = 30.0};
    bnf_import_summary summary;
    const char *size = "16x16";
    int64_t seed = 0;
    const bnf_arg args[] = {
        {"size", "HxW", "size of the images (default 16x16)", BNF_ARG_STR, &size},
        {"noise", "S", "standard deviation of the noise in grey levels (default 30)", BNF_ARG_REAL, &o.noise},
        {"seed", "S", "another seed, other images (default 0)", BNF_ARG_INT, &seed},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(world, "synth glyphs --out FILE [options]",
                               "Generates ten classes of digits, about 7 pixels high, anywhere on a canvas of noise.",
                               args, COUNT(args));
    BNF_TRY(finish_common(&c, o.count));
    BNF_TRY(bnf_args_size("size", size, &o.height, &o.width));
    o.seed = (uint64_t)seed;
    BNF_TRY(bnf_synth_glyphs(world, &o, &c.output, &summary));
    bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

static bnf_status synth_wasserstein(const bnf_comm *world, int argc, char **argv)
{
    struct common c = defaults;
    bnf_synth_wasserstein_options o = {.size = 64, .side = 35};
    bnf_import_summary summary;
    const bnf_arg args[] = {
        {"size", "N", "side of the images (default 64)", BNF_ARG_INT, &o.size},
        {"side", "N", "side of the centred squares, which is the distance of the classes (default 35)", BNF_ARG_INT,
         &o.side},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(
            world, "synth wasserstein --out FILE [options]",
            "Generates f32 images of two classes: zero, and zero with a square of ones or of minus ones. "
            "Their Wasserstein-1\ndistance is the side of the square.",
            args, COUNT(args));
    BNF_TRY(finish_common(&c, o.count));
    BNF_TRY(bnf_synth_wasserstein(world, &o, &c.output, &summary));
    bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

static bnf_status synth_koch(const bnf_comm *world, int argc, char **argv)
{
    struct common c = defaults;
    bnf_synth_koch_options o = {.order = 3, .radius = {1, 0.5}};
    bnf_import_summary summary;
    int64_t seed = 0;
    const bnf_arg args[] = {
        {"order", "N", "refinements of the triangles, 0 to 8 (default 3)", BNF_ARG_INT, &o.order},
        {"outer", "R", "radius of class 0, to the corners of the triangle (default 1)", BNF_ARG_REAL, &o.radius[0]},
        {"inner", "R", "radius of class 1 (default 0.5)", BNF_ARG_REAL, &o.radius[1]},
        {"seed", "S", "another seed, other points (default 0)", BNF_ARG_INT, &seed},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(world, "synth koch --out FILE [options]",
                               "Generates points of the plane (f32 images of one pixel, channels x and y) on two Koch "
                               "snowflakes,\nuniform by arc length.",
                               args, COUNT(args));
    BNF_TRY(finish_common(&c, o.count));
    o.seed = (uint64_t)seed;
    BNF_TRY(bnf_synth_koch(world, &o, &c.output, &summary));
    bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

static bnf_status synth_showers(const bnf_comm *world, int argc, char **argv)
{
    static const char *const forms[] = {"sparse", "dense"};
    struct common c = defaults;
    bnf_synth_showers_options o = {.each_signal = {0, 500}};
    bnf_import_summary summary;
    bnf_arg_list signals = {0};
    const char *store = "sparse";
    int64_t seed = 0;
    int form;
    const bnf_arg args[] = {
        {"train-signal", "N", "training events of every class but QCD (default 0)", BNF_ARG_INT,
         &o.each_signal[BNF_TRAIN]},
        {"test-signal", "N", "test events of every class but QCD (default 500)", BNF_ARG_INT, &o.each_signal[BNF_TEST]},
        {"signal", "NAME",
         "a class beside QCD; may be repeated (default: all of suep125, suep200, suep300, suep400, "
         "suep700, suep1000, svj44, svj54)",
         BNF_ARG_LIST, &signals},
        {"fine", NULL, "286 x 360 cells of tracks, ECAL and HCAL instead of a mask of 72 x 58", BNF_ARG_FLAG, &o.fine},
        {"active", "SHARE", "of fine cells that are hit, for measurements of speed (default: as events have it)",
         BNF_ARG_REAL, &o.active},
        {"sectors", NULL, "four images of 36 x 28 for every event, one after the other", BNF_ARG_FLAG, &o.sectors},
        {"store", "FORM", "sparse: only cells that are not zero (default); dense: all", BNF_ARG_STR, &store},
        {"seed", "S", "another seed, other events (default 0)", BNF_ARG_INT, &seed},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(world, "synth showers --out FILE [options]",
                               "Generates images of collider events: QCD, soft isotropic showers of several masses, "
                               "semi-visible jets.\n--train and --test count QCD events.",
                               args, COUNT(args));
    BNF_TRY(finish_common(&c, o.qcd));
    BNF_TRY(bnf_args_choice("store", store, forms, COUNT(forms), &form));
    c.output.sparse = form == 0;
    if (o.fine && o.sectors)
        return bnf_fail(BNF_ERR_CONFIG, "--sectors are cut out of masks: leave --fine out");
    o.signal_count = signals.count;
    o.signals = signals.item;
    o.seed = (uint64_t)seed;
    BNF_TRY(bnf_synth_showers(world, &o, &c.output, &summary));
    bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

/* A new generator: one function and one line here. */
static const struct bnf_cmd generators[] = {
    {"shapes", "ten classes of shapes and gratings", synth_shapes},
    {"glyphs", "ten digits anywhere on a canvas of noise", synth_glyphs},
    {"wasserstein", "two classes of images at a known Wasserstein-1 distance", synth_wasserstein},
    {"koch", "points of the plane on two Koch snowflakes", synth_koch},
    {"showers", "collider events as sparse detector images: QCD and signals of a dark sector", synth_showers},
};

bnf_status bnf_cmd_synth(const bnf_comm *world, int argc, char **argv)
{
    for (int i = 0; argc > 1 && i < COUNT(generators); i++)
        if (strcmp(argv[1], generators[i].name) == 0)
            return generators[i].fn(world, argc - 1, argv + 1);
    if (argc < 2 || strcmp(argv[1], "--help") != 0)
        return bnf_fail(BNF_ERR_CONFIG,
                        "synth: '%s' is no generator; there are: shapes, glyphs, wasserstein, koch, showers",
                        argc > 1 ? argv[1] : "");
    if (bnf_comm_rank(world) == 0) {
        printf("usage: banff synth KIND --out FILE [options]   (--help after KIND lists its options)\n\n"
               "Generates a set of labelled images.\n\nkinds:\n");
        for (int i = 0; i < COUNT(generators); i++)
            printf("  %-12s %s\n", generators[i].name, generators[i].summary);
    }
    return BNF_OK;
}
