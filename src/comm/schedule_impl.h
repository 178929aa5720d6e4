/* comm/schedule_impl.h - what the files behind comm/schedule.h share. */
#ifndef BNF_COMM_SCHEDULE_IMPL_H
#define BNF_COMM_SCHEDULE_IMPL_H

#include "comm/schedule.h"

/* One part under way, before parts are put together to messages. `order` is the same on both ends. */
typedef struct bnf_route_record {
    int32_t round, from, to;
    bnf_route_part part;
    int64_t order;
} bnf_route_record;

/* What a rank does, in the order of the tree's nodes. Errors stick in `status`. */
typedef struct bnf_route_log {
    const bnf_routes *routes;
    int rank;
    bnf_route_record *records;
    int64_t n_records, record_capacity;
    bnf_route_part *sums;
    int64_t n_sums, sum_capacity;
    bnf_status status;
} bnf_route_log;

/* `from` has the value of the part and `to` needs it. Kept if either is the log's rank, and turned round for a
 * spread. */
void bnf_route_log_move(bnf_route_log *log, int32_t round, int32_t from, int32_t to, bnf_route_part part);
void bnf_route_log_sum(bnf_route_log *log, bnf_route_part part);

/* schedule_halving.c */
bnf_status bnf_routes_find_candidates(bnf_routes *routes);
bnf_status bnf_route_log_halving(bnf_route_log *log);

#endif
