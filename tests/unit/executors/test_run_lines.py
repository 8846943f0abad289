"""Run lines: what each runner is told, for what a submit is given and where the worker's resource sets lie."""

import re

import pytest

from libensemble.errors import ExecutorException, MPIResourcesException
from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.resources.platforms import Known_platforms

APP = " /apps/sim.x in.txt"
RUNNERS = ["mpich", "openmpi", "aprun", "srun", "jsrun", "msmpi"]


@pytest.fixture
def submit(make_share):
    """Dry-run a submit on a made-up worker; return the line without the application, and the GPU variables."""

    def submit(share, runner, platform=None, gen=None, custom=None, **arguments):
        info = {"gpu_setting_type": "runner_default", **(platform or {})}
        executor = MPIExecutor({**({"mpi_runner": runner} if runner else {}), **(custom or {})})
        executor.add_platform_info(info)
        executor.set_resources(make_share(platform=info, **share) if share else None)
        executor.set_gen_procs_gpus(gen or {})
        executor.register_app("/apps/sim.x", app_name="sim")
        task = executor.submit(app_name="sim", app_args="in.txt", dry_run=True, **arguments)
        assert task.runline.endswith(APP)
        env = {name: value for name, value in task.env.items() if name != "LIBENSEMBLE_SIM_DIR"}
        line = re.sub(r"machinefile_autogen_for_worker_\w+_task_\d+", "M", task.runline[: -len(APP)])
        return line, env

    return submit


WHOLE_NODES = {"nodes": ["n1", "n2"], "rsets": 1, "team": [0]}

LINES = [
    # arguments, then the line of each runner in the order of RUNNERS
    (
        {},
        "mpirun -hosts n1,n2 -np 32 --ppn 16",
        "mpirun -machinefile M -np 32 -npernode 16",
        "aprun -L n1,n2 -n 32 -N 16",
        "srun -w n1,n2 --ntasks 32 --nodes 2 --ntasks-per-node 16 --exact",
        "jsrun -n 32",
        "mpiexec -n 32 -cores 16",
    ),
    (
        {"num_procs": 8},
        "mpirun -hosts n1 -np 8 --ppn 8",
        "mpirun -machinefile M -np 8 -npernode 8",
        "aprun -L n1 -n 8 -N 8",
        "srun -w n1 --ntasks 8 --nodes 1 --ntasks-per-node 8 --exact",
        "jsrun -n 8 -r 8",
        "mpiexec -n 8 -cores 8",
    ),
    (
        {"num_procs": 32},
        "mpirun -hosts n1,n2 -np 32 --ppn 16",
        "mpirun -machinefile M -np 32 -npernode 16",
        "aprun -L n1,n2 -n 32 -N 16",
        "srun -w n1,n2 --ntasks 32 --nodes 2 --ntasks-per-node 16 --exact",
        "jsrun -n 32 -r 16",
        "mpiexec -n 32 -cores 16",
    ),
    (
        {"num_procs": 8, "num_nodes": 2},
        "mpirun -hosts n1,n2 -np 8 --ppn 4",
        "mpirun -machinefile M -np 8 -npernode 4",
        "aprun -L n1,n2 -n 8 -N 4",
        "srun -w n1,n2 --ntasks 8 --nodes 2 --ntasks-per-node 4 --exact",
        "jsrun -n 8 -r 4",
        "mpiexec -n 8 -cores 4",
    ),
    (
        {"num_nodes": 1},
        "mpirun -hosts n1 -np 16 --ppn 16",
        "mpirun -machinefile M -np 16 -npernode 16",
        "aprun -L n1 -n 16 -N 16",
        "srun -w n1 --ntasks 16 --nodes 1 --ntasks-per-node 16 --exact",
        "jsrun -n 16 -r 16",
        "mpiexec -n 16 -cores 16",
    ),
    (
        {"procs_per_node": 4},
        "mpirun -hosts n1,n2 -np 8 --ppn 4",
        "mpirun -machinefile M -np 8 -npernode 4",
        "aprun -L n1,n2 -n 8 -N 4",
        "srun -w n1,n2 --ntasks 8 --nodes 2 --ntasks-per-node 4 --exact",
        "jsrun -n 8 -r 4",
        "mpiexec -n 8 -cores 4",
    ),
    (
        {"num_nodes": 2, "procs_per_node": 3},
        "mpirun -hosts n1,n2 -np 6 --ppn 3",
        "mpirun -machinefile M -np 6 -npernode 3",
        "aprun -L n1,n2 -n 6 -N 3",
        "srun -w n1,n2 --ntasks 6 --nodes 2 --ntasks-per-node 3 --exact",
        "jsrun -n 6 -r 3",
        "mpiexec -n 6 -cores 3",
    ),
    (
        {"num_procs": "6", "procs_per_node": "3"},
        "mpirun -hosts n1,n2 -np 6 --ppn 3",
        "mpirun -machinefile M -np 6 -npernode 3",
        "aprun -L n1,n2 -n 6 -N 3",
        "srun -w n1,n2 --ntasks 6 --nodes 2 --ntasks-per-node 3 --exact",
        "jsrun -n 6 -r 3",
        "mpiexec -n 6 -cores 3",
    ),
    (
        {"hyperthreads": True},
        "mpirun -hosts n1,n2 -np 128 --ppn 64",
        "mpirun -machinefile M -np 128 -npernode 64",
        "aprun -L n1,n2 -n 128 -N 64",
        "srun -w n1,n2 --ntasks 128 --nodes 2 --ntasks-per-node 64 --exact",
        "jsrun -n 128",
        "mpiexec -n 128 -cores 64",
    ),
    (
        {"num_procs": 4, "num_nodes": 1, "procs_per_node": 4, "extra_args": "--opt 1"},
        "mpirun -hosts n1 -np 4 --ppn 4 --opt 1",
        "mpirun -machinefile M -np 4 -npernode 4 --opt 1",
        "aprun -L n1 -n 4 -N 4 --opt 1",
        "srun -w n1 --ntasks 4 --nodes 1 --ntasks-per-node 4 --opt 1 --exact",
        "jsrun -n 4 -r 4 --opt 1",
        "mpiexec -n 4 -cores 4 --opt 1",
    ),
]


