#!/usr/bin/env bash
# All checks, from nothing: sets up .venv, then runs ruff, mypy and the whole test suite. Further words go to
# pytest: `bash install/run_tests.sh -m "not slow"` is the fast lane.
set -uo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export VENV="$(realpath -m "${VENV:-$root/.venv}")"
bash "$root/install/setup_venv.sh" || exit 1
cd "$root" || exit 1
export PATH="$VENV/bin:$PATH"  # what tests start by name is this environment's, too

failed=()
run() {
    local name="$1"
    shift
    echo "[tests] $name: $*"
    "$@" </dev/null || failed+=("$name")
}

run ruff python -m ruff check .
run mypy python -m mypy
run pytest python -m pytest "$@"

if [ "${#failed[@]}" -gt 0 ]; then
    echo "[tests] failed: ${failed[*]}"
    exit 1
fi
echo "[tests] ruff, mypy and pytest passed"
