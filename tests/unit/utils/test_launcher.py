"""Child processes are waited for without delay, and stopped with all that they started."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from libensemble.utils import launcher

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are of POSIX systems")


@pytest.fixture
def start():
    """Start shell scripts in sessions of their own; what is left of them is killed at the end."""
    started = []

    def start(script, new_session=True):
        process = launcher.launch(
            ["/bin/sh", "-c", script], start_new_session=new_session, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        launcher.cancel(process, 0)
        process.stdout.close()


def pids_from(process, count):
    return [int(process.stdout.readline()) for _ in range(count)]


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_template_leaves_out_what_is_not_given():
    template = ["{runner}", "-n {procs}", "-N {nodes}", '--opt "{text}"', "--missing {nothing}", "plain words"]
    specs = {"runner": "run --it", "procs": 4, "nodes": None, "text": "a b"}
    assert launcher.form_command(template, specs) == [
        "run",
        "--it",
        "-n",
        "4",
        "--opt",
        '"a b"',
        "plain",
        "words",
    ]


def test_launch_fills_a_template():
    process = launcher.launch(["echo {text}"], {"text": "hello"}, stdout=subprocess.PIPE, text=True)
    assert process.communicate()[0] == "hello\n"


def test_wait_returns_the_code_or_none_when_the_time_is_over(start):
    assert launcher.wait(start("exit 3")) == 3
    assert launcher.wait(start("exit 4"), 5) == 4
    sleeper = start("sleep 30")
    assert launcher.wait(sleeper, 0.02) is None
    assert not launcher.process_is_stopped(sleeper, 0)


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_waiting_ends_with_the_process(start, monkeypatch, has_pidfd):
    if not has_pidfd:
        monkeypatch.setattr(launcher, "_sleep_on_pidfd", lambda pid, timeout: False)
    process = start("exec sleep 0.05")
    began = time.monotonic()
    assert launcher.process_is_stopped(process, 60)
    assert time.monotonic() - began < 30


def test_a_group_is_signalled_as_a_whole(start):
    process = start("sleep 30 & echo $!; wait")
    (child,) = pids_from(process, 1)
    assert launcher.terminatepg(process)
    assert launcher.wait(process, 10) == -signal.SIGTERM
    assert launcher._until(lambda: not runs(child), 5)
    assert not launcher.terminatepg(process)
    assert not launcher.killpg(process)


def test_a_process_that_leads_no_group_is_signalled_alone_but_leaves_nothing(start):
    process = start("sleep 30 & echo $!; wait", new_session=False)
    (child,) = pids_from(process, 1)
    assert launcher.cancel(process, 10) == -signal.SIGTERM
    assert not runs(child)


def test_cancel_with_no_grace_kills_at_once(start):
    process = start("trap '' TERM; echo $$; while :; do sleep 1; done")
    pids_from(process, 1)
    assert launcher.cancel(process, 0) == -signal.SIGKILL


def test_what_ignores_sigterm_is_killed_after_the_grace(start):
    process = start("trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & echo $!; wait")
    pids = pids_from(process, 2)
    assert launcher.cancel(process, 0.1) == -signal.SIGKILL
    assert not any(runs(pid) for pid in pids)


def test_a_child_that_outlives_a_well_behaved_parent_is_killed_too(start):
    process = start("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait")
    (child,) = pids_from(process, 1)
    assert launcher.cancel(process, 0.2) == -signal.SIGTERM
    assert not runs(child)


def test_what_made_a_group_of_its_own_is_found_by_its_session(start):
    inner = "import os, time; os.setpgid(0, 0); print(os.getpid(), flush=True); time.sleep(30)"
    process = start(f'{sys.executable} -c "{inner}" & exec sleep 30')
    (child,) = pids_from(process, 1)
    assert os.getpgid(child) != process.pid
    launcher.cancel(process, 5)
    assert not runs(child)


def test_cancel_without_limit_asks_and_never_kills(start):
    process = start("trap 'exit 7' TERM; echo $$; while :; do sleep 0.05; done")
    pids_from(process, 1)
    assert launcher.cancel(process, None) == 7


def test_a_process_that_has_ended_is_left_alone(start):
    process = start("exit 5")
    launcher.wait(process)
    assert launcher.cancel(process, 10) == 5
    assert launcher.wait_and_kill(process, 10) == 5


def test_wait_and_kill_kills_after_its_time(start):
    assert launcher.wait_and_kill(start("sleep 30"), 0.01) == -signal.SIGKILL
    assert launcher.wait_and_kill(start("exit 2"), None) == 2


def test_several_processes_share_one_grace(start):
    stubborn = "trap '' TERM; echo $$; while :; do sleep 1; done"
    processes = [start(stubborn) for _ in range(4)]
    for process in processes:
        pids_from(process, 1)
    began = time.monotonic()
    launcher.cancel_all(processes, 0.5)
    assert {process.returncode for process in processes} == {-signal.SIGKILL}
    assert time.monotonic() - began < 4 * 0.5