@pytest.mark.parametrize(
    "arguments, runner, line",
    [(row[0], runner, line) for row in LINES for runner, line in zip(RUNNERS, row[1:])],
)
def test_a_worker_of_whole_nodes(submit, arguments, runner, line):
    assert submit(WHOLE_NODES, runner, **arguments) == (line, {})


@pytest.mark.parametrize("arguments", [row[0] for row in LINES])
def test_the_custom_runner_says_only_what_the_user_says(submit, arguments):
    extra = f" {arguments['extra_args']}" if "extra_args" in arguments else ""
    assert submit(WHOLE_NODES, "custom", **arguments)[0] == "mpiexec" + extra


def test_openmpi_gets_each_host_once_for_every_rank(submit, tmp_path):
    submit(WHOLE_NODES, "openmpi", num_procs=8, num_nodes=2)
    (machinefile,) = tmp_path.glob("machinefile_autogen_*")
    assert machinefile.read_text() == "n1\n" * 4 + "n2\n" * 4


@pytest.mark.parametrize(
    "runner, extra, arguments, line",
    [
        ("mpich", "-v --ppn 12", {"num_procs": 12}, "mpirun -hosts n1 -np 12 -v --ppn 12"),
        ("mpich", "-np 6 -v --ppn 3", {}, "mpirun -hosts n1,n2 -np 6 -v --ppn 3"),
        ("mpich", "-n 8", {}, "mpirun -hosts n1 --ppn 8 -n 8"),
        ("mpich", "-n8", {}, "mpirun -hosts n1 --ppn 8 -n8"),
        ("mpich", "-ppn 4", {}, "mpirun -hosts n1,n2 -np 8 -ppn 4"),
        ("mpich", "--ppn=4", {}, "mpirun -hosts n1,n2 -np 8 --ppn=4"),
        ("mpich", "-np 8", {"num_procs": 4}, "mpirun -hosts n1 --ppn 8 -np 8"),  # the text wins
        ("mpich", '--opt "a b" -np 4', {}, 'mpirun -hosts n1 --ppn 4 --opt "a b" -np 4'),
        ("mpich", "-bind-to core", {}, "mpirun -hosts n1,n2 -np 32 --ppn 16 -bind-to core"),
        ("mpich", "-nolocal", {"num_procs": 4}, "mpirun -hosts n1 -np 4 --ppn 4 -nolocal"),
        ("mpich", "-hosts x", {"num_procs": 4}, "mpirun -np 4 --ppn 4 -hosts x"),
        ("openmpi", "-npernode 12", {"num_procs": 12}, "mpirun -machinefile M -np 12 -npernode 12"),
        ("openmpi", "-c 4", {}, "mpirun -machinefile M -npernode 4 -c 4"),
        ("openmpi", "--oversubscribe", {"num_procs": 4}, "mpirun -machinefile M -np 4 -npernode 4 --oversubscribe"),
        ("openmpi", "--np 4", {}, "mpirun -machinefile M -np 32 -npernode 16 --np 4"),
        (
            "openmpi",
            "-cpus-per-proc 2",
            {"num_procs": 4},
            "mpirun -machinefile M -np 4 -npernode 4 -cpus-per-proc 2",
        ),
        (
            "aprun",
            "-n 10 -N 10 -d 4 -j 1 -cc depth -e OMP_NUM_THREADS=1",
            {"num_nodes": 1},
            "aprun -L n1 -n 10 -N 10 -d 4 -j 1 -cc depth -e OMP_NUM_THREADS=1",
        ),
        (
            "srun",
            "-n 6 --ntasks-per-node 3",
            {},
            "srun -w n1,n2 --nodes 2 -n 6 --ntasks-per-node 3 --exact",
        ),
        ("srun", "-N 2 -n 6", {}, "srun -w n1,n2 --ntasks-per-node 3 -N 2 -n 6 --exact"),
        ("srun", "--ntasks=4", {}, "srun -w n1 --nodes 1 --ntasks-per-node 4 --ntasks=4 --exact"),
        (
            "srun",
            "-c 4 --mem-per-gpu=5G",
            {"num_procs": 2},
            "srun -w n1 --ntasks 2 --nodes 1 --ntasks-per-node 2 -c 4 --mem-per-gpu=5G --exact",
        ),
        ("srun", "--nodes=1-2", {"num_procs": 4}, "srun -w n1 --ntasks 4 --ntasks-per-node 4 --nodes=1-2 --exact"),
        ("srun", "--exact", {"num_procs": 4}, "srun -w n1 --ntasks 4 --nodes 1 --ntasks-per-node 4 --exact"),
        ("jsrun", "-v -r 12", {"num_procs": 12}, "jsrun -n 12 -v -r 12"),
        (
            "jsrun",
            '-a 2 -c 7 -g 1 --smpiargs="-gpu"',
            {"num_procs": 4},
            'jsrun -n 4 -r 4 -a 2 -c 7 -g 1 --smpiargs="-gpu"',
        ),
        ("jsrun", '-n 4 -a 2 -c 7 --smpiargs="-gpu"', {}, 'jsrun -r 4 -n 4 -a 2 -c 7 --smpiargs="-gpu"'),
        ("msmpi", "-n 6 -cores 3", {}, "mpiexec -n 6 -cores 3"),
        ("custom", "-v --ppn 12", {}, "mpiexec -v --ppn 12"),
        ("flux", "-o cpu-affinity=off", {"num_procs": 8, "num_nodes": 2}, None),
    ],
)
def test_extra_args_are_passed_on_and_understood(submit, runner, extra, arguments, line):
    line = line or "flux run --requires=hosts:n1,n2 -n 8 -N 2 -o cpu-affinity=off"
    assert submit(WHOLE_NODES, runner, extra_args=extra, **arguments)[0] == line


