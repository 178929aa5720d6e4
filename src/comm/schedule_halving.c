/* Halving: where each node of the tree is computed, so that few values move.
 *
 * A node is computed on ranks that own leaves of it; which one depends on the owner of the elements. From the
 * root, which is computed on the owner itself, down: if the parent's rank is a candidate for the child, the child
 * is computed there and does not move; else on a candidate that is found from the parent's rank's position on the
 * other side. For 2^k ranks with one node each that is recursive halving: at distance d the partners are r and r
 * xor d, and a rank keeps what owners have that agree with it in the lower bits.
 *
 * Candidates are the labels of least changes over a tree (Fitch, Systematic Zoology 20 (1971) 406): a leaf's is
 * its rank; a node's are those that both children have, else those of either. Choosing down from the root as above
 * moves the least number of values that any choice of ranks can. Ranges of ranks follow each other, so children
 * share one rank at most. */
#include "comm/schedule_impl.h"

#include "base/assert.h"
#include "base/mem.h"

bnf_status bnf_routes_find_candidates(bnf_routes *routes)
{
    int64_t total = 0;
    for (int64_t i = 0; i < routes->n_nodes; i++)
        total += routes->nodes[i].rank_hi - routes->nodes[i].rank_lo;
    BNF_TRY(bnf_calloc((size_t)total, sizeof *routes->candidates, "a schedule", &routes->candidates));
    int32_t *all = routes->candidates;
    int64_t used = 0;
    for (int64_t i = 0; i < routes->n_nodes; i++) {
        bnf_route_node *node = &routes->nodes[i];
        node->set = used;
        if (node->left < 0) {
            all[used++] = node->rank_lo;
        } else {
            const bnf_route_node *l = &routes->nodes[node->left], *r = &routes->nodes[node->right];
            if (all[l->set + l->set_count - 1] == all[r->set]) {
                all[used++] = all[r->set];
            } else {
                for (int64_t k = 0; k < l->set_count; k++)
                    all[used++] = all[l->set + k];
                for (int64_t k = 0; k < r->set_count; k++)
                    all[used++] = all[r->set + k];
            }
        }
        node->set_count = used - node->set;
    }
    BNF_ASSERT(used <= total);
    return BNF_OK;
}

