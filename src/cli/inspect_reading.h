/* cli/inspect_reading.h - what reading a set costs, and what would make it cheaper. */
#ifndef BNF_CLI_INSPECT_READING_H
#define BNF_CLI_INSPECT_READING_H

#include "h5/dataset.h"

#include <banff/data.h>

/* Measures on all ranks for about `seconds` (0: does not), prints on rank 0, with warnings that name the remedy as a
 * command. h5: how the images are stored. Collective; every rank returns the same status. */
bnf_status bnf_inspect_reading(const bnf_comm *world, const bnf_dataset *dataset, const bnf_h5_dataset_info *h5,
                               double seconds);

/* The same for an encoded set: what decoding and cropping cost. */
bnf_status bnf_inspect_pictures(const bnf_comm *world, const bnf_dataset *dataset, double seconds);

/* The same for a sparse set, whose storage the caller prints. */
bnf_status bnf_inspect_cells(const bnf_comm *world, const bnf_dataset *dataset, double seconds);

/* "1.5 MiB". */
void bnf_print_bytes(double bytes);

#endif
