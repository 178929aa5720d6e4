/* data/team.h - a few threads that do the items of one job together. */
#ifndef BNF_DATA_TEAM_H
#define BNF_DATA_TEAM_H

#include <banff/base.h>

typedef struct bnf_team bnf_team;

/* A job for one item, done by worker 0 <= worker < threads. What it does may depend on the item, not on the worker. */
typedef bnf_status (*bnf_team_fn)(void *self, int worker, int64_t item);

/* threads >= 1, the caller of bnf_team_run among them. [out] team owned, release with bnf_team_destroy. Errors:
 * BNF_ERR_MEMORY. */
bnf_status bnf_team_create(int threads, bnf_team **team);
void bnf_team_destroy(bnf_team *team); /* NULL is legal */

/* Does the items 0, ..., items - 1 and returns when all are done. Errors: that of the first item in their order that
 * has one, with its message; items behind it may be left out. One caller at a time. Does not allocate. */
bnf_status bnf_team_run(bnf_team *team, bnf_team_fn fn, void *self, int64_t items);

#endif