/* First position in the node's candidates that is not below `rank`. */
static int64_t position(const bnf_routes *routes, const bnf_route_node *node, int32_t rank)
{
    const int32_t *set = routes->candidates + node->set;
    int64_t lo = 0, hi = node->set_count;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (set[mid] < rank)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Where elements of a node are computed. Owners in the order of (rank, order of travelling): what a rank keeps
 * first, then what it gives away, partner by partner, in the partner's order; so messages are contiguous. */
typedef struct sites {
    int32_t *rank;  /* [ranks] of each owner's elements */
    int32_t *order; /* [ranks] owners */
} sites;

/* `turn`: how many owners before this one have the parent's value on the same rank. */
static int32_t pick(const bnf_routes *routes, const bnf_route_node *child, const bnf_route_node *sibling, int32_t rank,
                    int64_t turn)
{
    const int32_t *set = routes->candidates + child->set;
    const int64_t at = position(routes, child, rank);
    if (at < child->set_count && set[at] == rank)
        return rank;
    return set[(position(routes, sibling, rank) + sibling->set_count * turn) % child->set_count];
}

static void choose(const bnf_routes *routes, int32_t index, int32_t sibling, const sites *parent, sites *child,
                   int64_t *count)
{
    const bnf_route_node *node = &routes->nodes[index], *other = &routes->nodes[sibling];
    int64_t turn = 0;
    for (int k = 0; k < routes->ranks; k++) {
        const int32_t owner = parent->order[k], rank = parent->rank[owner];
        turn = k > 0 && parent->rank[parent->order[k - 1]] == rank ? turn + 1 : 0;
        child->rank[owner] = pick(routes, node, other, rank, turn);
    }
    /* stable, by (rank, whether the rank gives it away) */
    for (int i = 0; i <= 2 * routes->ranks; i++)
        count[i] = 0;
    for (int o = 0; o < routes->ranks; o++)
        count[2 * child->rank[o] + (child->rank[o] != parent->rank[o]) + 1]++;
    for (int i = 0; i < 2 * routes->ranks; i++)
        count[i + 1] += count[i];
    for (int k = 0; k < routes->ranks; k++) {
        const int32_t owner = parent->order[k];
        child->order[count[2 * child->rank[owner] + (child->rank[owner] != parent->rank[owner])]++] = owner;
    }
}

static void log_node(bnf_route_log *log, int32_t index, const sites *at, const sites *left, const sites *right)
{
    const bnf_routes *routes = log->routes;
    const bnf_route_node *node = &routes->nodes[index];
    for (int side = 0; side < 2; side++) {
        const sites *from = side == 0 ? left : right;
        const int32_t child = side == 0 ? node->left : node->right;
        for (int k = 0; k < routes->ranks; k++) {
            const int32_t owner = at->order[k];
            if (from->rank[owner] != at->rank[owner])
                bnf_route_log_move(log, node->height - 1, from->rank[owner], at->rank[owner],
                                   (bnf_route_part){child, owner});
        }
    }
    for (int k = 0; k < routes->ranks; k++)
        if (at->rank[at->order[k]] == log->rank)
            bnf_route_log_sum(log, (bnf_route_part){index, at->order[k]});
}

/* One node and what is below, as far as the rank has a part in it. */
static bnf_status descend(bnf_route_log *log, int32_t index, const sites *at)
{
    const bnf_routes *routes = log->routes;
    const bnf_route_node *node = &routes->nodes[index];
    const size_t ranks = (size_t)routes->ranks;
    if (node->left < 0 || log->rank < node->rank_lo || log->rank >= node->rank_hi)
        return BNF_OK;
    int32_t *memory = NULL;
    int64_t *count = NULL;
    bnf_status s = bnf_calloc(4 * ranks, sizeof *memory, "a schedule", &memory);
    if (s == BNF_OK)
        s = bnf_calloc(2 * ranks + 1, sizeof *count, "a schedule", &count);
    if (s == BNF_OK) {
        sites left = {memory, memory + ranks}, right = {memory + 2 * ranks, memory + 3 * ranks};
        choose(routes, node->left, node->right, at, &left, count);
        choose(routes, node->right, node->left, at, &right, count);
        s = descend(log, node->left, &left);
        if (s == BNF_OK)
            s = descend(log, node->right, &right);
        if (s == BNF_OK)
            log_node(log, index, at, &left, &right);
    }
    bnf_free(memory);
    bnf_free(count);
    return s == BNF_OK ? log->status : s;
}

/* By the round whose messages they need: a message of a round may not wait for a later round. */
static bnf_status sort_sums(bnf_route_log *log)
{
    bnf_route_part *sorted;
    int64_t n = 0;
    BNF_TRY(bnf_calloc((size_t)log->n_sums + 1, sizeof *sorted, "a schedule", &sorted));
    for (int32_t height = 1; height <= log->routes->rounds; height++)
        for (int64_t i = 0; i < log->n_sums; i++)
            if (log->routes->nodes[log->sums[i].node].height == height)
                sorted[n++] = log->sums[i];
    BNF_ASSERT(n == log->n_sums);
    bnf_free(log->sums);
    log->sums = sorted;
    return BNF_OK;
}

bnf_status bnf_route_log_halving(bnf_route_log *log)
{
    const size_t ranks = (size_t)log->routes->ranks;
    int32_t *memory;
    BNF_TRY(bnf_calloc(2 * ranks, sizeof *memory, "a schedule", &memory));
    const sites root = {memory, memory + ranks};
    for (int32_t o = 0; o < log->routes->ranks; o++)
        root.rank[o] = root.order[o] = o;
    bnf_status s = descend(log, (int32_t)log->routes->n_nodes - 1, &root);
    if (s == BNF_OK)
        s = sort_sums(log);
    bnf_free(memory);
    return s;
}
