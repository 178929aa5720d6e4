#!/usr/bin/env bash
# banff import, synth, inspect from the command line, alone and on three ranks: same checksum, errors with exit codes.
set -u
build=$1
banff=$build/banff
[ -x "$banff" ] || { echo "skipped: $banff was not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

check() { # check WHAT COMMAND...: the command succeeds
    local what=$1
    shift
    if ! "$@" >"$work/out" 2>&1; then
        echo "FAILED: $what"
        cat "$work/out"
        failed=1
    fi
}

refuse() { # refuse WHAT TEXT COMMAND...: the command ends with an error that holds TEXT, and soon
    local what=$1 text=$2
    shift 2
    timeout 60 "$@" >"$work/out" 2>&1
    local code=$?
    if [ $code = 0 ] || [ $code = 124 ] || ! grep -qF -- "$text" "$work/out"; then
        echo "FAILED: $what (exit code $code, expected a message with '$text')"
        cat "$work/out"
        failed=1
    fi
}

checksum() { "$banff" inspect "$1" | awk '$1 == "checksum" { print $2 }'; }

check "synth alone" "$banff" synth shapes --out "$work/a.h5" --train 300 --test 50 --size 20x24 --channels 3 --seed 5
check "synth on 3 ranks" mpirun -n 3 "$banff" synth shapes --out "$work/b.h5" --train 300 --test 50 --size=20x24 \
    --channels 3 --seed 5 --deflate 3
[ -n "$(checksum "$work/a.h5")" ] && [ "$(checksum "$work/a.h5")" = "$(checksum "$work/b.h5")" ] || {
    echo "FAILED: checksums differ: $(checksum "$work/a.h5"), $(checksum "$work/b.h5")"
    failed=1
}
check "inspect --verify on 2 ranks" mpirun -n 2 "$banff" inspect "$work/b.h5" --verify
for text in "u8[300,20,24,3]" "u8[50,20,24,3]" "deflate 3" "triangle" "0..9 of 10 classes" "verified"; do
    grep -qF "$text" "$work/out" || { echo "FAILED: inspect does not show '$text'"; cat "$work/out"; failed=1; }
done

# One white 2 x 3 picture per class, as text: what a user might try first.
for class in cat dog; do
    mkdir -p "$work/set/$class"
    printf 'P2 3 2 255\n255 255 255 255 255 255\n' >"$work/set/$class/1.pgm"
done
check "import folder" mpirun -n 2 "$banff" import folder "$work/set" --out "$work/c.h5"
grep -qF "2 training and 0 test images of 2 x 3 x 1, 2 classes" "$work/out" || { echo "FAILED: summary"; cat "$work/out"; failed=1; }
check "inspect" "$banff" inspect "$work/c.h5"

for help in "import --help" "import idx --help" "import cifar --help" "import folder --help" "import npz --help" "import h5 --help" "synth --help" \
    "synth shapes --help" "synth glyphs --help" "synth koch --help" "synth showers --help" "synth wasserstein --help" "inspect --help"; do
    # shellcheck disable=SC2086
    check "$help" "$banff" $help
    grep -q "^usage: banff" "$work/out" || { echo "FAILED: $help prints no usage"; failed=1; }
done

refuse "unknown option" "did you mean '--resize'" "$banff" import folder "$work/set" --out "$work/d.h5" --resise crop
refuse "bad choice" "crop, stretch" "$banff" import folder "$work/set" --out "$work/d.h5" --resize zoom
refuse "bad number" "--train ten" "$banff" synth shapes --out "$work/d.h5" --train ten
refuse "no output named" "--out FILE" "$banff" synth shapes
refuse "unknown kind" "idx, cifar, folder" "$banff" import mp3
refuse "no archive on 2 ranks" "$work/a.h5" mpirun -n 2 "$banff" import npz "$work/a.h5" --out "$work/d.h5"
refuse "missing file on 2 ranks" "$work/none" mpirun -n 2 "$banff" inspect "$work/none"
mkdir "$work/set/empty"
refuse "empty class folder on 3 ranks" "$work/set/empty" mpirun -n 3 "$banff" import folder "$work/set" --out "$work/d.h5"
printf 'P2 3 2 255\n255 255' >"$work/set/empty/1.pgm"
refuse "truncated picture on 3 ranks" "$work/set/empty/1.pgm" mpirun -n 3 "$banff" import folder "$work/set" --out "$work/d.h5"
refuse "unwritable output on 2 ranks" "/no/such/place/d.h5" mpirun -n 2 "$banff" synth shapes --out /no/such/place/d.h5
head -c 3000 "$work/a.h5" >"$work/cut.h5"
refuse "truncated set" "$work/cut.h5" "$banff" inspect "$work/cut.h5"
left=$(find "$work" -name '*.tmp' -o -name 'd.h5')
[ -z "$left" ] || { echo "FAILED: files left: $left"; failed=1; }
exit $failed
