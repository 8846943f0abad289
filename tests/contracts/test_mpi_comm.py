"""MPIComm keeps what a comm promises, between real ranks; and says what is missing where there is no MPI."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from libensemble.comms.mpi import MPIComm, Timeout
from libensemble.errors import Timeout as ErrorsTimeout

ROOT = Path(__file__).parents[2]
CASES = "in_order pairs large flushing waiting kills mistakes".split()
# As root, and with more ranks than cores, Open MPI 5 and 4 run only when told to.
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def mpiexec():
    """Return the launcher of this interpreter's environment, or the one on the PATH."""
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


@pytest.mark.skipif(mpiexec() is None, reason="needs an MPI library with mpiexec")
@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="needs mpi4py")
@pytest.mark.parametrize("case", CASES)
def test_between_ranks(case):
    done = subprocess.run(
        [mpiexec(), "-n", "3", sys.executable, str(ROOT / "tests" / "fakes" / "mpi_pair.py"), case],
        env={**os.environ, **OPEN_MPI, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_mpi4py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ModuleNotFoundError, match=r"libensemble\[mpi\]"):
        MPIComm(object())


def test_mpi4py_is_imported_when_used_and_not_before():
    """Importing it initialises MPI, after which processes should not be forked."""
    code = "import sys, libensemble.comms.mpi, libensemble.tools; sys.exit('mpi4py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 0


def test_the_time_out_is_the_one_of_all_comms():
    assert Timeout is ErrorsTimeout
