#!/usr/bin/env bash
# banff bench comm: every way and size is there, its sums are right (the program looks), the floor is what the formula says, and
# options that make no sense are refused. No times are judged. Usage: bench_comm.sh BUILD SOURCE
. "$2/tests/training.sh"

checks "3 ranks, sums in bfloat16 too, several nodes per rank"
succeed "bench comm" launch 3 1 bench comm --from 1024 --to 65536 --turns 3 --leaves 7 --by-host --chunk 4000 \
    --bandwidth 1e6 --json "$work/lines"
succeed "bench comm --bf16" launch 3 1 bench comm --from 4096 --to 4096 --turns 1 --bf16 --json "$work/rounded"
[ "$(wc -l <"$work/lines")" = 12 ] || wrong "not 3 ways of 4 sizes: $(cat "$work/lines")"
for way in direct halving MPI_Allreduce; do
    [ "$(grep -c "\"way\": \"$way\"" "$work/lines")" = 4 ] || wrong "way $way is not there for each size"
done
# 2 (3 - 1) / 3 * 1024 / 10^6 seconds
grep '"bytes": 1024,' "$work/lines" | grep -q '"floor_seconds": 0\.0013653' || wrong "another floor: $(cat "$work/lines")"

checks "options that make no sense"
refuse "more ranks than leaves" "--leaves 1" "at least one per rank, 2" -- launch 2 1 bench comm --leaves 1
refuse "sizes the wrong way round" "--from <= --to" -- launch 2 1 bench comm --from 4096 --to 1024
refuse "a mistyped option" "did you mean '--turns'" -- launch 1 1 bench comm --turn 3
finish
