"""APOSMM in ensembles: it finds the six minima of the six-hump camel, ends when told, and leaves nothing behind."""

import os
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import psutil
import pytest
from gest_api.vocs import VOCS

from libensemble import Ensemble
from libensemble.alloc_funcs.persistent_aposmm_alloc import persistent_aposmm_alloc
from libensemble.alloc_funcs.start_only_persistent import only_persistent_gens
from libensemble.errors import LoggedException
from libensemble.gen_classes import APOSMM
from libensemble.gen_funcs.aposmm import optimizers
from libensemble.gen_funcs.aposmm_localopt_support import ConvergedMsg, LocalOptInterfacer
from libensemble.gen_funcs.persistent_aposmm import aposmm
from libensemble.libE import libE
from libensemble.sim_funcs.periodic_func import func_wrapper
from libensemble.sim_funcs.six_hump_camel import six_hump_camel, six_hump_camel_func, six_hump_camel_grad
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs
from libensemble.tools import add_unique_random_streams

pytestmark = pytest.mark.slow  # many real runs

pytest.importorskip("nlopt")
FIELDS = [("x", float, 2), ("x_on_cube", float, 2), ("sim_id", int), ("local_min", bool), ("local_pt", bool)]
BACK = ["f", "x", "x_on_cube", "sim_id", "local_min", "local_pt"]
LOWER, UPPER = np.array([-3, -2]), np.array([3, 2])
MINIMA = np.array([[0.08984201, -0.71265640], [1.70360671, -0.79608357], [1.60710476, 0.56865145]])
MINIMA = np.vstack([MINIMA, -MINIMA])
TOLERANCES = {"xtol_abs": 1e-6, "ftol_abs": 1e-6}


def run(
    comms,
    nworkers=4,
    *,
    sim_f=six_hump_camel,
    sim_max=1000,
    wallclock_max=None,
    grad=False,
    gen_in=None,
    H0=None,
    seed=1,
    gen_on_manager=False,
    **user,
):
    """Run the function form; return (H, what the generator left in persis_info, flag)."""
    options = {"lb": LOWER, "ub": UPPER, "initial_sample_size": 100, "localopt_method": "LN_BOBYQA"}
    options |= {"rk_const": 0.6307831, "dist_to_bound_multiple": 0.5, "max_active_runs": 6, **user}
    gen_specs = {"gen_f": aposmm, "out": FIELDS, "persis_in": [*BACK, *(["grad"] if grad else [])], "user": options}
    if gen_in:
        gen_specs["in"] = gen_in
    out = [("f", float), *([("grad", float, 2)] if grad else [])]
    H, persis_info, flag = libE(
        {"sim_f": sim_f, "in": ["x"], "out": out},
        gen_specs,
        {name: value for name, value in (("sim_max", sim_max), ("wallclock_max", wallclock_max)) if value},
        add_unique_random_streams({}, nworkers + 1, seed=seed),
        {"alloc_f": persistent_aposmm_alloc},
        {"comms": comms, "nworkers": nworkers, "gen_on_manager": gen_on_manager, "abort_on_exception": False},
        H0=H0,
    )
    return H, persis_info[0 if gen_on_manager else 1], flag


def found(minima, tolerance=1e-5):
    return sum(bool(np.any(np.sum((minima - x) ** 2, axis=1) < tolerance)) for x in MINIMA)


def test_all_six_minima(comms):
    H, own, flag = run(comms, sim_max=1500, sample_points=np.round(MINIMA, 1), rk_const=0.3, **TOLERANCES)
    assert flag == 0 and H["sim_ended"].sum() == 1500 and 1500 <= len(H) < 1530
    assert found(H["x"][H["local_min"]]) == 6
    assert not H["local_pt"][:100].any() and H["local_pt"][100:].any()
    assert np.allclose(H["x"], H["x_on_cube"] * (UPPER - LOWER) + LOWER, rtol=0, atol=1e-12)
    ended = [end["sim_id"] for end in own["run_endings"].values() if end["converged"]]
    assert set(np.flatnonzero(H["local_min"])) <= set(ended)
    for order in own["run_order"].values():
        assert H["local_pt"][order[1:]].all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_nearly_all_minima_whatever_the_sample(comms, seed):
    H, own, flag = run(comms, sim_max=2000, seed=seed, **TOLERANCES)
    assert flag == 0 and found(H["x"][H["local_min"]]) >= 5
    assert len(own["run_order"]) > 20


