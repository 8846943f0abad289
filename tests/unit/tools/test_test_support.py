"""The checks of run lines pass what is right and catch what is wrong."""

import pytest

from libensemble.executors.mpi_executor import MPIExecutor
from libensemble.resources.resources import Resources
from libensemble.tools.test_support import check_gpu_setting, check_mpi_runner
from libensemble.utils.current import current


@pytest.fixture
def dry_run(tmp_path):
    """Dry-run a submit on a worker that holds sets 1 and 2 of a node with 4 GPUs."""

    def dry_run(runner, platform=None, **arguments):
        (tmp_path / "node_list").write_text("n1\n")
        specs = {"num_resource_sets": 4, "resource_info": {"cores_on_node": (16, 32), "gpus_on_node": 4}}
        resources = Resources(specs, platform or {}, str(tmp_path))
        resources.set_worker_resources(4, 1)
        resources.worker_resources.set_rset_team([1, 2])
        executor = MPIExecutor({"mpi_runner": runner})
        executor.add_platform_info(platform or {})
        executor.set_resources(resources)
        executor.register_app("/a/x")
        current.resources = resources
        return executor.submit(app_name="x", dry_run=True, **arguments)

    yield dry_run
    current.executor = current.resources = None


@pytest.mark.parametrize("runner", ["mpich", "openmpi", "srun"])
def test_a_runner_is_recognised(dry_run, runner, capsys):
    task = dry_run(runner, num_procs=2)
    check_mpi_runner(task, runner, print_setting=True)
    assert task.runline in capsys.readouterr().out
    for other in {"mpich", "openmpi", "srun", "special_mpi"} - {runner}:
        with pytest.raises(AssertionError):
            check_mpi_runner(task, other)


@pytest.mark.parametrize(
    "runner, platform",
    [
        ("mpich", {}),
        ("srun", {}),
        ("jsrun", {}),
        ("mpich", {"gpu_setting_type": "env", "gpu_setting_name": "MY_GPUS"}),
        ("srun", {"gpu_setting_type": "option_gpus_per_node", "gpu_setting_name": "--gpus="}),
    ],
)
@pytest.mark.parametrize("arguments", [{"auto_assign_gpus": True}, {"num_procs": 2}, {"num_procs": 2, "num_gpus": 0}])
def test_the_gpus_of_a_worker_are_recognised(dry_run, runner, platform, arguments):
    check_gpu_setting(dry_run(runner, platform, **arguments))


def test_more_ranks_than_gpus_are_recognised(dry_run):
    check_gpu_setting(dry_run("srun", num_procs=4, num_gpus=2))


def test_wrong_gpus_are_caught(dry_run, capsys):
    task = dry_run("mpich", auto_assign_gpus=True)
    task.env["CUDA_VISIBLE_DEVICES"] = "0,1"
    with pytest.raises(AssertionError, match="0,1"):
        check_gpu_setting(task)
    check_gpu_setting(task, assert_setting=False, print_setting=True, desc="first")
    assert "Worker None: first GPU setting (env): {'CUDA_VISIBLE_DEVICES': '0,1'} (procs 2, per node 2)" in (
        capsys.readouterr().out
    )
    task = dry_run("srun", auto_assign_gpus=True)
    task.runline = task.runline.replace("--gpus-per-task 1", "")
    with pytest.raises(AssertionError, match="--gpus-per-task 1"):
        check_gpu_setting(task)
