"""Commands: their text, the environment of a child, and the script they are wrapped in."""

import os
import stat

import pytest

from libensemble.errors import ExecutorException
from libensemble.executors.command import child_environment, run_line, wrap_in_script


@pytest.mark.parametrize(
    "words, line",
    [
        (["a", "b"], "a b"),
        (["a b", "c"], "'a b' c"),
        (['"a b"'], '"a b"'),
        (['--opt="a b"'], '--opt="a b"'),
        ([""], "''"),
    ],
)
def test_words_with_white_space_are_quoted_once(words, line):
    assert run_line(words) == line


def test_a_child_inherits_what_is_here_and_gets_what_is_added():
    inherited = {"A": "1", "CUDA_VISIBLE_DEVICES": "3", "OMPI_MCA_btl": "tcp", "PMI_OPTION": "x"}
    assert child_environment({"A": "2"}, inherited) == {**inherited, "A": "2"}


@pytest.mark.parametrize("rank_variable", ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"])
def test_the_mpi_job_of_this_process_is_hidden_from_a_child(rank_variable):
    inherited = {rank_variable: "0", "OMPI_UNIVERSE_SIZE": "4", "PMIX_ID": "7", "PMI_FD": "5", "HOME": "/h"}
    assert child_environment({"PMI_MINE": "1"}, inherited) == {"HOME": "/h", "PMI_MINE": "1"}


def test_the_bindings_of_a_slurm_step_are_hidden_from_a_child():
    bindings = {"SLURM_CPU_BIND": "x", "SLURM_CPU_BIND_LIST": "y", "SLURM_DISTRIBUTION": "block"}
    assert child_environment({}, {"SLURM_JOB_ID": "1", **bindings}) == {"SLURM_JOB_ID": "1", **bindings}
    assert child_environment({}, {"SLURM_STEP_ID": "0", "SLURM_JOB_ID": "1", **bindings}) == {
        "SLURM_STEP_ID": "0",
        "SLURM_JOB_ID": "1",
    }


def test_a_script_gets_the_command_on_a_line_of_its_own(tmp_path):
    (tmp_path / "env.sh").write_text("#!/bin/bash\nexport A=1")
    words = wrap_in_script("env.sh", ["run", "a b", "$X"], "task", str(tmp_path))
    copy = tmp_path / "task_run.sh"
    assert words == ("./task_run.sh",)
    assert copy.read_text() == "#!/bin/bash\nexport A=1\nrun 'a b' '$X'\n"
    assert os.stat(copy).st_mode & stat.S_IXUSR


def test_a_script_without_shebang_is_run_by_the_shell(tmp_path):
    (tmp_path / "env.sh").write_text("export A=1\n")
    assert wrap_in_script("env.sh", ["run"], "task", str(tmp_path)) == ("/bin/sh", "./task_run.sh")


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(ExecutorException, match=r"env_script .*gone\.sh"):
        wrap_in_script("gone.sh", ["run"], "task", str(tmp_path))
