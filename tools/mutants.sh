#!/bin/sh
# Are the tests tested?  Mutates files one place at a time and runs the tests that touch them (mutmut 3), in a copy of the tree.
#
#   tools/mutants.sh tracking/doubt.py                                # all of tests/tracking
#   tools/mutants.sh tracking/doubt.py tests/tracking/test_bounds.py  # or the tests that are named
#
# Prints each mutant that survived, as a diff: a test that is missing, or code that could be simpler.  Not in CI: a mutant
# costs its tests, and a long file has a thousand.  What Numba compiles (tracking/kernel.py) cannot be mutated.
set -eu
cd "$(dirname "$0")/.."
bin=$(pwd)/.venv/bin
[ $# -ge 1 ] && [ -f "$1" ] || { echo "usage: tools/mutants.sh FILE [TESTS...]" >&2; exit 2; }
file=$1
shift
room=${file%%/*}
[ $# -ge 1 ] || set -- "tests/$room"
"$bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt mutmut==3.8.1
where=$(mktemp -d)
trap 'rm -rf "$where"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$where"
cd "$where"
{
    printf '[mutmut]\nsource_paths = %s\nonly_mutate = %s\n' "$room" "$file"
    printf 'also_copy =\n'
    for name in birddog devices imagery ingest sim tracking opsroom tools benchmarks docs; do
        [ "$name" = "$room" ] || printf '    %s\n' "$name"
    done
    printf 'pytest_add_cli_args =\n    -x\n    -p\n    no:cacheprovider\n    -m\n    not slow and not broker and not shared\n'
    printf 'pytest_add_cli_args_test_selection =\n'
    printf '    %s\n' "$@"
} >setup.cfg
"$bin/mutmut" run --max-children 2 >run.log 2>&1 || { tr '\r' '\n' <run.log | tail -n 30; exit 1; }
tr '\r' '\n' <run.log | grep -a '🎉' | tail -n 1
"$bin/mutmut" results | sed -n 's/^ *\([^ ]*\): survived$/\1/p' | while read -r name; do
    "$bin/mutmut" show "$name" || true
done
