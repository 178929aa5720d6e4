/* cli/inspect_filters.h - banff inspect RUN --filters. */
#ifndef BNF_CLI_INSPECT_FILTERS_H
#define BNF_CLI_INSPECT_FILTERS_H

#include <banff/base.h>

/* A table of all spatial filters of a run's newest checkpoint, or of a checkpoint in a run folder, and a picture of
 * their variance maps, filters.png in the run folder. Rank 0 alone. */
bnf_status bnf_inspect_filters(const char *path);

#endif
