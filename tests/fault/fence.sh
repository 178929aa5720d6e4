#!/usr/bin/env bash
# Two jobs and one run folder. A job that is alive keeps its folder; one that is not is followed. A job is paused at every
# write of its checkpoints and metrics in turn, its folder is taken over and the run finished by another job, and then the
# paused job goes on: it ends with exit code 78 on every rank, names its successor, and nothing of the successor's has changed.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
interpose=$(ls "$build"/tests/libtest_interpose.so 2>/dev/null) || { echo "FAILED: the interposed library was not built"; exit 1; }

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 32 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {progress: off, log_every: 3, eval_every: 0, checkpoint_every: 2, keep: 2}
data: {file: $work/d.h5, batch: 16, leaves: 4, prefetch: 0}
train: {epochs: 9, steps: 6}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 8}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
hash_of() { sed -n 's/^weights //p' "$1"; }
succeed "train" launch 1 1 train "$work/c.yaml" --set run.folder="$work/undisturbed"
expect=$(hash_of "$work/out")

# Notes the exit code of each rank.
cat >"$work/wrap" <<'WRAP'
#!/bin/sh
folder=$1
shift
"$@"
echo $? >"$folder.rank.$OMPI_COMM_WORLD_RANK"
WRAP
chmod +x "$work/wrap"

