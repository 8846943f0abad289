"""What tests of executors share: no executor stays bound, and resources of machines that are not there."""

import pytest

from libensemble.resources.resources import Resources
from libensemble.utils.current import current


@pytest.fixture(autouse=True)
def nobody_bound():
    yield
    current.executor = current.resources = None


@pytest.fixture
def make_share(tmp_path):
    """Make the resources of a worker that holds `team`, on made-up nodes."""

    def make(nodes, rsets, team, cores=(16, 64), gpus=0, platform=None, **libE_specs):
        if nodes:
            (tmp_path / "node_list").write_text("\n".join(nodes) + "\n")
        libE_specs.setdefault("num_resource_sets", rsets)
        info = {}
        if cores is not None:
            info["cores_on_node"] = cores
        if gpus is not None:
            info["gpus_on_node"] = gpus
        libE_specs["resource_info"] = info
        resources = Resources(libE_specs, platform or {}, str(tmp_path))
        resources.set_worker_resources(rsets, 1)
        resources.worker_resources.set_rset_team(team)
        return resources

    return make