def test_a_runner_name_may_be_several_words(submit):
    line, _ = submit(WHOLE_NODES, "mpich", custom={"runner_name": "wrap -d x mpich"}, num_procs=4)
    assert line == "wrap -d x mpich -hosts n1 -np 4 --ppn 4"


@pytest.mark.parametrize(
    "runner_type, line",
    [
        ("srun", "srun -w n1 --ntasks 4 --nodes 1 --ntasks-per-node 4 --exact"),
        ({"mpi_runner": "openmpi", "runner_name": "special"}, "special -machinefile M -np 4 -npernode 4"),
    ],
)
def test_a_submit_may_take_another_runner(submit, runner_type, line):
    assert submit(WHOLE_NODES, "mpich", num_procs=4, mpi_runner_type=runner_type)[0] == line


def test_a_custom_run_line_is_filled_in(submit):
    custom = {"runner_name": "start --on {hostlist}"}
    extra = "-p {procs_per_node} {x}"
    line, _ = submit(WHOLE_NODES, "custom", custom=custom, num_procs=8, num_nodes=2, extra_args=extra)
    assert line == "start --on n1,n2 -p 4 {x}"


def test_a_custom_run_line_need_not_fit_the_worker(submit):
    assert submit(WHOLE_NODES, "custom", num_nodes=5, extra_args="-n 9")[0] == "mpiexec -n 9"


