#!/usr/bin/env bash
# The installed product works without the source tree: cmake --install into a fresh folder, then tests/e2e/example is built
# outside the tree against it, once through find_package(Banff) and once through pkg-config, and run on 1 and 2 ranks.
# Usage: install.sh BUILD SOURCE
set -euo pipefail
build=${1:?usage: install.sh BUILD SOURCE}
source_dir=${2:?usage: install.sh BUILD SOURCE}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
prefix=$temp/prefix

fail() {
    echo "install: $*"
    exit 1
}

# run COMMAND...: its output is shown only when it fails
run() {
    "$@" >"$temp/log" 2>&1 || { cat "$temp/log"; fail "failed: $*"; }
}

run cmake --install "$build" --prefix "$prefix"
[ -x "$prefix/bin/banff" ] || fail "no bin/banff"
for header in "$source_dir"/include/banff/*.h; do
    [ -f "$prefix/include/banff/$(basename "$header")" ] || fail "not installed: $(basename "$header")"
done
library=$(find "$prefix" -name 'libbanff.*' | head -1)
[ -n "$library" ] || fail "no library"
if grep -rlF "$source_dir" "$prefix/include" "$prefix"/lib*/cmake "$prefix"/lib*/pkgconfig; then
    fail "these installed files name the source tree"
fi

# The program answers without the tree.
installed=$("$prefix/bin/banff" --version)
grep -qE '[0-9]+\.[0-9]+\.[0-9]+' <<<"$installed" || fail "banff --version printed '$installed'"

# The example, away from the tree and, to be sure, without write access to anything of it.
cp -r "$source_dir/tests/e2e/example" "$temp/example"
run cmake -G Ninja -S "$temp/example" -B "$temp/cm" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
run cmake --build "$temp/cm"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name banff.pc)"):${PKG_CONFIG_PATH:-}
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion banff)" = "$(sed -n 's/^project(banff VERSION \([0-9.]*\).*/\1/p' "$source_dir/CMakeLists.txt")" ] ||
    fail "banff.pc has another version than CMakeLists.txt"
# shellcheck disable=SC2046 # flags are words
run cc -std=c17 -O2 "$temp/example/example.c" -o "$temp/example-pc" $(pkg-config --cflags --libs banff) \
    "-Wl,-rpath,$(dirname "$library")"

for program in "$temp/cm/example" "$temp/example-pc"; do
    for ranks in 1 2; do
        run mpirun -n $ranks "$program"
        grep '^example: loss' "$temp/log" >>"$temp/said" || { cat "$temp/log"; fail "$program did not tell its loss"; }
    done
done
[ "$(sort -u "$temp/said" | wc -l)" -eq 1 ] || { cat "$temp/said"; fail "the example's losses differ between programs or ranks"; }
echo "install: $installed; example built with CMake and with pkg-config trained to the same bits on 1 and 2 ranks"
