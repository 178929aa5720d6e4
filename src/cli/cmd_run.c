/* cli/cmd_run.c - what is done with a finished run: banff eval, certify, attack, explain, report. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "train/run.h"
#include "train/run_report.h"

#include <math.h>

/* Options that all of these share, and the run they name. */
typedef struct request {
    bnf_arg_list set, paths, option;
    bool help, train_part;
} request;

/* Those that only some of the commands have. */
enum { SETTINGS = 1, PARTS = 2 };

/* has: SETTINGS, PARTS or both; own[n_own]: options that no other command has. */
static bnf_status parse(const bnf_comm *world, int argc, char **argv, const char *synopsis, const char *about, int has,
                        const bnf_arg *own, int n_own, request *r)
{
    *r = (request){0};
    bnf_arg args[8] = {
        {"set", "KEY=VALUE", "override a key of the run's configuration, e.g. data.file; may be repeated", BNF_ARG_LIST,
         &r->set},
        {"help", NULL, "print this", BNF_ARG_FLAG, &r->help},
    };
    int n = 2;
    if (has & SETTINGS)
        args[n++] = (bnf_arg){"option", "KEY=VALUE", "a setting of this command; may be repeated; help lists them",
                              BNF_ARG_LIST, &r->option};
    if (has & PARTS)
        args[n++] = (bnf_arg){"train-part", NULL, "use the training part instead of the test part", BNF_ARG_FLAG,
                              &r->train_part};
    for (int i = 0; i < n_own; i++)
        args[n++] = own[i];
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &r->paths));
    if (r->help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, synopsis, about, args, n);
    if (!r->help && r->paths.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one run folder (banff %s)", synopsis);
    return BNF_OK;
}

static bnf_status open_run(const bnf_comm *world, const request *r, bnf_run **run)
{
    return bnf_run_open(world, bnf_recipes, r->paths.item[0], r->set.item, (int)r->set.count, run);
}

static void print_eval(const bnf_run *run, bnf_split split, const bnf_eval_result *r)
{
    printf("%s: %s part, %lld samples: loss %.6f ", run->folder, bnf_split_name(split), (long long)r->samples, r->loss);
    if (!isnan(r->accuracy))
        printf("accuracy %.4f ", r->accuracy);
    printf("(step %lld, weights %s)\n", (long long)run->step, run->weights);
}

bnf_status bnf_cmd_eval(const bnf_comm *world, int argc, char **argv)
{
    request r;
    bnf_run *run;
    bnf_eval_result result;
    BNF_TRY(parse(world, argc, argv, "eval RUN [options]",
                  "Loss and accuracy of a run's newest checkpoint (or of RUN/checkpoints/FILE.h5).\n", PARTS, NULL, 0,
                  &r));
    if (r.help)
        return BNF_OK;
    BNF_TRY(open_run(world, &r, &run));
    bnf_split split = r.train_part ? BNF_TRAIN : BNF_TEST;
    bnf_status s = bnf_run_outputs(run, split, 0, NULL, 0, &result);
    if (s == BNF_OK && bnf_comm_rank(world) == 0)
        print_eval(run, split, &result);
    bnf_run_close(run);
    return s;
}

static bnf_status no_command(const bnf_run *run)
{
    return bnf_fail(BNF_ERR_UNSUPPORTED, "recipe '%s' has no such command", run->job->recipe->name);
}

/* The end of a recipe's own command, whose text goes to the user. */
static bnf_status told(const bnf_comm *world, bnf_run *run, bnf_buf *text, bnf_status s)
{
    if (s == BNF_OK && bnf_comm_rank(world) == 0)
        fputs(bnf_buf_text(text), stdout);
    bnf_buf_release(text);
    bnf_run_close(run);
    return s;
}