def test_the_default_options_of_a_runner_can_be_dropped(submit):
    line, _ = submit(WHOLE_NODES, "srun", custom={"default_mpi_options": ""}, num_procs=1)
    assert line == "srun -w n1 --ntasks 1 --nodes 1 --ntasks-per-node 1"


# GPUs

ONE_NODE = {"nodes": ["n1"], "rsets": 8, "team": [0, 1, 2, 3], "cores": (64, 128), "gpus": 8}


def cuda(ids):
    return {} if ids is None else {"CUDA_VISIBLE_DEVICES": ids}


ON_ONE_NODE = [
    # arguments; ranks; GPU ids; srun's GPU option; jsrun
    ({}, 32, None, "", "jsrun -n 32"),
    ({"match_procs_to_gpus": True}, 32, None, "", "jsrun -n 32"),
    ({"auto_assign_gpus": True}, 4, "0,1,2,3", " --gpus-per-task 1", "jsrun -n 4 -r 4 -g 1"),
    (
        {"auto_assign_gpus": True, "match_procs_to_gpus": True},
        4,
        "0,1,2,3",
        " --gpus-per-task 1",
        "jsrun -n 4 -r 4 -g 1",
    ),
    ({"num_procs": 2, "auto_assign_gpus": True}, 2, "0,1,2,3", " --gpus-per-task 2", "jsrun -n 2 -r 2 -g 2"),
    ({"num_procs": 1, "num_gpus": 2}, 1, "0,1", " --gpus-per-task 2", "jsrun -n 1 -r 1 -g 2"),
    ({"num_gpus": 3}, 3, "0,1,2", " --gpus-per-task 1", "jsrun -n 3 -r 3 -g 1"),
    ({"procs_per_node": 2, "num_gpus": 4}, 2, "0,1,2,3", " --gpus-per-task 2", "jsrun -n 2 -r 2 -g 2"),
    ({"num_procs": 1, "num_gpus": 10}, 1, "0,1,2,3", " --gpus-per-task 4", "jsrun -n 1 -r 1 -g 4"),
    ({"num_procs": 2, "num_gpus": 0}, 2, None, "", "jsrun -n 2 -r 2"),
    ({"num_procs": 8, "num_gpus": 4}, 8, "0,1,2,3", " --gpus-per-node 4", ExecutorException),
    ({"num_gpus": 0}, 32, None, "", "jsrun -n 32"),
]


@pytest.mark.parametrize("arguments, ranks, ids, srun_gpus, jsrun", ON_ONE_NODE)
def test_gpus_of_one_node(submit, arguments, ranks, ids, srun_gpus, jsrun):
    for runner in ("mpich", "openmpi", "aprun", "msmpi", "custom"):
        line, env = submit(ONE_NODE, runner, **arguments)
        assert env == cuda(ids)
        assert runner != "mpich" or line == f"mpirun -hosts n1 -np {ranks} --ppn {ranks}"
    line, env = submit(ONE_NODE, "srun", **arguments)
    assert (line, env) == (
        f"srun -w n1 --ntasks {ranks} --nodes 1 --ntasks-per-node {ranks}{srun_gpus} --exact",
        {},
    )
    if jsrun is ExecutorException:
        with pytest.raises(ExecutorException, match="cannot share"):
            submit(ONE_NODE, "jsrun", **arguments)
    else:
        assert submit(ONE_NODE, "jsrun", **arguments) == (jsrun, {})


@pytest.mark.parametrize("runner", RUNNERS)
def test_matching_ranks_and_a_number_of_ranks_exclude_each_other(submit, runner):
    with pytest.raises(ExecutorException, match="mutually exclusive"):
        submit(ONE_NODE, runner, match_procs_to_gpus=True, num_procs=2, num_gpus=2)