# paused FOLDER RANKS N RUN...: starts a job whose rank 0 stops before call N; what it printed in FOLDER.out; its process,
# or that of mpirun, in $pid. False if the call has not come.
paused() {
    local folder=$1 first=()
    [ "$2" = 1 ] || first=(mpirun --mca orte_abort_on_non_zero_status 0 -n "$2" "$work/wrap" "$folder")
    OMP_NUM_THREADS=1 timeout $limit "${first[@]}" env LD_PRELOAD="$interpose" BNF_FAULT_FOLDER="$folder" BNF_FAULT_RANK=0 \
        BNF_FAULT_METRICS=1 BNF_STOP_AT="$3" BNF_FAULT_REPORT="$folder.report" \
        "$banff" train "$work/c.yaml" --set run.folder="$folder" >"$folder.out" 2>&1 &
    pid=$!
    until [ -s "$folder.report" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
    [ -s "$folder.report" ] || return 1
    stopped=$(cut -d' ' -f4 "$folder.report")
    until grep -q '^State:.T' "/proc/$stopped/status" 2>/dev/null || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
}

content() { (cd "$1" && sha256sum metrics.jsonl config.yaml checkpoints/ckpt-*-g2* 2>/dev/null); }

# one RANKS N: prints what is wrong
one() {
    local name=pause.$1.$2 folder code=0
    folder=$work/$name
    paused "$folder" "$1" "$2" || { echo "$name: the call has not come"; return; }
    timeout $limit "$banff" train "$work/c.yaml" --set run.folder="$folder" --resume auto --take-over >"$folder.second" 2>&1 ||
        echo "$name: the successor fails: $(cat "$folder.second")"
    [ "$(hash_of "$folder.second")" = "$expect" ] || echo "$name: the successor has other weights"
    content "$folder" >"$folder.before"
    kill -CONT "$stopped"
    wait $pid || code=$?
    [ "$1" = 1 ] || code=$(cat "$folder".rank.* | sort -u) # all ranks' have to be the same
    [ "$code" = 78 ] || echo "$name ($(cat "$folder.report")): exit code $code: $(cat "$folder.out")"
    grep -q "generation 2, since .*: host .*, process " "$folder.out" || echo "$name: no name in $(cat "$folder.out")"
    content "$folder" | cmp -s - "$folder.before" || echo "$name ($(cat "$folder.report")): files of the successor have changed"
    "$banff" checkpoint verify "$folder" >"$folder.verify" 2>&1 || echo "$name: $(cat "$folder.verify")"
    timeout $limit "$banff" train "$work/c.yaml" --set run.folder="$folder" --resume auto >"$folder.third" 2>&1
    [ "$(hash_of "$folder.third")" = "$expect" ] || echo "$name: other weights afterwards"
    rm -rf "$folder"
}

# The rest, at the same time: mostly waiting. In a subshell, with a folder for its outputs.
held() {
    folder=$work/held
    cp "$work/c.yaml" "$work/wrap" "$work/h/"
    work=$work/h
    checks "a job that is alive on this host keeps its folder: exit code 78 on every rank, with host and process"
    paused "$folder" 1 30 || wrong "no job to look at"
    refuse "second job" "is in use" "process $stopped" "--take-over" -- \
        launch 2 1 train "$work/c.yaml" --set run.folder="$folder" --resume auto
    [ "$code" = 78 ] || wrong "exit code $code"
    checks "killed, it is followed without asking"
    kill -9 "$stopped"
    wait $pid 2>/dev/null
    succeed "after the kill" launch 1 1 train "$work/c.yaml" --set run.folder="$folder" --resume auto
    [ "$(hash_of "$work/out")" = "$expect" ] || wrong "weights differ"

    # As if the newest job were on another host: its entry tells another boot of the machine.
    elsewhere() { sed -i 's|^space .*|space elsewhere/1|; s|^host .*|host node7|' "$1"; }
    newest() { find "$folder/checkpoints/generations" -name '??????' | sort | tail -n 1; }
    checks "a job elsewhere: watched; refused while its counter moves, followed when it does not"
    rm "$(newest).done"
    elsewhere "$(newest)"
    (for i in {1..300}; do echo "beat $i" >"$(newest).beat"; sleep 0.2; done) &
    beat=$!
    refuse "moving" "host node7" -- launch 1 1 train "$work/c.yaml" --set run.folder="$folder" --resume auto
    [ "$code" = 78 ] || wrong "exit code $code"
    kill $beat
    wait $beat 2>/dev/null
    succeed "still" launch 1 1 train "$work/c.yaml" --set run.folder="$folder" --resume auto
    grep -q "did not end by itself: .*node7" "$folder/log.txt" || wrong "log.txt does not tell that it was followed"

    checks "SLURM's job, restarted, takes over from itself; the same restart twice, or another job, does not"
    rm "$(newest).done"
    elsewhere "$(newest)"
    echo "job 77" >>"$(newest)"
    (for i in {1..300}; do echo "beat $i" >"$(newest).beat"; sleep 0.2; done) &
    beat=$!
    refuse "another job" "job 77" -- env SLURM_JOB_ID=78 SLURM_RESTART_COUNT=1 "$banff" train "$work/c.yaml" \
        --set run.time_limit=none --set run.folder="$folder" --resume auto
    succeed "requeued" env SLURM_JOB_ID=77 SLURM_RESTART_COUNT=1 "$banff" train "$work/c.yaml" \
        --set run.time_limit=none --set run.folder="$folder" --resume auto
    kill $beat
    wait $beat 2>/dev/null
}
mkdir "$work/h"
(held; exit $failed) >"$work/held.log" 2>&1 &
held=$!

total=0
for ranks in 1 2; do
    succeed "count" timeout $limit env LD_PRELOAD="$interpose" BNF_FAULT_FOLDER="$work/count" BNF_FAULT_RANK=0 \
        BNF_FAULT_METRICS=1 BNF_FAULT_TOTAL="$work/total" \
        mpirun -n $ranks "$banff" train "$work/c.yaml" --set run.folder="$work/count"
    n=$(cat "$work/total")
    rm -r "$work/count" "$work/total"
    [ "$n" -ge 20 ] || wrong "$ranks ranks: only $n calls"
    every=1
    [ $ranks = 1 ] || every=4
    checks "$ranks ranks: paused before each $every. of $n calls, taken over, and continued"
    for ((i = 1; i <= n; i += every)); do
        one $ranks $i >"$work/verdict.$ranks.$i" 2>&1 &
        total=$((total + 1))
        while [ "$(jobs -rp | wc -l)" -ge 7 ]; do wait -n; done
    done
done
wait $held || failed=1
wait
cat "$work/held.log"
bad=$(cat "$work"/verdict.*)
rm -f "$work/out"
[ -z "$bad" ] || wrong "$bad"
[ "$(find "$work" -maxdepth 1 -name 'verdict.*' | wc -l)" = $total ] || wrong "not every case has a verdict"

finish
