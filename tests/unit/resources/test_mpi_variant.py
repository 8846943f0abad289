"""The MPI that is here is told by the programs on PATH."""

import pytest

from libensemble.resources import mpi_variant
from libensemble.resources.mpi_resources import get_MPI_runner, get_MPI_variant

HYDRA = "case $1 in --version) echo 'HYDRA build details:';; esac"
OPEN_MPI = "case $1 in --version) echo 'mpirun (Open MPI) 5.0.3';; esac"
OLD_MPICH = "case $1 in --version) exit 1;; *) echo 'unrecognized argument npernode' >&2; exit 1;; esac"
OLD_OPEN_MPI = "case $1 in --version) exit 1;; *) echo 'mpirun: Error: missing argument' >&2; exit 1;; esac"
ANSWERS = "exit 0"
FAILS = "exit 1"


@pytest.mark.parametrize(
    "programs, variant, launcher",
    [
        ({}, None, None),
        ({"mpirun": HYDRA}, "mpich", "mpirun"),
        ({"mpirun": OPEN_MPI}, "openmpi", "mpirun"),
        ({"mpirun": OLD_MPICH}, "mpich", "mpirun"),
        ({"mpirun": OLD_OPEN_MPI}, "openmpi", "mpirun"),
        ({"mpirun": HYDRA, "srun": ANSWERS}, "mpich", "mpirun"),
        ({"srun": ANSWERS}, "srun", "srun"),
        ({"srun": FAILS}, None, None),
        ({"aprun": ANSWERS, "jsrun": ANSWERS, "mpirun": HYDRA}, "aprun", "aprun"),
        ({"jsrun": ANSWERS, "mpirun": HYDRA}, "jsrun", "jsrun"),
        ({"jsrun": FAILS, "mpirun": OPEN_MPI}, "openmpi", "mpirun"),
    ],
)
def test_the_first_program_that_answers_tells_the_variant(programs, variant, launcher, program):
    for name, text in programs.items():
        program(name, text)
    assert get_MPI_variant() == variant
    assert get_MPI_runner() == launcher


def test_flux_counts_only_inside_a_flux_instance(program, monkeypatch):
    program("flux", ANSWERS)
    program("mpirun", HYDRA)
    assert get_MPI_variant() == "mpich"
    monkeypatch.setenv("FLUX_URI", "local:///tmp/flux")
    assert get_MPI_variant() == "flux"


@pytest.mark.parametrize(
    "runner, launcher",
    [("mpich", "mpirun"), ("openmpi", "mpirun"), ("srun", "srun"), ("msmpi", "mpiexec"), ("custom", None)],
)
def test_a_stated_runner_names_a_program_that_exists(runner, launcher):
    assert get_MPI_runner(runner) == launcher


def test_programs_are_asked_once(program, tmp_path):
    program("mpirun", f"echo asked >> {tmp_path}/log; {HYDRA}")
    assert [get_MPI_variant(), get_MPI_variant()] == ["mpich", "mpich"]
    assert (tmp_path / "log").read_text() == "asked\n"


def test_a_program_that_hangs_is_given_up(program, monkeypatch):
    program("srun", "while :; do :; done")
    monkeypatch.setattr(mpi_variant, "_PROBE_TIME_LIMIT", 0.05)
    assert get_MPI_variant() is None