@pytest.mark.parametrize("arguments, ids", [({"auto_assign_gpus": True}, "1,3,4,7"), ({"num_gpus": 2}, "1,3")])
def test_a_worker_gets_the_gpus_of_its_own_sets(submit, arguments, ids):
    _, env = submit({**ONE_NODE, "team": [1, 3, 4, 7]}, "mpich", num_procs=1, **arguments)
    assert env == cuda(ids)


TWO_NODES = {"nodes": ["n1", "n2"], "rsets": 8, "team": [1, 2, 5, 6], "cores": (64, 128), "gpus": 8}


@pytest.mark.parametrize(
    "arguments, hosts, ranks, ppn, ids, srun_gpus",
    [
        ({"auto_assign_gpus": True}, "n1,n2", 8, 4, "2,3,4,5", " --gpus-per-task 1"),
        (
            {"num_procs": 2, "num_nodes": 2, "auto_assign_gpus": True},
            "n1,n2",
            2,
            1,
            "2,3,4,5",
            " --gpus-per-task 4",
        ),
        ({"num_procs": 1, "auto_assign_gpus": True}, "n1", 1, 1, "2,3,4,5", " --gpus-per-task 4"),
        ({"num_procs": 2, "num_gpus": 2}, "n1", 2, 2, "2,3", " --gpus-per-task 1"),
        ({"num_gpus": 4}, "n1", 4, 4, "2,3,4,5", " --gpus-per-task 1"),
        ({"num_gpus": 5}, "n1,n2", 6, 3, "2,3,4", " --gpus-per-task 1"),
        ({"num_procs": 3, "num_nodes": 2, "num_gpus": 2}, "n1,n2", 4, 2, "2", " --gpus-per-node 1"),
        ({"num_procs": 33}, "n1,n2", 34, 17, None, ""),
    ],
)
def test_gpus_of_two_nodes(submit, arguments, hosts, ranks, ppn, ids, srun_gpus):
    assert submit(TWO_NODES, "mpich", **arguments) == (f"mpirun -hosts {hosts} -np {ranks} --ppn {ppn}", cuda(ids))
    nodes = hosts.count(",") + 1
    line = f"srun -w {hosts} --ntasks {ranks} --nodes {nodes} --ntasks-per-node {ppn}{srun_gpus} --exact"
    assert submit(TWO_NODES, "srun", **arguments) == (line, {})


def test_ranks_that_cannot_be_raised_to_an_even_split_are_an_error(submit):
    with pytest.raises(MPIResourcesException, match=re.escape("num_procs does not equal num_nodes*procs_per_node")):
        submit(TWO_NODES, "mpich", num_procs=65)


def test_slots_that_differ_between_nodes_forbid_one_list_of_gpus(submit):
    share = {**TWO_NODES, "team": [0, 1, 6, 7]}
    assert submit(share, "mpich", num_procs=2)[0] == "mpirun -hosts n1 -np 2 --ppn 2"
    with pytest.raises(ExecutorException, match="differ between nodes"):
        submit(share, "mpich", auto_assign_gpus=True)
    assert "--gpus-per-task 1" in submit(share, "srun", auto_assign_gpus=True)[0]


def test_an_uneven_team_uses_its_largest_even_part(submit):
    assert submit({**TWO_NODES, "team": [0, 1, 4]}, "mpich", num_procs=4)[0] == "mpirun -hosts n1 -np 4 --ppn 4"


GPUS = {"auto_assign_gpus": True}


