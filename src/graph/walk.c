/* graph/walk.c - in which order threads compute leaves and add partial sums, fixed when the plan is made.
 *
 * Each thread has a contiguous range of this rank's leaves and walks the tree nodes that lie wholly in it, left to
 * right; what is left are the additions between threads (here) and between ranks (comm/tree.h). Every addition is one
 * of the fixed tree. */
#include "graph/plan.h"

#include "base/assert.h"

typedef struct walker {
    const bnf_plan *p;
    bnf_walk_op *ops;
    int n_ops, in_use, most;
    bool busy[128];
} walker;

static int take(walker *w)
{
    for (int i = 0; i < (int)(sizeof w->busy / sizeof w->busy[0]); i++)
        if (!w->busy[i]) {
            w->busy[i] = true;
            if (i + 1 > w->most)
                w->most = i + 1;
            return i;
        }
    BNF_ASSERT(!"a tree of 2^31 leaves needs fewer than 128 buffers");
    return -1;
}

/* Leaves of tree node [lo, hi) into one buffer. */
static int fold(walker *w, int lo, int hi)
{
    if (hi - lo == 1) {
        int b = take(w);
        w->ops[w->n_ops++] = (bnf_walk_op){.leaf = lo - w->p->leaf_lo, .dst = b, .src = -1};
        return b;
    }
    int mid = bnf_tree_split(lo, hi), left = fold(w, lo, mid);
    if (hi - mid == 1) {
        w->ops[w->n_ops++] = (bnf_walk_op){.leaf = mid - w->p->leaf_lo, .dst = left, .src = -1, .add = true};
        return left;
    }
    int right = fold(w, mid, hi);
    w->ops[w->n_ops++] = (bnf_walk_op){.leaf = -1, .dst = left, .src = right};
    w->busy[right] = false;
    return left;
}

typedef struct piece {
    bnf_tree_node node;
    int buffer;
} piece;

static bnf_status thread_walk(bnf_plan *p, int t, piece *pieces, int *n_pieces)
{
    int leaves = p->leaf_hi - p->leaf_lo, threads = p->cfg.threads;
    int lo = p->leaf_lo + (int)((int64_t)leaves * t / threads),
        hi = p->leaf_lo + (int)((int64_t)leaves * (t + 1) / threads);
    bnf_walk *walk = &p->walks[t];
    *walk = (bnf_walk){.first_buffer = p->n_buffers};
    if (lo == hi)
        return BNF_OK;
    BNF_TRY(bnf_arena_alloc(p->arena, 2 * (size_t)(hi - lo) * sizeof *walk->ops, &walk->ops));
    walker w = {.p = p, .ops = walk->ops};
    bnf_tree_node nodes[64];
    int n = bnf_tree_cover((int)p->graph->base.leaves, lo, hi, nodes);
    for (int i = 0; i < n; i++)
        pieces[(*n_pieces)++] = (piece){nodes[i], walk->first_buffer + fold(&w, nodes[i].lo, nodes[i].hi)};
    for (int i = 0; i < w.n_ops; i++) {
        walk->ops[i].dst += walk->first_buffer;
        if (walk->ops[i].src >= 0)
            walk->ops[i].src += walk->first_buffer;
    }
    walk->n_ops = w.n_ops;
    walk->n_buffers = w.most;
    p->n_buffers += w.most;
    return BNF_OK;
}

/* Buffer of tree node [lo, hi): a thread made it, or the sum of its halves. */
static int merge(bnf_plan *p, const piece *pieces, int n, int lo, int hi)
{
    for (int i = 0; i < n; i++)
        if (pieces[i].node.lo == lo && pieces[i].node.hi == hi)
            return pieces[i].buffer;
    BNF_ASSERT(hi - lo > 1);
    int mid = bnf_tree_split(lo, hi);
    int left = merge(p, pieces, n, lo, mid), right = merge(p, pieces, n, mid, hi);
    p->merges[p->n_merges++] = (bnf_walk_op){.leaf = -1, .dst = left, .src = right};
    return left;
}

bnf_status bnf_plan_walks(bnf_plan *p)
{
    int threads = p->cfg.threads;
    piece *pieces;
    int n_pieces = 0;
    bnf_tree_node cover[64];
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)threads * sizeof *p->walks, &p->walks));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)threads * 64 * sizeof *pieces, &pieces));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)threads * 64 * sizeof *p->merges, &p->merges));
    for (int t = 0; t < threads; t++)
        BNF_TRY(thread_walk(p, t, pieces, &n_pieces));
    p->n_cover = bnf_tree_cover((int)p->graph->base.leaves, p->leaf_lo, p->leaf_hi, cover);
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)p->n_cover * sizeof *p->cover, &p->cover));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)p->n_cover * sizeof *p->cover_buffer, &p->cover_buffer));
    for (int i = 0; i < p->n_cover; i++) {
        p->cover[i] = cover[i];
        p->cover_buffer[i] = merge(p, pieces, n_pieces, cover[i].lo, cover[i].hi);
    }
    return BNF_OK;
}
