"""What holds for every test: it runs in an empty folder of its own, and leaves no process behind."""

import psutil
import pytest


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Runs write logs and histories where they are; that is never the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _belongs_to_python(process):
    """multiprocessing keeps its resource tracker and fork server until the interpreter ends."""
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return True  # gone, or going
    return "multiprocessing" in command and ("tracker" in command or "forkserver" in command)


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_behind():
    """Workers, applications and servers that tests start are ended by the tests."""
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    yield
    children = [child for child in me.children(recursive=True) if child.pid not in before]
    _, alive = psutil.wait_procs(children, timeout=3)
    left = [child for child in alive if not _belongs_to_python(child)]
    described = [f"{child.pid} ({child.status()}): {' '.join(child.cmdline())}" for child in left if child.is_running()]
    for child in left:
        child.kill()
    assert not described, "processes left behind by tests:\n" + "\n".join(described)
