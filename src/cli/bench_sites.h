/* cli/bench_sites.h - banff bench sites. */
#ifndef BNF_CLI_BENCH_SITES_H
#define BNF_CLI_BENCH_SITES_H

#include <banff/comm.h>

/* As a subcommand (cli/cmd.h); argv[0] is "sites". One process. */
bnf_status bnf_bench_sites(const bnf_comm *world, int argc, char **argv);

#endif
