/* cli/cmd.h - what a subcommand of the program is. */
#ifndef BNF_CLI_CMD_H
#define BNF_CLI_CMD_H

#include <banff/comm.h>

/* Runs a subcommand. Collective over world; argv[0] is the subcommand's name, argv[1...] its arguments. Results are
 * printed
 * by rank 0; an error is returned on every rank, and the caller prints the message. */
typedef bnf_status (*bnf_cmd_fn)(const bnf_comm *world, int argc, char **argv);

struct bnf_cmd {
    const char *name;    /* "import" */
    const char *summary; /* one line for the list of subcommands */
    bnf_cmd_fn fn;
    int (*alone)(int argc, char **argv); /* instead of fn: runs without MPI, prints its errors, returns the exit code */
};

/* The program's exit code for a status (docs/operations.md). */
int bnf_cmd_exit_code(bnf_status status);

int bnf_cmd_supervise(int argc, char **argv);
bnf_status bnf_cmd_doctor(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_import(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_inspect(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_repack(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_synth(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_train(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_eval(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_certify(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_attack(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_explain(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_score(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_report(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_export(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_checkpoint(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_plan(const bnf_comm *world, int argc, char **argv);
bnf_status bnf_cmd_bench(const bnf_comm *world, int argc, char **argv);
int bnf_cmd_submit(int argc, char **argv);

#endif