@pytest.mark.parametrize(
    "name, rsets, team, specs, arguments, line, env",
    [
        ("aurora", 6, [0, 1], {}, {}, "mpiexec -hosts n1 -np 34 --ppn 34", {}),
        ("aurora", 6, [0, 1], {}, GPUS, "mpiexec -hosts n1 -np 2 --ppn 2", "ZE_AFFINITY_MASK=0,1"),
        (
            "aurora",
            12,
            [2, 3, 4],
            {"use_tiles_as_gpus": True},
            {"auto_assign_gpus": True},
            "mpiexec -hosts n1 -np 3 --ppn 3",
            "ZE_AFFINITY_MASK=1.0,1.1,2.0",
        ),
        ("aurora", 3, [1], {}, {"auto_assign_gpus": True}, "mpiexec -hosts n1 -np 2 --ppn 2", "ZE_AFFINITY_MASK=2,3"),
        ("frontier", 8, [0, 1], {}, {}, "srun -w n1 --ntasks 16 --nodes 1 --ntasks-per-node 16 --exact", {}),
        (
            "frontier",
            8,
            [0, 1],
            {},
            {"auto_assign_gpus": True},
            "srun -w n1 --ntasks 2 --nodes 1 --ntasks-per-node 2 --gpus-per-task 1 --exact",
            {},
        ),
        ("lumi_g", 8, [0, 1], {}, {}, "srun -w n1 --ntasks 16 --nodes 1 --ntasks-per-node 16 --exact", {}),
        (
            "lumi_g",
            8,
            [0, 1],
            {},
            {"auto_assign_gpus": True},
            "srun -w n1 --ntasks 2 --nodes 1 --ntasks-per-node 2 --exact",
            "ROCR_VISIBLE_DEVICES=0,1",
        ),
        ("perlmutter_g", 4, [0, 1], {}, {}, "srun -w n1 --ntasks 32 --nodes 1 --ntasks-per-node 32 --exact", {}),
        (
            "perlmutter_g",
            4,
            [0, 1],
            {},
            {"auto_assign_gpus": True},
            "srun -w n1 --ntasks 2 --nodes 1 --ntasks-per-node 2 --gpus-per-task 1 --exact",
            {},
        ),
        ("perlmutter_c", 4, [0, 1], {}, {}, "srun -w n1 --ntasks 64 --nodes 1 --ntasks-per-node 64 --exact", {}),
        ("polaris", 4, [0, 1], {}, {}, "mpiexec -hosts n1 -np 16 --ppn 16", {}),
        (
            "polaris",
            4,
            [0, 1],
            {},
            {"auto_assign_gpus": True},
            "mpiexec -hosts n1 -np 2 --ppn 2",
            "CUDA_VISIBLE_DEVICES=0,1",
        ),
        ("summit", 6, [0, 1], {}, {}, "jsrun -n 14", {}),
        ("summit", 6, [0, 1], {}, {"auto_assign_gpus": True}, "jsrun -n 2 -r 2 -g 1", {}),
    ],
)
def test_known_platforms(submit, name, rsets, team, specs, arguments, line, env):
    platforms = Known_platforms()
    platform = getattr(platforms, name).model_dump(exclude_none=True)
    share = {"nodes": ["n1"], "rsets": rsets, "team": team, "cores": None, "gpus": None, **specs}
    expected = dict([env.split("=")]) if env else {}
    assert submit(share, None, platform, **arguments) == (line, expected)


SMALL = {"nodes": ["n1"], "rsets": 4, "team": [1, 2], "cores": (16, 32), "gpus": 4}
SRUN_2 = "srun -w n1 --ntasks 2 --nodes 1 --ntasks-per-node 2"


@pytest.mark.parametrize(
    "runner, kind, name, arguments, line, env",
    [
        ("srun", "option_gpus_per_node", None, {}, f"{SRUN_2} --gpus-per-node 2 --exact", {}),
        ("srun", "option_gpus_per_task", None, {}, f"{SRUN_2} --gpus-per-task 1 --exact", {}),
        ("srun", "option_gpus_per_node", "--gpus=", {}, f"{SRUN_2} --gpus=2 --exact", {}),
        ("srun", "option_gpus_per_node", "--gres=gpu:", {}, f"{SRUN_2} --gres=gpu:2 --exact", {}),
        ("srun", "env", "ROCR_VISIBLE_DEVICES", {}, f"{SRUN_2} --exact", {"ROCR_VISIBLE_DEVICES": "1,2"}),
        ("srun", "env", None, {}, f"{SRUN_2} --exact", {"CUDA_VISIBLE_DEVICES": "1,2"}),
        ("mpich", "option_gpus_per_node", "-gpus", {}, "mpirun -hosts n1 -np 2 --ppn 2 -gpus 2", {}),
        ("jsrun", "option_gpus_per_node", "-gpus", {}, "jsrun -n 2 -r 2 -gpus 2", {}),
        ("srun", None, None, {"extra_args": "-c 4"}, f"{SRUN_2} -c 4 --gpus-per-task 1 --exact", {}),
        (
            "srun",
            None,
            None,
            {"num_gpus": 2, "extra_args": "--gpus-per-task=1"},
            f"{SRUN_2} --gpus-per-task=1 --exact",
            {},
        ),
        ("flux", None, None, {}, "flux run --requires=hosts:n1 -n 2 -N 1 --gpus-per-task 1", {}),
    ],
)
def test_ways_to_set_gpus(submit, runner, kind, name, arguments, line, env):
    platform = {key: value for key, value in (("gpu_setting_type", kind), ("gpu_setting_name", name)) if value}
    arguments = {"num_procs": 2, "auto_assign_gpus": True, **arguments}
    assert submit(SMALL, runner, platform, **arguments) == (line, env)


