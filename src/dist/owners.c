/* dist/owners.c - which rank updates which parameter. */
#include "dist/owners.h"

#include "base/mem.h"

double bnf_owners_cost(const bnf_param_info *info)
{
    /* An element of a plain update moves about 30 bytes; at some 10 bytes/ns per core against 100 flops/ns that is
     * 300 flops. */
    return info->trainable ? 300.0 * (double)bnf_desc_count(bnf_param_raw_desc(info)) +
                                 (info->reparam.make ? info->reparam.cost : 0)
                           : 0;
}

#define NOBODY (-2) /* so far */

static bool large(const bnf_param_info *info, int64_t above)
{
    return above > 0 && info->trainable && bnf_desc_count(&info->desc) > above &&
           (!info->reparam.make || info->reparam.make_shared) && bnf_param_raw_desc(info) == &info->desc;
}

bnf_status bnf_owners_assign(const bnf_params *params, int ranks, int *owner)
{
    return bnf_owners_assign_shared(params, ranks, 0, owner);
}

bnf_status bnf_owners_assign_shared(const bnf_params *params, int ranks, int64_t above, int *owner)
{
    int n = bnf_params_count(params), open = 0;
    double *load;
    BNF_TRY(bnf_calloc((size_t)ranks, sizeof *load, "owners' load", &load));
    for (int i = 0; i < n; i++) {
        owner[i] = large(bnf_params_info(params, i), above) ? BNF_OWNER_ALL : NOBODY;
        open += owner[i] == NOBODY;
    }
    for (; open > 0; open--) {
        int next = -1, least = 0;
        for (int i = 0; i < n; i++)
            if (owner[i] == NOBODY && (next < 0 || bnf_owners_cost(bnf_params_info(params, i)) >
                                                       bnf_owners_cost(bnf_params_info(params, next))))
                next = i;
        for (int r = 1; r < ranks; r++)
            if (load[r] < load[least])
                least = r;
        owner[next] = least;
        load[least] += bnf_owners_cost(bnf_params_info(params, next));
    }
    bnf_free(load);
    return BNF_OK;
}
