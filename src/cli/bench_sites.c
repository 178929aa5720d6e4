/* cli/bench_sites.c - banff bench sites: the first convolution of sparse images, by all cells and active ones. */
#include "cli/bench_sites.h"

#include "cli/args.h"
#include "ops/bench.h"
#include "ops/conv2d.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] = "Times a convolution with padding \"same\" and its weight gradient on one thread, by the "
                            "kernel for dense images and "
                            "by the one for active cells,\n"
                            "in turn, and prints one JSON object per occupancy and pass. \"ratio\" is dense / sites: "
                            "median, least and most of the "
                            "rounds.\n";

enum { MAX_ROUNDS = 99 };
static const double occupancies[] = {0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5};

typedef struct layer {
    int64_t batch, height, width, channels, outputs, kernel, stride, rounds;
    double seconds;
} layer;

static bnf_op_bench forward_of(const layer *l, const bnf_conv2d_attr *attr)
{
    return (bnf_op_bench){.op = &bnf_op_conv2d,
                          .attr = attr,
                          .n_in = 3,
                          .in = {bnf_desc_4d(BNF_F32, l->batch, l->height, l->width, l->channels),
                                 bnf_desc_4d(BNF_F32, l->outputs, l->channels, l->kernel, l->kernel),
                                 bnf_desc_1d(BNF_F32, l->outputs)}};
}

static bnf_op_bench gradient_of(const layer *l, const bnf_conv2d_bwd_attr *attr)
{
    int64_t s = l->stride;
    return (bnf_op_bench){
        .op = &bnf_op_conv2d_bwd_weights,
        .attr = attr,
        .n_in = 2,
        .in = {bnf_desc_4d(BNF_F32, l->batch, l->height, l->width, l->channels),
               bnf_desc_4d(BNF_F32, l->batch, (l->height + s - 1) / s, (l->width + s - 1) / s, l->outputs)}};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bnf_status compare(const layer *l, double occupancy, const char *pass, const bnf_op_bench *what)
{
    double ratio[MAX_ROUNDS], best[2] = {1e30, 1e30};
    bnf_op_bench dense = *what, sites = *what;
    dense.packed = true;
    sites.occupancy = occupancy;
    sites.kernel = "sites";
    dense.seconds = sites.seconds = l->seconds;
    for (int64_t r = 0; r < l->rounds; r++) {
        BNF_TRY(bnf_op_bench_run(&dense));
        BNF_TRY(bnf_op_bench_run(&sites));
        ratio[r] = dense.best / sites.best;
        best[0] = dense.best < best[0] ? dense.best : best[0];
        best[1] = sites.best < best[1] ? sites.best : best[1];
    }
    qsort(ratio, (size_t)l->rounds, sizeof *ratio, ascending);
    printf("{\"occupancy\":%g,\"pass\":\"%s\",\"batch\":%lld,\"height\":%lld,\"width\":%lld,\"channels\":%lld,"
           "\"outputs\":%lld,\"kernel\":%lld,\"stride\":%lld,\"dense_kernel\":\"%s\",\"dense_seconds\":%.4g,"
           "\"sites_seconds\":%.4g,\"ratio\":%.4g,\"least\":%.4g,\"most\":%.4g}\n",
           occupancy, pass, (long long)l->batch, (long long)l->height, (long long)l->width, (long long)l->channels,
           (long long)l->outputs, (long long)l->kernel, (long long)l->stride, dense.used, best[0], best[1],
           ratio[l->rounds / 2], ratio[0], ratio[l->rounds - 1]);
    fflush(stdout);
    return BNF_OK;
}

static bnf_status run(const layer *l)
{
    const int64_t image[2] = {l->height, l->width}, window[2] = {l->kernel, l->kernel};
    bnf_conv2d_attr attr = {.stride = {l->stride, l->stride}, .dilation = {1, 1}, .groups = 1};
    bnf_same_padding(image, window, attr.stride, attr.pad);
    bnf_conv2d_bwd_attr back = {
        .conv = attr, .image = {l->height, l->width}, .kernel = {l->kernel, l->kernel}, .has_bias = 1};
    bnf_op_bench forward = forward_of(l, &attr), gradient = gradient_of(l, &back);
    for (size_t i = 0; i < sizeof occupancies / sizeof *occupancies; i++) {
        BNF_TRY(compare(l, occupancies[i], "forward", &forward));
        BNF_TRY(compare(l, occupancies[i], "weights", &gradient));
    }
    return BNF_OK;
}

bnf_status bnf_bench_sites(const bnf_comm *world, int argc, char **argv)
{
    layer l = {.batch = 1,
               .height = 286,
               .width = 360,
               .channels = 3,
               .outputs = 64,
               .kernel = 3,
               .stride = 2,
               .rounds = 5,
               .seconds = 0.2};
    bool help = false;
    const bnf_arg args[] = {{"batch", "N", "images of a leaf (default 1)", BNF_ARG_INT, &l.batch},
                            {"height", "H", "of the images (default 286)", BNF_ARG_INT, &l.height},
                            {"width", "W", "of the images (default 360)", BNF_ARG_INT, &l.width},
                            {"channels", "C", "of the images (default 3)", BNF_ARG_INT, &l.channels},
                            {"outputs", "O", "channels of the layer (default 64)", BNF_ARG_INT, &l.outputs},
                            {"kernel", "K", "side of its windows (default 3)", BNF_ARG_INT, &l.kernel},
                            {"stride", "S", "between windows (default 2)", BNF_ARG_INT, &l.stride},
                            {"rounds", "N", "how often both are timed, in turn (default 5)", BNF_ARG_INT, &l.rounds},
                            {"seconds", "T", "of every timing at least (default 0.2)", BNF_ARG_REAL, &l.seconds},
                            {"help", NULL, "print this", BNF_ARG_FLAG, &help}};
    const int n = (int)(sizeof args / sizeof *args);
    BNF_TRY(bnf_args_parse(args, n, argc, argv, NULL));
    if (help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, "bench sites [options]", about, args, n);
    if (help)
        return BNF_OK;
    if (bnf_comm_size(world) != 1)
        return bnf_fail(BNF_ERR_CONFIG, "bench sites: start one process");
    const int64_t positive[] = {l.batch, l.height, l.width, l.channels, l.outputs, l.kernel, l.stride, l.rounds};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i] < 1 || positive[i] > 4096 || l.rounds > MAX_ROUNDS)
            return bnf_fail(BNF_ERR_CONFIG, "bench sites: numbers are 1 to 4096, rounds at most %d", MAX_ROUNDS);
    return run(&l);
}