@pytest.mark.slow
@pytest.mark.parametrize("method", ["LN_COBYLA", "LN_NEWUOA", "LN_SBPLX", "LN_NELDERMEAD", "LD_MMA"])
def test_each_method_of_nlopt(method):
    H, own, flag = run("threads", localopt_method=method, grad=method == "LD_MMA", rk_const=0.4, **TOLERANCES)
    assert flag == 0 and found(H["x"][H["local_min"]]) >= 2


@pytest.mark.parametrize("method", ["scipy_Nelder-Mead", "scipy_COBYLA", "scipy_BFGS"])
def test_each_method_of_scipy(comms, method):
    pytest.importorskip("scipy")
    H, own, flag = run(
        comms,
        localopt_method=method,
        opt_return_codes=[0],
        grad=method == "scipy_BFGS",
        scipy_kwargs={"tol": 1e-6},
        sample_points=np.round(MINIMA, 1),
        sim_max=700,
    )
    assert flag == 0 and found(H["x"][H["local_min"]], 1e-3) >= 2
    assert np.all((H["x"] >= LOWER) & (H["x"] <= UPPER))


@pytest.mark.parametrize("gen_on_manager", [False, True])
def test_batches_are_the_sample_and_then_one_point_for_each_worker(comms, gen_on_manager):
    H, _, _ = run(comms, gen_on_manager=gen_on_manager, sim_max=104, max_active_runs=0, **TOLERANCES)
    batches = np.unique(H["gen_ended_time"], return_counts=True)[1]
    assert batches[0] == 100 and batches[1] == (4 if gen_on_manager else 3)


def test_runs_are_given_back_when_time_is_up(comms):
    H, own, _ = run(comms, sim_max=50000, wallclock_max=0.7, **TOLERANCES)
    assert own["run_order"] and H["sim_ended"].sum() < 50000


def test_it_ends_by_itself_after_so_many_runs(comms):
    H, own, flag = run(comms, sim_max=2000, initial_sample_size=20, stop_after_k_runs=3, **TOLERANCES)
    assert flag == 0 and len(H) < 2000 and len(own["run_endings"]) >= 3


def past_evaluations():
    names = ["x", "x_on_cube", "f", "grad", "local_pt", "sim_id", "sim_ended", "local_min"]
    dtype = [("x", float, 2), ("x_on_cube", float, 2), ("f", float), ("grad", float, 2), ("local_pt", bool)]
    dtype += [("sim_id", int), ("sim_started", bool), ("sim_ended", bool), ("gen_informed", bool), ("local_min", bool)]
    H0 = np.zeros(6, dtype=dtype)
    H0["x"] = np.round(MINIMA, 1)
    H0["x_on_cube"] = (H0["x"] - LOWER) / (UPPER - LOWER)
    H0["f"], H0["grad"] = six_hump_camel_func(H0["x"].T), six_hump_camel_grad(H0["x"].T).T
    H0["sim_id"] = np.arange(6)
    for name in ("sim_started", "sim_ended", "gen_informed"):
        H0[name] = True
    return H0, names


def test_runs_start_at_once_from_past_evaluations(comms):
    H0, names = past_evaluations()
    H, own, flag = run(
        comms,
        H0=H0,
        gen_in=names,
        grad=True,
        localopt_method="LD_MMA",
        initial_sample_size=0,
        stop_after_k_minima=15,
        xtol_rel=1e-6,
        ftol_rel=1e-6,
    )
    assert flag == 0 and H["sim_ended"].sum() < 1000
    assert found(H["x"][H["local_min"]]) == 6 and len(own["run_order"]) >= 15


@pytest.mark.parametrize("method", ["LN_BOBYQA", "scipy_COBYLA"])
def test_on_a_torus_every_minimum_is_one_of_two(method):
    precise = {"xtol_abs": 1e-8, "ftol_abs": 1e-8, "scipy_kwargs": {"tol": 1e-8}, "opt_return_codes": [1]}
    box = {"lb": np.array([0, -np.pi / 2]), "ub": np.array([2 * np.pi, 3 * np.pi / 2])}
    H, _, flag = run(
        "threads", sim_f=func_wrapper, sim_max=600, periodic=True, localopt_method=method, **box, **precise
    )
    minima = H["x_on_cube"][H["local_min"]]
    distance = [np.linalg.norm(minima - centre, axis=1) for centre in ([0.25, 0.75], [0.75, 0.25])]
    assert len(minima) > 2 and np.all(np.min(distance, axis=0) < 2e-4)
    assert np.all((H["x_on_cube"] >= 0) & (H["x_on_cube"] < 1))


