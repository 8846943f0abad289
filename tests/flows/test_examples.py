"""Every example runs as a script of its own, and does what its first lines promise."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "examples" / "calling_scripts"
CERTIFIED = 2384.4771393


def run_example(name, *words, comms="local", nworkers=2, expected=0):
    """Run one script in the current folder; return what it printed."""
    command = [sys.executable, str(SCRIPTS / name), "--comms", comms, "--nworkers", str(nworkers), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == expected, f"{name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def only(pattern):
    (path,) = Path.cwd().glob(pattern)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("comms", "seed"), [("local", 1), ("local", 2), ("threads", 3)])
def test_the_calibration_finds_what_is_certified(comms, seed):
    said = run_example("run_libe_chwirut.py", "--seed", str(seed), comms=comms, nworkers=4)

    assert re.search(r"\d+ evaluations \( *\d+/s\) +best sum of squares", said), "no progress shown"
    b1 = re.search(r"^b1 +([\d.]+) +([\d.]+)", said, flags=re.MULTILINE)
    assert b1 and float(b1[2]) == pytest.approx(0.19027818370) and float(b1[1]) == pytest.approx(float(b1[2]), rel=1e-3)
    H = np.load(only("chwirut_history_length=*_workers=4.npy"))
    ended = H[H["sim_ended"]]
    assert ended["f"].min() == pytest.approx(CERTIFIED, rel=1e-3)
    assert np.allclose((ended["residuals"] ** 2).sum(axis=1), ended["f"])
    assert only("chwirut_persis_info_*.pickle").stat().st_size > 0
    assert only("chwirut_fit.png").read_bytes()[:4] == b"\x89PNG"
    assert only("ensemble.log").exists() and only("libE_stats.txt").exists()


def test_a_calibration_that_is_cut_short_says_so_and_ends_with_one(tmp_path):
    said = run_example("run_libe_chwirut.py", "--sim_max", "20", "--output", "results", expected=1)

    assert "percent above the certified one" in said
    assert list((tmp_path / "results").glob("chwirut_history_length=*.npy"))
    assert not list(tmp_path.glob("*.npy"))


def test_an_unknown_option_of_the_calibration_is_an_error():
    run_example("run_libe_chwirut.py", "--no_such_option", "1", expected=2)


@pytest.mark.parametrize("comms", ["local", "threads"])
def test_the_tutorial_evaluates_sines(comms):
    said = run_example("run_libe_sine_tutorial.py", comms=comms)

    pairs = re.findall(r"sin\(([-+.\d]+)\) = ([-+.\d]+)", said)
    assert len(pairs) == 5
    assert np.allclose([float(y) for _, y in pairs], np.sin([float(x) for x, _ in pairs]), atol=2e-4)
    assert "80 points evaluated, exit flag 0" in said


def test_the_persistent_generator_works_in_batches():
    said = run_example("run_libe_persistent_uniform.py", nworkers=3)

    points, batches, lowest = re.search(r"(\d+) points in (\d+) batches; lowest f = (-?[\d.]+)", said).groups()
    assert (int(points), int(batches)) == (200, 10)
    assert -1.0317 < float(lowest) < 0


@pytest.mark.parametrize("comms", ["local", "threads"])
def test_cancelled_points_do_not_start_and_running_ones_stop(comms):
    said = run_example("run_libe_kill.py", comms=comms, nworkers=4)

    fates = re.findall(r"^ *(\d+) +([\d.]+)s +([\d.]+)s +(.*)$", said, flags=re.MULTILINE)
    assert len(fates) == 12
    assert sum(fate == "ended" for *_, fate in fates) == 4
    killed = [float(slept) for _, _, slept, fate in fates if fate == "killed"]
    assert 1 <= len(killed) <= 4 and max(killed) < 15
    assert sum(fate == "never started" for *_, fate in fates) == 8 - len(killed)
    assert float(re.search(r"took ([\d.]+) s", said)[1]) < 15


def test_the_file_states_the_ensemble():
    said = run_example("run_libe_from_yaml.py")

    count, lowest = re.search(r"(\d+) points evaluated; lowest f = (-?[\d.]+)", said).groups()
    assert int(count) == 60
    assert float(lowest) < 1


def test_the_generator_object_improves_on_its_results():
    said = run_example("run_libe_generator_object.py", nworkers=3)

    count, best = re.search(r"(\d+) results ingested\nbest f = ([\d.]+)", said).groups()
    assert int(count) == 200
    assert 0.5 <= float(best) < 0.6


def test_every_script_is_told_of_and_run():
    names = {path.name for path in SCRIPTS.glob("run_*.py")}
    overview = (ROOT / "examples" / "README.md").read_text()
    here = Path(__file__).read_text()
    assert {name for name in names if name not in overview} == set()
    assert {name for name in names if f'"{name}"' not in here} == set()
