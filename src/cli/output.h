/* cli/output.h - what `banff import` and `banff synth` share: options of the file they write, and what they print. */
#ifndef BNF_CLI_OUTPUT_H
#define BNF_CLI_OUTPUT_H

#include "cli/args.h"

#include <banff/data.h>

/* Checks --out and --deflate, and sets the latter. Errors: BNF_ERR_CONFIG, naming the option. */
bnf_status bnf_output_check(bnf_import_output *output, int64_t deflate);

/* Rank 0 prints the help of a kind. Returns BNF_OK. */
bnf_status bnf_output_help(const bnf_comm *world, const char *synopsis, const char *about, const bnf_arg *args,
                           int count);

/* Rank 0 prints what was written to `path`. */
void bnf_output_print(const bnf_comm *world, const char *path, const bnf_import_summary *summary);

#endif
