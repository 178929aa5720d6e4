#!/usr/bin/env bash
# banff doctor: a machine that is well, and each trap that can be set here, which it must name with a remedy; exit code 1
# exactly where something will fail; nothing is left in the folder; JSON that parses.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

says() {
    local what=$1 text
    shift
    for text in "$@"; do
        grep -qF -- "$text" "$work/out" || wrong "$what: no '$text'"
    done
}

checks "two ranks and a folder: a table, no failure, nothing left behind"
succeed "doctor" launch 2 1 doctor --folder "$work/folder"
says "doctor" "rank  host" "$(uname -n)" "Open MPI" "HDF5 1." "parallel, also compressed" "oneDNN" "lo 127.0.0.1" "clocks " \
    "fsync" "MB/s" "0 that will fail"
[ -z "$(ls -A "$work/folder")" ] || wrong "left in the folder: $(ls -A "$work/folder")"
if grep -q "locks of rank 0\|does not see" "$work/out"; then wrong "one host, and yet not one file system"; fi

if command -v python3 >/dev/null; then
    checks "the same as JSON"
    launch 3 2 doctor --json --folder "$work/folder" >"$work/json" 2>"$work/out" || wrong "JSON: exit code $?"
    python3 - "$work/json" >"$work/out" 2>&1 <<'PY' || wrong "JSON"
import json, sys
d = json.load(open(sys.argv[1]))
assert len(d["ranks"]) == 3 and d["failures"] == 0, d
for r in d["ranks"]:
    assert r["threads"] == 2 and len(r["thread_cpus"]) == 2 and r["cpus_allowed"] >= 1, r
    assert abs(r["clock_offset"]) < 1, r
f = d["folder"]
assert f["answers"] and f["shared"] and f["locks"] and f["error"] == "", f
assert f["write_bytes_per_second"] > 0 and f["fsync_seconds"] > 0 and f["replace_seconds"] > 0, f
assert all(x["remedy"] for x in d["findings"])
PY
fi

if [ "$(nproc --all)" -ge 2 ] && command -v taskset >/dev/null; then
    cpu=$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')
    checks "the binding trap: threads that share a CPU, and OpenMP that sees only one"
    succeed "bound" env OMP_NUM_THREADS=3 OMP_WAIT_POLICY=active taskset -c "$cpu" "$banff" doctor
    says "bound" "3 OpenMP threads share 1 CPU ($cpu)" "remedy: mpirun --map-by slot:PE=3 --bind-to core" \
        "export OMP_WAIT_POLICY=passive"
    succeed "one" env -u OMP_NUM_THREADS taskset -c "$cpu" "$banff" doctor
    says "one" "may use one of" "--bind-to none"
    succeed "passive" env OMP_NUM_THREADS=3 OMP_WAIT_POLICY=passive taskset -c "$cpu" "$banff" doctor
    if grep -qF "OMP_WAIT_POLICY" "$work/out"; then wrong "passive: warned all the same"; fi
fi
checks "srun that started programs alone"
refuse "srun" "SLURM has 4 tasks" "srun --mpi=pmix" -- \
    env SLURM_JOB_ID=1 SLURM_JOB_END_TIME=$(($(date +%s) + 900)) SLURM_NTASKS=4 "$banff" doctor
[ "$code" = 1 ] || wrong "srun: exit code $code"
says "srun" "1 that will fail" "ends in "
checks "a folder that cannot be, and a limit on files"
: >"$work/file"
refuse "no folder" "$work/file" -- launch 2 1 doctor --folder "$work/file/x"
[ "$code" = 1 ] || wrong "no folder: exit code $code"
if [ "$slow" != thread ]; then
    refuse "limit" "File too large" "ulimit -f unlimited" -- bash -c "ulimit -f 20000; exec $banff doctor --folder $work/folder"
    [ -z "$(ls -A "$work/folder")" ] || wrong "left in the folder: $(ls -A "$work/folder")"
fi
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
    memory=$(mktemp -d -p /dev/shm)
    succeed "memory" launch 1 1 doctor --folder "$memory"
    says "memory" "the folder is in memory (tmpfs)"
    rmdir "$memory"
fi
checks "a configuration: its data, its leaves; nonsense"
printf 'recipe: lipschitz\nrun: {folder: %s}\ndata: {file: %s, batch: 4, leaves: 2}\nmodel:\n  layers:\n    - {type: head, out: 10}\n' \
    "$work/folder" "$work/no.h5" >"$work/c.yaml"
refuse "data" "cannot read the data" "$work/no.h5" "3 ranks, but data.leaves is 2" -- launch 3 1 doctor "$work/c.yaml"
[ "$code" = 1 ] || wrong "data: exit code $code"
succeed "synth" "$banff" synth shapes --out "$work/no.h5" --train 8 --test 8 --size 8x8
succeed "data" launch 1 2 doctor "$work/c.yaml"
refuse "nonsense" "did you mean '--folder'" -- launch 1 1 doctor --foldr x
[ "$code" = 2 ] || wrong "nonsense: exit code $code"
finish
