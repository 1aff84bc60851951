#!/bin/sh
# Makes what Birddog needs on a bare machine; `make` calls it, a person may.
#
#   tools/setup.sh run       .venv at the root with what `birddog` needs
#   tools/setup.sh test      the same and what the tests need
#   tools/setup.sh assets    the console's browser libraries (tools/vendor.py, checked by SHA-256)
#   tools/setup.sh system    Chromium, Mosquitto and SoftHSM by apt for the tests, where root may; says what to do elsewhere
#
# Every step may be called again: what is in place is left alone, at no cost.  A .venv that an earlier
# call left half-made, that came from another folder or whose Python is gone is made again.
# PYTHON=/path/to/python3.12 names the interpreter; BIRDDOG_NO_APT=1 keeps apt out of it.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
MAKING=$VENV/.making

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

good_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

may_apt() {
    [ "$(id -u)" = 0 ] && [ -z "${BIRDDOG_NO_APT:-}" ] && command -v apt-get >/dev/null 2>&1
}

# Install packages by apt without letting any service among them start: Debian's Mosquitto would take
# port 1883 at once, and again at every boot.
apt_install() {
    (
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            trap 'exit 130' HUP INT TERM
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        apt-get update -q </dev/null >&2 || say "apt-get update failed; trying with the lists that are there"
        apt-get install -y -q --no-install-recommends "$@" </dev/null >&2
    )
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if good_python "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    if [ -z "${PYTHON:-}" ] && may_apt; then
        say "no Python 3.11 or newer here: installing python3 and python3-venv"
        apt_install python3 python3-venv && good_python python3 && command -v python3 && return 0
    fi
    die "Birddog needs Python 3.11 or newer (Debian: apt-get install python3 python3-venv), or PYTHON=/path/to/python"
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if may_apt; then
            say "Python $version here has no venv module: installing python3-venv"
            apt_install python3-venv || die "apt-get install python3-venv failed"
        fi
        "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
            die "$python cannot make virtual environments: apt-get install python3-venv (or python$version-venv), then again"
    fi
    say "making $VENV with $python"
    rm -rf "$VENV"
    mkdir "$VENV"
    : >"$MAKING"
    "$python" -m venv "$VENV"
}

# What the environment was made from; another answer means that it must be brought up to date.
fingerprint() {
    { pwd -P; cat pyproject.toml constraints.txt; } | sha256sum | cut -d ' ' -f 1
}

# python_env EXTRA: the environment, with the project itself editable.
python_env() {
    ready=$VENV/.ready-${1:-run}
    mark=$(fingerprint)
    # what the tests need holds what a run needs
    for stamp in "$ready" "$VENV/.ready-test"; do
        if [ ! -e "$MAKING" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$mark" ] && good_python "$VENV/bin/python"; then
            return 0
        fi
    done
    # Without its interpreter, half-made or moved (its scripts name the folder it was made in): anew.
    if [ -e "$MAKING" ] || ! good_python "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1 ||
        ! head -n 3 "$VENV/bin/pip" 2>/dev/null | grep -qF "$(pwd -P)/$VENV/"; then
        make_venv
    fi
    : >"$MAKING"
    rm -f "$ready"
    say "installing the packages of constraints.txt (once; a minute or two)"
    set -- "${1:+[$1]}"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt hatchling editables </dev/null >&2
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt \
        --no-build-isolation -e ".$1" </dev/null >&2
    "$VENV/bin/birddog" --version >/dev/null
    "$VENV/bin/python" -c 'import birddog.leaf_kernel as l, tracking.crowd_kernel as c, tracking.kernel as k; [one.compiled() for one in (l, c, k)]'  # once, kept
    printf '%s\n' "$mark" >"$ready"
    rm -f "$MAKING"
    say "$VENV is ready"
}

has_chromium() {
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

has_mosquitto() {
    command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ]
}

# Playwright's own node needs it; a bare Debian does not have it.
has_libatomic() {
    for file in /usr/lib/*/libatomic.so.1 /usr/lib/libatomic.so.1 /usr/lib64/libatomic.so.1; do
        [ -e "$file" ] && return 0
    done
    return 1
}

has_softhsm() {
    command -v softhsm2-util >/dev/null 2>&1
}

system_packages() {
    missing=
    has_libatomic || missing="$missing libatomic1"
    has_chromium || missing="$missing chromium"
    has_mosquitto || missing="$missing mosquitto"
    has_softhsm || missing="$missing softhsm2"
    [ -n "$missing" ] || return 0
    if ! may_apt; then
        say "not here:$missing. The tests that need them will be skipped. Debian, as root: apt-get install$missing"
        case "$missing" in *mosquitto*)
            say "(Debian's mosquitto starts itself on port 1883: systemctl disable --now mosquitto)" ;;
        esac
        return 0
    fi
    say "installing by apt:$missing (for the tests only; BIRDDOG_NO_APT=1 forbids it)"
    # shellcheck disable=SC2086  # a list of words
    if ! apt_install $missing; then
        say "apt-get failed; the tests that need$missing will be skipped"
        return 0
    fi
    case "$missing" in *mosquitto*)
        # nor at the next boot
        if [ -d /run/systemd/system ]; then
            systemctl disable --now mosquitto >/dev/null 2>&1 || say "could not disable the mosquitto service"
        elif command -v update-rc.d >/dev/null 2>&1; then
            update-rc.d mosquitto disable >/dev/null 2>&1 || say "could not disable the mosquitto service"
        fi ;;
    esac
}

if [ $# -eq 0 ]; then
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
for step in "$@"; do
    case "$step" in
        run) python_env "" ;;
        test) python_env test ;;
        assets) PIP_CONSTRAINT="$PWD/constraints.txt" "$VENV/bin/python" tools/vendor.py >&2 ;;
        system) system_packages ;;
        *) die "no step $step; there are: run, test, assets, system" ;;
    esac
done
