"""How many GPUs a node has, by asking the vendors' tools.

Owns the probes and the masks by which a process may see only some GPUs. A probe costs nothing where its tool or package
is missing; none is run before someone asks, each has a time limit, and its messages are hidden.
"""

import importlib
import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable

logger = logging.getLogger(__name__)

_PROBE_TIME_LIMIT = 10.0  # seconds: a first call of nvidia-smi may wake the driver

CUDA_MASK = "CUDA_VISIBLE_DEVICES"
ROCR_MASK = "ROCR_VISIBLE_DEVICES"
ZE_MASK = "ZE_AFFINITY_MASK"
_OUTER = "LIBE_OUTER_"  # with a mask's name: "<what set_mask set>|<what was there before>"


def pynvml() -> int | None:
    """NVIDIA GPUs, by the package nvidia-ml-py."""
    if importlib.util.find_spec("pynvml") is None:
        return None
    nvml = importlib.import_module("pynvml")
    nvml.nvmlInit()
    try:
        return _masked(int(nvml.nvmlDeviceGetCount()), CUDA_MASK)
    finally:
        nvml.nvmlShutdown()


def nvidia_smi() -> int | None:
    """NVIDIA GPUs, by `nvidia-smi`."""
    text = _output("nvidia-smi", "--query-gpu=index", "--format=csv,noheader,nounits")
    return None if text is None else _masked(len(text.split()), CUDA_MASK)


def pyadl() -> int | None:
    """AMD GPUs, by the package pyadl."""
    if importlib.util.find_spec("pyadl") is None:
        return None
    devices = importlib.import_module("pyadl").ADLManager.getInstance().getDevices()
    return _masked(len(devices), ROCR_MASK)


def rocm_smi() -> int | None:
    """AMD GPUs, by `rocm-smi`."""
    text = _output("rocm-smi", "-i", "--json")
    return None if text is None else _masked(len(json.loads(text)), ROCR_MASK)


def amd_smi() -> int | None:
    """AMD GPUs, by `amd-smi`."""
    text = _output("amd-smi", "list", "--json")
    return None if text is None else _masked(len(json.loads(text)), ROCR_MASK)


def xpu_smi() -> int | None:
    """Intel GPUs, by `xpu-smi`."""
    text = _output("xpu-smi", "discovery", "-j")
    return None if text is None else _masked(len(json.loads(text).get("device_list", [])), ZE_MASK)


def zeinfo() -> int | None:
    """Intel GPUs, by `zeinfo`."""
    count = _zeinfo_number("Number of devices")
    return None if count is None else _masked(count, ZE_MASK)


METHODS: list[Callable[[], int | None]] = [pynvml, nvidia_smi, pyadl, rocm_smi, amd_smi, xpu_smi, zeinfo]


def get_num_gpus(testall: bool = False) -> int | None:
    """GPUs of this node that this process may use.

    Parameters
    ----------
    testall : bool
        Ask every method and print what each says.

    Returns
    -------
    int or None
        The first positive answer; 0 if there was an answer but no GPU; None if no method works here.
    """
    found: int | None = None
    for method in METHODS:
        count = _ask(method)
        if testall:
            print(f"{method.__name__}: {count}")
        found = found or (count if count is not None else found)
        if found and not testall:
            break
    return found


def get_gpus_from_env(env_resources: object | None = None) -> int | None:
    """GPUs on this node as Slurm states them (`SLURM_GPUS_ON_NODE`), or None.

    Parameters
    ----------
    env_resources : EnvResources, optional
        Only where its scheduler is Slurm is the variable read.
    """
    if getattr(env_resources, "scheduler", None) != "Slurm":
        return None
    text = os.environ.get("SLURM_GPUS_ON_NODE", "").strip()
    return int(text) if text.isdigit() else None


def get_tiles_per_gpu() -> int | None:
    """Tiles (sub-devices) of each GPU as `zeinfo` states them, or None."""
    return _zeinfo_number("Number of sub-devices")


def _ask(method: Callable[[], int | None]) -> int | None:
    try:
        return method()
    except Exception as error:  # vendors' packages raise anything: another method may still answer
        logger.debug("GPU detection by %s failed: %s", method.__name__, error)
        return None


def _output(program: str, *args: str, stream: str = "stdout") -> str | None:
    """What a program on PATH writes, or None where it is missing, fails or takes too long."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIME_LIMIT, text=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return getattr(done, stream) if done.returncode == 0 else None


def _zeinfo_number(label: str) -> int | None:
    text = _output("zeinfo", stream="stderr")  # where this tool writes its report
    numbers = re.findall(rf"{re.escape(label)}\W+(\d+)", text or "")
    return int(numbers[0]) if numbers else None


def _masked(count: int, variable: str) -> int:
    """Of `count` GPUs, those that a mask in the environment leaves visible."""
    ids = visible_ids(variable)
    return count if ids is None else min(count, len({id_.partition(".")[0] for id_ in ids}))


def visible_ids(*variables: str) -> list[str] | None:
    """Ids in the first of these masks that was set before this package set any; None if none was."""
    for variable in variables or (CUDA_MASK, ROCR_MASK, ZE_MASK):
        ids = [id_.strip() for id_ in (_outer_mask(variable) or "").split(",") if id_.strip()]
        if ids:
            return ids
    return None


def set_mask(variable: str, value: str) -> None:
    """Set a mask for this process, and note what it stood at: a later run here shall see all GPUs again."""
    os.environ[_OUTER + variable] = f"{value}|{_outer_mask(variable) or ''}"
    os.environ[variable] = value


def _outer_mask(variable: str) -> str | None:
    value = os.environ.get(variable)
    ours, _, outer = os.environ.get(_OUTER + variable, "").partition("|")
    return outer if ours and value == ours else value
