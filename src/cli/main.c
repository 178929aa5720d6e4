/* cli/main.c - the program: finds the subcommand, starts and ends MPI, prints what went wrong. */
#include "cli/cmd.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static const struct bnf_cmd commands[] = {
    {"import", "turn IDX, CIFAR or image folders into a data set", bnf_cmd_import},
    {"synth", "generate a data set", bnf_cmd_synth},
    {"inspect", "show and check a data set, and how fast it can be read", bnf_cmd_inspect},
    {"repack", "write a data set with other chunks, compression or order", bnf_cmd_repack},
    {"train", "train a network from a configuration", bnf_cmd_train},
    {"run", "start a training again when ranks or hosts are lost", NULL, bnf_cmd_supervise},
    {"eval", "loss and accuracy of a trained network", bnf_cmd_eval},
    {"certify", "certified accuracy of a trained 1-Lipschitz network", bnf_cmd_certify},
    {"attack", "try to break certificates", bnf_cmd_attack},
    {"explain", "what a trained network looks at: attribution maps, counterfactuals, metrics", bnf_cmd_explain},
    {"score", "anomaly scores of events, and how well they find signals", bnf_cmd_score},
    {"report", "write a run's HTML report", bnf_cmd_report},
    {"export", "write weights, batches or logits as .npz or safetensors, networks as ONNX", bnf_cmd_export},
    {"checkpoint", "list, verify or compare checkpoints", bnf_cmd_checkpoint},
    {"plan", "what a configuration will compute and hold in memory", bnf_cmd_plan},
    {"doctor", "what of this machine, launcher and file system will be slow or fail", bnf_cmd_doctor},
    {"bench", "speed of a configuration's training step", bnf_cmd_bench},
    {"submit", "train under SLURM: write a job script and submit it", NULL, bnf_cmd_submit},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void usage(FILE *out)
{
    fprintf(out, "usage: banff COMMAND [options]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n`banff COMMAND --help` tells more. Under mpirun or srun all ranks work together.\nbanff %s\n",
            bnf_version());
}

/* What job scripts decide by; docs/operations.md lists them. */
int bnf_cmd_exit_code(bnf_status status)
{
    switch (status) {
    case BNF_OK:
        return 0;
    case BNF_ERR_CONFIG:
    case BNF_ERR_ARG:
        return 2; /* the same again would fail again */
    case BNF_ERR_INTERRUPTED:
        return 75; /* saved: go on with --resume auto */
    case BNF_ERR_LATE:
        return 76; /* a rank hung or was lost: go on with what is left */
    case BNF_ERR_FENCED:
        return 78; /* another job has the run folder: stay away */
    default:
        return 1;
    }
}

/* A failure known to all ranks ends with every rank's own exit; one that others wait for ends them, too. */
static bnf_status run(const struct bnf_cmd *command, int argc, char **argv)
{
    BNF_TRY(
        bnf_comm_init_wish(BNF_THREAD_FUNNELED, BNF_THREAD_SERIALIZED)); /* dist.progress: thread needs the latter */
    const bnf_comm *world = bnf_comm_world();
    bnf_assert_set_rank(bnf_comm_rank(world));
    bnf_log_add_sink(stderr, BNF_LOG_WARNING, false);
    bnf_status s = command->fn(world, argc, argv);
    if (s != BNF_OK && (bnf_comm_rank(world) == 0 || strncmp(bnf_error_message(), "rank ", 5) != 0))
        fprintf(stderr, "banff %s: %s%s%s\n", command->name, bnf_error_message(),
                bnf_error_message()[0] ? "" : bnf_status_name(s),
                bnf_comm_size(world) > 1 && bnf_comm_rank(world) > 0 ? " (not on rank 0)" : "");
    bnf_log_remove_sink(stderr);
    fflush(stdout);
    bnf_status closed = bnf_comm_finalize();
    return s != BNF_OK ? s : closed;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("banff %s\n", bnf_version());
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].alone ? commands[i].alone(argc - 1, argv + 1)
                                     : bnf_cmd_exit_code(run(&commands[i], argc - 1, argv + 1));
    fprintf(stderr, "banff: unknown command '%s'\n\n", argv[1]);
    usage(stderr);
    return 2;
}
