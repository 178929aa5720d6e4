/* cli/cmd_train.c - banff train CONFIG. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "comm/host.h"
#include "train/run.h"

#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const char about[] =
    "Trains the network that CONFIG (YAML) describes and writes a run folder. Results are the same bits for any number "
    "of ranks\n"
    "and threads, and after any interruption: --resume auto continues from the newest checkpoint that verifies.\n";

static void print_profile(const bnf_profile *profile)
{
    bnf_buf text = {0};
    if (bnf_profile_text(profile, &text) == BNF_OK)
        fputs(bnf_buf_text(&text), stdout);
    bnf_buf_release(&text);
}

static void print_result(const bnf_job *job, const bnf_train_result *r)
{
    printf("steps %lld  train loss %.4f", (long long)r->step, r->loss);
    if (!isnan(r->accuracy))
        printf(" accuracy %.4f", r->accuracy);
    if (!isnan(r->test_loss))
        printf("  test loss %.4f", r->test_loss);
    if (!isnan(r->test_accuracy))
        printf(" accuracy %.4f", r->test_accuracy);
    printf("  %.1f s  %.0f samples/s  waiting for data %.2f %%\n", r->seconds, r->samples_per_second,
           r->seconds > 0 ? 100 * r->stall_seconds / r->seconds : 0.0);
    printf("checkpoints held training up for %.2f s (%.1f %%)\n", r->checkpoint_seconds,
           r->seconds > 0 ? 100 * r->checkpoint_seconds / r->seconds : 0.0);
    if (r->skipped > 0)
        printf("updates left out because a loss or gradient was not finite: %lld\n", (long long)r->skipped);
    printf("memory of rank 0: %.0f MiB planned, %.0f MiB at most\n", (double)r->planned_bytes / 1048576,
           (double)r->peak_bytes / 1048576);
    printf("weights %s\nrun folder %s\n", r->weights, job->run.folder);
    if (r->profile.steps > 0)
        print_profile(&r->profile);
}

/* The main thread hangs, maybe with a lock in its hands: nothing of stdio is touched, and nobody is waited for. The
 * launcher ends the other ranks when one has ended so. */
static void late(const char *message) __attribute__((noreturn));
static void late(const char *message)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[1400];
    int n = snprintf(line, sizeof line, "banff train: %s\n", message);
    if (n > 0 && poll(&p, 1, 2000) == 1) {
        ssize_t written = write(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        (void)written;
    }
    _exit(bnf_cmd_exit_code(BNF_ERR_LATE));
}

/* An option that is another way to say --set KEY=VALUE. text[size]: room for that, borrowed by the list. */
static bnf_status add_set(bnf_arg_list *set, const char *key, const char *value, char *text, size_t size)
{
    if ((size_t)snprintf(text, size, "%s=%s", key, value) >= size)
        return bnf_fail(BNF_ERR_CONFIG, "%s: '%s' is too long", key, value);
    if (set->count == BNF_ARGS_MAX_ITEMS)
        return bnf_fail(BNF_ERR_CONFIG, "more than %d times --set and options that stand for it", BNF_ARGS_MAX_ITEMS);
    set->item[set->count++] = text;
    return BNF_OK;
}

bnf_status bnf_cmd_train(const bnf_comm *world, int argc, char **argv)
{
    bnf_arg_list set = {0}, files = {0};
    const char *resume = NULL, *limit = NULL, *weights = NULL, *profile = NULL;
    char limit_set[64], weights_set[1100], profile_set[64];
    bool help = false, help_config = false, overwrite = false, take_over = false;
    const bnf_arg args[] = {
        {"set", "KEY=VALUE", "override a key of the configuration; may be repeated", BNF_ARG_LIST, &set},
        {"resume", "auto|FILE",
         "continue from the newest sound checkpoint of the run folder (or start if there is none), or from FILE",
         BNF_ARG_STR, &resume},
        {"time-limit", "DURATION",
         "stop with a checkpoint (exit code 75) before it is over: 90, 15m, 2h, 1-02:00:00; run.time_limit",
         BNF_ARG_STR, &limit},
        {"weights", "FILE", "start from the raw weights of an .npz or safetensors file; train.weights", BNF_ARG_STR,
         &weights},
        {"profile", "STEPS",
         "record so many steps (10) after the first ones: trace/rank-*.json for Perfetto, and a table of where the "
         "time went; run.profile",
         BNF_ARG_MAYBE, &profile},
        {"overwrite", NULL, "replace a run that the run folder holds", BNF_ARG_FLAG, &overwrite},
        {"take-over", NULL, "take the run folder away from another job that seems to be alive; that one then stops",
         BNF_ARG_FLAG, &take_over},
        {"help-config", NULL, "print every key with default and meaning", BNF_ARG_FLAG, &help_config},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);
    bool first = bnf_comm_rank(world) == 0;
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &files));
    if (help && first)
        bnf_args_help(stdout, "train CONFIG [options]", about, args, n);
    if (help_config && first) {
        bnf_buf text = {0};
        bnf_status s = bnf_job_help(bnf_recipes, &text);
        fputs(bnf_buf_text(&text), stdout);
        bnf_buf_release(&text);
        BNF_TRY(s);
    }
    if (help || help_config)
        return BNF_OK;
    if (files.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one configuration file (banff train --help)");
    if (resume && overwrite)
        return bnf_fail(BNF_ERR_CONFIG, "--resume and --overwrite exclude each other");
    if (limit)
        BNF_TRY(add_set(&set, "run.time_limit", limit, limit_set, sizeof limit_set));
    if (weights)
        BNF_TRY(add_set(&set, "train.weights", weights, weights_set, sizeof weights_set));
    if (profile)
        BNF_TRY(add_set(&set, "run.profile", profile[0] ? profile : "10", profile_set, sizeof profile_set));
    bnf_job *job;
    bnf_train_result result;
    bnf_train_options options = {
        .overwrite = overwrite, .take_over = take_over, .out = stdout, .checkpoint = resume, .late = late};
    if (resume)
        options.resume = strcmp(resume, "auto") == 0 ? BNF_RESUME_AUTO : BNF_RESUME_PATH;
    BNF_TRY(bnf_job_load(world, bnf_recipes, files.item[0], set.item, (int)set.count, &job));
    bnf_comm *ordered = NULL; /* large messages go between neighbours: they shall share a host */
    bnf_status s = bnf_comm_by_host(world, &ordered);
    if (s == BNF_OK)
        s = bnf_run_train(job, ordered, &options, &result);
    if (s != BNF_ERR_COMM) /* which may have left ranks that would not come */
        bnf_comm_destroy(ordered);
    if (s == BNF_OK && first)
        print_result(job, &result);
    if (s == BNF_OK && result.interrupted)
        s = bnf_fail(BNF_ERR_INTERRUPTED, "stopped %s after step %lld; --resume auto continues", result.interrupted,
                     (long long)result.step);
    bnf_job_destroy(job);
    return s;
}
