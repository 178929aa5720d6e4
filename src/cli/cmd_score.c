/* cli/cmd_score.c - banff score: scores of every event of a part, by a recipe that has some. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "comm/agree.h"
#include "train/run.h"

#include <stdio.h>

typedef struct request {
    bnf_arg_list set, option, paths;
    const char *split, *out, *data;
    bool help;
} request;

static const char about[] =
    "Scores of the events of a part, written to RUN/scores.h5; for every signal class the area under the ROC curve\n"
    "against class 0, the background, and the false-positive rate at a true-positive rate of 0.4, which also go to\n"
    "RUN/scores.json. --option help lists the settings.\n";

static bnf_status parse(const bnf_comm *world, int argc, char **argv, request *r)
{
    const char *synopsis = "score RUN [--split test|train] [--data FILE] [--out FILE] [options]";
    const bnf_arg args[] = {
        {"split", "PART", "test (the default) or train", BNF_ARG_STR, &r->split},
        {"data", "FILE",
         "score the part of this set; what a score learns from the background, it learns from the run's", BNF_ARG_STR,
         &r->data},
        {"out", "FILE", "where the scores go, FILE.h5; the figures go to FILE.json", BNF_ARG_STR, &r->out},
        {"option", "KEY=VALUE", "a setting of this command; may be repeated; help lists them", BNF_ARG_LIST,
         &r->option},
        {"set", "KEY=VALUE", "override a key of the run's configuration; may be repeated", BNF_ARG_LIST, &r->set},
        {"help", NULL, "print this", BNF_ARG_FLAG, &r->help},
    };
    enum { N = sizeof args / sizeof args[0] };
    BNF_TRY(bnf_args_parse(args, N, argc, argv, &r->paths));
    if (r->help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, synopsis, about, args, N);
    if (!r->help && r->paths.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one run folder (banff %s)", synopsis);
    return BNF_OK;
}

/* The part of another set becomes the run's test part. */
static bnf_status open_other(bnf_run *run, const char *path, bnf_split split)
{
    bnf_data_settings d = run->job->data;
    bnf_dataset *other;
    d.file = (char *)(uintptr_t)path; /* only read */
    if (d.normalise == BNF_NORMALISE_STATS)
        return bnf_fail(BNF_ERR_CONFIG, "--data: the run normalises images by its own set's mean and standard "
                                        "deviation; another set needs data.normalise: unit or affine");
    BNF_TRY(bnf_data_open(&d, split, &other));
    const bnf_dataset_info *have = bnf_dataset_get_info(other), *want = bnf_dataset_get_info(run->train);
    if (have->h != want->h || have->w != want->w || have->c != want->c) {
        bnf_status s = bnf_fail(BNF_ERR_CONFIG,
                                "--data: images of %s are %lld x %lld x %lld, those of the run "
                                "%lld x %lld x %lld",
                                path, (long long)have->h, (long long)have->w, (long long)have->c, (long long)want->h,
                                (long long)want->w, (long long)want->c);
        bnf_dataset_close(other);
        return s;
    }
    bnf_dataset_close(run->test);
    run->test = other;
    return BNF_OK;
}

static bnf_status score(bnf_run *run, const request *r, bnf_buf *text)
{
    static const char *const parts[] = {"test", "train"};
    const bnf_recipe *recipe = run->job->recipe;
    int train = 0;
    if (!recipe->score)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "recipe '%s' has no scores", recipe->name);
    if (r->split)
        BNF_TRY(bnf_args_choice("split", r->split, parts, 2, &train));
    bnf_score_request asked = {.split = train ? BNF_TRAIN : BNF_TEST,
                               .out = r->out,
                               .options = r->option.item,
                               .n_options = (int)r->option.count};
    if (r->data) {
        BNF_TRY(bnf_comm_agree(run->comm, open_other(run, r->data, asked.split)));
        asked.split = BNF_TEST;
    }
    return recipe->score(run, &asked, text);
}

bnf_status bnf_cmd_score(const bnf_comm *world, int argc, char **argv)
{
    request r = {0};
    bnf_run *run;
    bnf_buf text = {0};
    BNF_TRY(parse(world, argc, argv, &r));
    if (r.help)
        return BNF_OK;
    BNF_TRY(bnf_run_open(world, bnf_recipes, r.paths.item[0], r.set.item, (int)r.set.count, &run));
    bnf_status s = score(run, &r, &text);
    if (s == BNF_OK && bnf_comm_rank(world) == 0)
        fputs(bnf_buf_text(&text), stdout);
    bnf_buf_release(&text);
    bnf_run_close(run);
    return s;
}
