#!/usr/bin/env bash
# Builds this checkout's own virtual environment and installs libensemble with its development tools into it.
#
#   PYTHON   interpreter to build from (default: the first of python3, python3.14 ... python3.10 that is new enough)
#   VENV     where the environment lies (default: .venv in the checkout)
#
# Runs as often as you like: when nothing has changed it does nothing.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${VENV:-$root/.venv}"

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
can_build_venvs() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }
version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])'; }

find_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" || fail "PYTHON=$PYTHON is not an interpreter that can be run"
        return
    fi
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if command -v "$name" >/dev/null && is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
}

apt_install() {
    command -v apt-get >/dev/null || fail "missing: $*. Install it and run this again (there is no apt-get here to do it)."
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "missing: $*. Install it as root ('apt-get install $*') and run this again."
        as_root=(sudo)
    fi
    say "installing with apt-get: $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
        say "apt-get update complained; trying with the package lists there are"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
}

listed_packages() { grep -v '^ *\(#\|$\)' "$root/install/apt-packages.txt"; }

python="$(find_python)"
if [ -z "$python" ]; then
    # shellcheck disable=SC2046  # one word a package is meant
    apt_install $(listed_packages)
    python="$(find_python)"
    [ -n "$python" ] || fail "no Python 3.10 or newer here; install one and name it: PYTHON=/path/to/python3 bash $0"
fi
is_new_enough "$python" || fail "$python is $(version_of "$python"); 3.10 or newer is needed"
if ! can_build_venvs "$python"; then
    # Debian ships venv's parts apart, and each version of Python has its own package.
    apt_install ca-certificates "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    can_build_venvs "$python" || fail "$python cannot build virtual environments (its modules venv and ensurepip are missing)"
fi

wanted="$(cat "$root/setup.cfg" "$root/pyproject.toml" "$root/libensemble/version.py" | sha256sum | cut -d' ' -f1)"
stamp="$root $(version_of "$python") $wanted"
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.installed" 2>/dev/null)" = "$stamp" ]; then
    say "$venv is up to date"
    exit 0
fi

if [ -e "$venv" ] && [ "$(version_of "$venv/bin/python" 2>/dev/null)" != "$(version_of "$python")" ]; then
    say "$venv was built with another Python; building it anew"
    [ -f "$venv/pyvenv.cfg" ] || fail "$venv is no virtual environment: I leave it alone; name another place with VENV="
    rm -rf "$venv"
fi
if [ ! -x "$venv/bin/python" ]; then
    say "building $venv with Python $(version_of "$python") ($python)"
    "$python" -m venv "$venv"
fi
say "installing libensemble and its development tools (a minute or two the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[dev]" </dev/null
printf '%s\n' "$stamp" >"$venv/.installed"
say "done"