def test_a_gpu_option_without_a_name_is_an_error_that_says_so(submit):
    with pytest.raises(ExecutorException, match="gpu_setting_name"):
        submit(SMALL, "mpich", {"gpu_setting_type": "option_gpus_per_node"}, num_procs=2, auto_assign_gpus=True)


def test_gpus_asked_of_a_worker_without_gpus_are_an_error(submit):
    share = {**SMALL, "gpus": 0}
    with pytest.raises(MPIResourcesException, match="2 GPUs were asked for"):
        submit(share, "mpich", num_procs=2, num_gpus=2)
    _, env = submit(share, "mpich", num_procs=2, auto_assign_gpus=True)
    assert env == {"CUDA_VISIBLE_DEVICES": ""}  # hides GPUs that are not this worker's


# Without resource management


@pytest.mark.parametrize(
    "runner, arguments, line",
    [
        ("mpich", {"num_procs": 4}, "mpirun -np 4 --ppn 4"),
        ("mpich", {"num_procs": 4, "num_nodes": 2}, "mpirun -np 4 --ppn 2"),
        ("openmpi", {"num_nodes": 2, "procs_per_node": 3}, "mpirun -np 6 -npernode 3"),
        ("srun", {"num_procs": 4}, "srun --ntasks 4 --nodes 1 --ntasks-per-node 4 --exact"),
        ("jsrun", {"num_procs": 4}, "jsrun -n 4"),
        ("mpich", {"machinefile": "mf"}, "mpirun -machinefile mf"),
        ("openmpi", {"machinefile": "mf"}, "mpirun -machinefile mf"),
        ("mpich", {"machinefile": "mf", "num_procs": 3}, "mpirun -machinefile mf"),
        ("srun", {"machinefile": "mf", "num_procs": 1}, "srun --ntasks 1 --nodes 1 --ntasks-per-node 1 --exact"),
        ("mpich", {"num_procs": 4, "auto_assign_gpus": True}, "mpirun -np 4 --ppn 4"),
        (
            "srun",
            {"num_procs": 2, "num_gpus": 2},
            "srun --ntasks 2 --nodes 1 --ntasks-per-node 2 --gpus-per-task 1 --exact",
        ),
    ],
)
def test_without_resource_management(submit, runner, arguments, line):
    assert submit(None, runner, **arguments) == (line, {})


def test_gpus_without_resource_management_are_the_first_ones(submit):
    assert submit(None, "mpich", num_procs=4, num_gpus=2) == ("mpirun -np 4 --ppn 4", cuda("0,1"))


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("arguments", [{}, {"procs_per_node": 2}, {"num_gpus": 2}])
def test_without_resource_management_ranks_must_be_said(submit, runner, arguments):
    with pytest.raises(MPIResourcesException, match="Need num_procs, num_nodes/procs_per_node, or machinefile"):
        submit(None, runner, **arguments)


def test_a_product_that_does_not_hold_is_an_error(submit):
    with pytest.raises(MPIResourcesException, match="num_procs does not equal"):
        submit(None, "mpich", num_procs=5, num_nodes=2)


@pytest.mark.parametrize("runner", ["mpich", "openmpi"])
def test_a_machinefile_says_it_all_also_under_resource_management(submit, runner):
    assert submit(WHOLE_NODES, runner, machinefile="mf")[0] == "mpirun -machinefile mf"


# Parts of nodes

TWO_NODES_3 = {"nodes": ["n1", "n2"], "rsets": 3}
THREE_NODES_2 = {"nodes": ["n1", "n2", "n3"], "rsets": 2}
CROWDED = {"nodes": ["n1"], "rsets": 20, "team": [0]}


