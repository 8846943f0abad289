"""What tests of resources share: an environment without a scheduler, and resources of machines that are not there."""

import pytest

from libensemble.resources.env_resources import EnvResources
from libensemble.resources.resources import Resources
from libensemble.utils.current import current

VARIABLES = [
    "LIBE_PLATFORM",
    "NERSC_HOST",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_GPUS_ON_NODE",
    "SLURM_JOB_NODELIST",
    "COBALT_NODEFILE",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
    "FLUX_URI",
    *EnvResources().nodelists.values(),
]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No scheduler, no GPU mask, no platform; and nothing stays bound or set."""
    for name in VARIABLES:
        # set first, so that what a test's code sets is taken back, too
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
        monkeypatch.setenv("LIBE_OUTER_" + name, "")
        monkeypatch.delenv("LIBE_OUTER_" + name)
    yield
    current.resources = None


@pytest.fixture
def make_resources(tmp_path):
    """Make the resources of made-up nodes: a list of names (or of lines of a node file), or their number."""

    def make(nodes, rsets=None, cores=(16, 64), gpus=0, platform=None, **libE_specs):
        names = [f"n{i + 1}" for i in range(nodes)] if isinstance(nodes, int) else nodes
        (tmp_path / "node_list").write_text("\n".join(names) + "\n")
        info = {"cores_on_node": cores, "gpus_on_node": gpus}
        libE_specs["resource_info"] = {key: value for key, value in info.items() if value is not None}
        libE_specs.setdefault("num_resource_sets", rsets)
        return Resources(libE_specs, platform or {}, str(tmp_path))

    return make


@pytest.fixture
def make_share(make_resources):
    """Make the resources of a worker that holds a team of sets."""

    def make(nodes, rsets, team, **kwargs):
        resources = make_resources(nodes, rsets, **kwargs).for_worker(rsets, 1)
        resources.worker_resources.set_rset_team(team)
        return resources

    return make


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a shell script on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, text):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return make
