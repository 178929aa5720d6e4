/* cli/bench_scale.h - banff bench scale. */
#ifndef BNF_CLI_BENCH_SCALE_H
#define BNF_CLI_BENCH_SCALE_H

#include <banff/comm.h>

/* As a subcommand (cli/cmd.h); argv[0] is "scale". One process. */
bnf_status bnf_bench_scale(const bnf_comm *world, int argc, char **argv);

#endif