@pytest.mark.parametrize(
    "share, arguments, line",
    [
        ({**TWO_NODES_3, "team": [0]}, {}, "-hosts n1 -np 8 --ppn 8"),
        ({**TWO_NODES_3, "team": [1]}, {}, "-hosts n1 -np 8 --ppn 8"),
        ({**TWO_NODES_3, "team": [2]}, {}, "-hosts n2 -np 16 --ppn 16"),
        ({**TWO_NODES_3, "team": [0, 1]}, {}, "-hosts n1 -np 16 --ppn 16"),
        ({**TWO_NODES_3, "team": [0, 2]}, {}, "-hosts n1,n2 -np 16 --ppn 8"),
        ({**THREE_NODES_2, "team": [0]}, {}, "-hosts n1,n2 -np 32 --ppn 16"),
        ({**THREE_NODES_2, "team": [1]}, {}, "-hosts n3 -np 16 --ppn 16"),
        ({"nodes": ["n1"], "rsets": 1, "team": [0]}, {"num_procs": 100}, "-hosts n1 -np 100 --ppn 100"),
        (CROWDED, {"num_procs": 2}, "-hosts n1 -np 2 --ppn 2"),
        (CROWDED, {"hyperthreads": True}, "-hosts n1 -np 3 --ppn 3"),
    ],
)
def test_parts_of_nodes(submit, share, arguments, line):
    assert submit(share, "mpich", **arguments)[0] == f"mpirun {line}"


def test_bounds_on_cores_are_kept_when_asked_for(submit):
    share = {"nodes": ["n1"], "rsets": 2, "team": [0], "enforce_worker_core_bounds": True}
    with pytest.raises(MPIResourcesException, match=r"per worker.*Only 8"):
        submit(share, "mpich", num_procs=9)
    with pytest.raises(MPIResourcesException, match=r"on a node.*Only 16"):
        submit(share, "mpich", num_procs=17)
    assert submit(share, "mpich", num_procs=9, hyperthreads=True)[0] == "mpirun -hosts n1 -np 9 --ppn 9"


def test_less_than_a_core_for_each_set_needs_a_number_of_ranks(submit):
    with pytest.raises(MPIResourcesException, match="Less than one core"):
        submit(CROWDED, "mpich")


def test_a_worker_without_sets_is_told_what_to_do(submit):
    with pytest.raises(MPIResourcesException, match="holds no resource sets"):
        submit({"nodes": ["n1"], "rsets": 1, "team": []}, "mpich", num_procs=1)


def test_more_nodes_than_the_worker_has_is_an_error_that_says_how_to_get_more(submit):
    with pytest.raises(MPIResourcesException, match=r"Not enough nodes.*Requested 3. Only 2 available.*num_gpus"):
        submit(WHOLE_NODES, "mpich", num_procs=3, extra_args="--ppn 1")


def test_a_small_step_of_a_large_worker_stays_on_one_node(submit):
    assert submit(TWO_NODES, "mpich", num_procs=2, num_gpus=0) == ("mpirun -hosts n1 -np 2 --ppn 2", {})


# What the generator says


@pytest.mark.parametrize(
    "gen, arguments, ranks, gpus",
    [
        ((2, 2), {}, 2, " --gpus-per-task 1"),
        ((2, 2), {"num_procs": 1}, 1, " --gpus-per-task 2"),
        ((2, 2), {"num_gpus": 0}, 2, ""),
        ((2, 2), {"match_procs_to_gpus": True}, 2, " --gpus-per-task 1"),
        ((2, 2), {"num_nodes": 1, "procs_per_node": 4}, 4, " --gpus-per-node 2"),
        ((None, 2), {}, 2, " --gpus-per-task 1"),
        ((3, None), {}, 3, ""),
        ((2, 0), {}, 2, ""),
    ],
)
def test_values_of_the_generator_fill_in_what_is_not_said(submit, gen, arguments, ranks, gpus):
    values = {name: value for name, value in zip(("num_procs", "num_gpus"), gen) if value is not None}
    share = {"nodes": ["n1"], "rsets": 4, "team": [0, 1], "cores": (16, 32), "gpus": 4}
    line, _ = submit(share, "srun", gen=values, **arguments)
    assert line == f"srun -w n1 --ntasks {ranks} --nodes 1 --ntasks-per-node {ranks}{gpus} --exact"