def test_what_an_optimizer_raises_ends_the_ensemble_and_its_words_come_last(comms):
    with pytest.raises(LoggedException) as caught:
        run(comms, sim_max=2000)  # BOBYQA with no tolerance
    assert caught.value.args[1].endswith("NLopt roundoff-limited")


# ---- which packages are imported, and when


def last_words_of(code):
    """What a new Python says last when it runs this."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def test_no_optimizer_is_imported_before_it_is_used():
    show = "import sys; print(sorted({'nlopt', 'scipy', 'dfols', 'petsc4py', 'ibcdfo', 'mpmath'} & set(sys.modules)))"
    assert last_words_of(f"import libensemble.gen_funcs.persistent_aposmm; {show}") == "[]"
    assert last_words_of(f"from libensemble.gen_classes import APOSMM; {show}") == "[]"
    declare = "from libensemble.gen_funcs import rc; rc.aposmm_optimizers = "
    use = "; import libensemble.gen_funcs.persistent_aposmm"
    assert "nlopt" in last_words_of(f"{declare}'nlopt'{use}; {show}")
    assert last_words_of(f"{declare}['nlopt', 'snopt']{use}").startswith("libensemble.errors.APOSMMException")
    missing = "import sys; sys.modules['ibcdfo'] = None; "
    assert last_words_of(f"{missing}{declare}'ibcdfo_pounders'{use}").startswith("ImportError: ibcdfo could not")


# ---- runs that are processes


@pytest.fixture
def apart(monkeypatch):
    """BOBYQA, as if it could not run in a thread."""
    monkeypatch.setitem(optimizers.METHODS, "LN_BOBYQA", replace(optimizers.METHODS["LN_BOBYQA"], apart=True))
    before = set(psutil.Process().children(recursive=True))
    yield
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [
        process for process in left if process.is_running() and "resource_tracker" not in str(process.cmdline())
    ]


def test_a_run_may_be_a_process(apart):
    options = {"localopt_method": "LN_BOBYQA", "xtol_abs": 1e-6}
    point, target = np.array([[0.4, 0.5]]), np.array([0.3, 0.6])
    row = np.zeros(1, dtype=[("x_on_cube", float, 2), ("f", float)])
    local_run = LocalOptInterfacer(options, point[0], 0.0)
    while not isinstance(point, ConvergedMsg):
        row["x_on_cube"], row["f"] = point, np.sum((point - target) ** 2)
        point = local_run.iterate(row[0])
    assert point.opt_flag and point.x == pytest.approx(target, abs=1e-4)
    local_run.close()
    another = LocalOptInterfacer(options, target, 0.0)
    another.destroy()
    assert not another.is_running


def test_runs_that_are_processes_end_with_their_ensemble(apart):
    H, own, flag = run("threads", sim_max=300, max_active_runs=2, **TOLERANCES)
    assert flag == 0 and len(own["run_order"]) > len(own["run_endings"])
    assert H["local_min"].any()


def test_a_process_that_dies_is_an_error(apart):
    local_run = LocalOptInterfacer({"localopt_method": "LN_BOBYQA", "xtol_abs": 1e-6}, np.array([0.4, 0.5]), 0.0)
    local_run._comm.process.kill()
    row = np.zeros(1, dtype=[("x_on_cube", float, 2), ("f", float)])
    row["x_on_cube"] = [0.4, 0.5]
    with pytest.raises(Exception, match="killed by signal 9"):
        local_run.iterate(row[0])


# ---- a script of the user's

OCTAVE = """#!{python}
import os, re, sys, time
names = dict(re.findall(r"(\\w+)='([^']*)'", sys.argv[-1]))
assert sys.argv[-1].endswith("call_matlab_octave_script")
if os.path.exists("fail"):
    sys.exit("syntax error near line 3")
def ask(x):
    open(names["x_file"], "w").write(" ".join(map(repr, x)) + "\\n")
    open(names["x_done_file"], "w").close()
    while not os.path.exists(names["y_done_file"]):
        time.sleep(0.001)
    y = float(open(names["y_file"]).read())
    os.remove(names["y_done_file"])
    return y
