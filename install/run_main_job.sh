#!/usr/bin/env bash
# The main job, from nothing: sets up .venv, then calibrates a model of real measurements (NIST's Chwirut1 data)
# with an ensemble of four local workers. What it makes lies in main_job/. Further words go to the script.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export VENV="$(realpath -m "${VENV:-$root/.venv}")"
bash "$root/install/setup_venv.sh"

mkdir -p "$root/main_job"
cd "$root/main_job"
echo "[main job] running examples/calling_scripts/run_libe_chwirut.py in $PWD"
exec "$VENV/bin/python" "$root/examples/calling_scripts/run_libe_chwirut.py" \
    --comms local --nworkers 4 "$@" </dev/null