static bnf_status recipe_command(const bnf_comm *world, int argc, char **argv, const char *synopsis, const char *about,
                                 bool attack)
{
    request r;
    bnf_run *run;
    bnf_buf text = {0};
    BNF_TRY(parse(world, argc, argv, synopsis, about, SETTINGS, NULL, 0, &r));
    if (r.help)
        return BNF_OK;
    BNF_TRY(open_run(world, &r, &run));
    const bnf_recipe *recipe = run->job->recipe;
    bnf_status (*fn)(bnf_run *, const char *const *, int, bnf_buf *) = attack ? recipe->attack : recipe->certify;
    bnf_status s = fn ? fn(run, r.option.item, (int)r.option.count, &text) : no_command(run);
    return told(world, run, &text, s);
}

bnf_status bnf_cmd_certify(const bnf_comm *world, int argc, char **argv)
{
    return recipe_command(
        world, argc, argv, "certify RUN [options]",
        "A sound upper bound of the network's Lipschitz constant, from singular values of the exported weights in f64\n"
        "rounded outward, and the accuracy that it certifies at several radii.\n",
        false);
}

bnf_status bnf_cmd_attack(const bnf_comm *world, int argc, char **argv)
{
    return recipe_command(
        world, argc, argv, "attack RUN [options]",
        "Attacks on the samples of a part, as the run's recipe has them. --option help lists the settings.\n", true);
}

static const char explain_about[] =
    "Attribution maps of the first samples of a part, and counterfactuals x - t f(x) grad f(x) with f the lead of the\n"
    "class: RUN/explain/maps.h5, one picture per sample, and a table. --option help lists the settings.\n";

bnf_status bnf_cmd_explain(const bnf_comm *world, int argc, char **argv)
{
    request r;
    bnf_run *run;
    bnf_buf text = {0};
    const char *methods = NULL, *metrics = NULL;
    const bnf_arg own[] = {
        {"method", "NAME,...", "attribution methods; without it all that suit the network", BNF_ARG_STR, &methods},
        {"metrics", "NAME,...", "measure the methods, too: names of metrics, or all", BNF_ARG_STR, &metrics},
    };
    BNF_TRY(parse(world, argc, argv, "explain RUN [--method NAME,...] [--metrics NAME,...] [options]", explain_about,
                  SETTINGS, own, 2, &r));
    if (r.help)
        return BNF_OK;
    BNF_TRY(open_run(world, &r, &run));
    const bnf_recipe *recipe = run->job->recipe;
    const bnf_explain_request asked = {.methods = methods,
                                       .metrics = metrics,
                                       .options = r.option.item,
                                       .n_options = (int)r.option.count,
                                       .progress = bnf_comm_rank(world) == 0 ? stdout : NULL};
    return told(world, run, &text, recipe->explain ? recipe->explain(run, &asked, &text) : no_command(run));
}

bnf_status bnf_cmd_report(const bnf_comm *world, int argc, char **argv)
{
    request r;
    bnf_run *run, *twin = NULL;
    char *path = NULL;
    const char *beside = NULL;
    const bnf_arg own[] = {
        {"twin", "RUN",
         "a second run on the same data, shown beside this one, e.g. the unconstrained one; --set holds "
         "for both",
         BNF_ARG_STR, &beside},
    };
    BNF_TRY(parse(world, argc, argv, "report RUN [options]",
                  "Writes RUN/report.html: one file, no external resources.\n", 0, own, 1, &r));
    if (r.help)
        return BNF_OK;
    BNF_TRY(open_run(world, &r, &run));
    bnf_status s = beside ? bnf_run_open(world, bnf_recipes, beside, r.set.item, (int)r.set.count, &twin) : BNF_OK;
    run->twin = twin;
    if (s == BNF_OK)
        s = bnf_run_report(run, &path);
    if (s == BNF_OK && bnf_comm_rank(world) == 0)
        printf("%s\n", path);
    bnf_free(path);
    bnf_run_close(twin);
    bnf_run_close(run);
    return s;
}
