/* cli/cmd_export.c - banff export RUN --out FILE.npz: a run's weights for NumPy. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "comm/agree.h"
#include "train/npz.h"
#include "train/run.h"

static const char about[] = "Writes the effective weights of a run's newest checkpoint (or of "
                            "RUN/checkpoints/FILE.h5), the ones that evaluation uses, as\n"
                            "f32 arrays: numpy.load(FILE)[NAME]. Convolutions are [out, in / groups, height, width], "
                            "dense layers [out, in] with inputs in\n"
                            "the order height, width, channel.\n";

bnf_status bnf_cmd_export(const bnf_comm *world, int argc, char **argv)
{
    bnf_arg_list set = {0}, runs = {0};
    const char *out = NULL;
    bool help = false;
    const bnf_arg args[] = {
        {"out", "FILE", "the .npz file to write (needed)", BNF_ARG_STR, &out},
        {"set", "KEY=VALUE", "override a key of the run's configuration, e.g. data.file; may be repeated", BNF_ARG_LIST,
         &set},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &runs));
    if (help) {
        if (bnf_comm_rank(world) == 0)
            bnf_args_help(stdout, "export RUN --out FILE.npz [options]", about, args, n);
        return BNF_OK;
    }
    if (runs.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one run folder (banff export RUN --out FILE.npz)");
    if (!out)
        return bnf_fail(BNF_ERR_CONFIG, "--out FILE.npz is needed");
    bnf_run *run;
    BNF_TRY(bnf_run_open(world, bnf_recipes, runs.item[0], set.item, (int)set.count, &run));
    bnf_status s = BNF_OK;
    if (bnf_comm_rank(world) == 0) {
        s = bnf_npz_write_params(run->params, out);
        if (s == BNF_OK)
            printf("%s: %d arrays, %lld elements (step %lld, weights %s)\n", out, bnf_params_count(run->params),
                   (long long)bnf_params_elements(run->params, false), (long long)run->step, run->weights);
    }
    bnf_run_close(run);
    return bnf_comm_agree(world, s);
}
