/* cli/bench_comm.h - banff bench comm. */
#ifndef BNF_CLI_BENCH_COMM_H
#define BNF_CLI_BENCH_COMM_H

#include <banff/comm.h>

/* As a subcommand (cli/cmd.h); argv[0] is "comm". */
bnf_status bnf_bench_comm(const bnf_comm *world, int argc, char **argv);

#endif