best = [float(v) for v in re.search(r"x0=\\[(.*?)\\]", sys.argv[-1])[1].split()]
f, step = ask(best), 0.02
while step > 1e-3:
    for i in range(4):
        x = list(best)
        x[i // 2] += step if i % 2 else -step
        y = ask(x)
        if y < f:
            best, f = x, y
            break
    else:
        step /= 2
open(names["opt_file"], "w").write(" ".join(map(repr, best)) + "\\n")
open(names["opt_file"] + "_flag", "w").write("1\\n")
"""


@pytest.fixture
def octave(tmp_path, monkeypatch):
    """A program called octave that keeps to the protocol of the files."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "octave"
    program.write_text(OCTAVE.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_script_in_octave_may_be_the_optimizer(comms, octave):
    options = {"localopt_method": "external_localopt", "max_active_runs": 2, "mu": 0.05}
    H, own, flag = run(comms, sim_max=250, sample_points=np.round(MINIMA, 1), initial_sample_size=30, **options)
    assert flag == 0 and H["local_min"].any()
    assert found(H["x"][H["local_min"]], 1e-3) >= 1
    assert not [path.name for path in octave.iterdir() if path.name.startswith(("x_", "y_", "opt_"))]


def test_a_failing_script_says_why(octave):
    (octave / "fail").touch()
    with pytest.raises(LoggedException, match="syntax error near line 3"):
        run("threads", sim_max=250, localopt_method="external_localopt")


# ---- the object in a run

VOCABULARY = VOCS(
    variables={"a": [-3, 3], "b": [-2, 2], "a_on_cube": [0, 1], "b_on_cube": [0, 1]},
    objectives={"energy": "MINIMIZE"},
)
MAPPING = {"x": ["a", "b"], "x_on_cube": ["a_on_cube", "b_on_cube"], "f": ["energy"]}


def camel(point):
    return {"energy": float(six_hump_camel_func([point["a"], point["b"]]))}


def run_object(comms, gen_on_manager=True, async_return=False, sim_max=800, H0=None, **options):
    generator = APOSMM(VOCABULARY, 4, 100, localopt_method="LN_BOBYQA", variables_mapping=MAPPING, **options)
    ensemble = Ensemble(
        gen_specs=GenSpecs(generator=generator, vocs=VOCABULARY),
        sim_specs=SimSpecs(simulator=camel, vocs=VOCABULARY),
        alloc_specs=AllocSpecs(alloc_f=only_persistent_gens, user={"async_return": async_return}),
        libE_specs=LibeSpecs(comms=comms, nworkers=4, gen_on_manager=gen_on_manager),
        exit_criteria=ExitCriteria(sim_max=sim_max),
        H0=H0,
    )
    H, _, flag = ensemble.run()
    return H, flag, generator


@pytest.mark.parametrize("async_return", [False, True])
@pytest.mark.parametrize("gen_on_manager", [False, True])
def test_the_object_finds_the_minima_in_a_run(comms, gen_on_manager, async_return):
    seeded = {"sample_points": np.round(MINIMA, 1), "rk_const": 0.35}
    H, flag, generator = run_object(comms, gen_on_manager, async_return, **seeded)
    assert flag == 0 and H["sim_ended"].sum() == 800
    minima = H[H["local_min"]]
    assert found(minima["x"], 1e-6) >= 5
    assert np.array_equal(minima["x"], np.column_stack([minima["a"], minima["b"]]))
    assert not H["x"][~H["local_min"]].any()
    assert np.array_equal(H["_id"], H["sim_id"])
    assert (generator.export()[2] is not None) == (gen_on_manager or comms == "threads")  # else a copy has worked


def test_in_batches_each_round_has_at_most_one_point_for_each_run(comms):
    H, _, _ = run_object(comms, sim_max=200)
    batches = np.unique(H["gen_ended_time"], return_counts=True)[1]
    assert batches[0] == 100 and max(batches[1:]) <= 4


def test_gen_on_manager_and_gen_on_a_worker_give_the_same():
    first, second = (run_object("threads", gen_on_manager)[0] for gen_on_manager in (True, False))
    assert np.array_equal(np.sort(first["a"][:600]), np.sort(second["a"][:600]))


def test_a_starting_history_counts_as_the_sample(comms):
    x = np.random.default_rng(1).uniform(LOWER, UPPER, (100, 2))
    cube = (x - LOWER) / (UPPER - LOWER)
    names = ["a", "b", "a_on_cube", "b_on_cube", "energy"]
    H0 = np.zeros(100, dtype=[*((name, float) for name in names), ("sim_started", bool), ("sim_ended", bool)])
    for name, column in zip(names, [*x.T, *cube.T, six_hump_camel_func(x.T)]):
        H0[name] = column
    H0["sim_started"] = H0["sim_ended"] = True
    H, flag, _ = run_object(comms, H0=H0, sim_max=400)
    assert flag == 0 and H["local_pt"][100:].any() and H["local_min"].any()
    assert len(H) >= 500
