"""Work shared among processes comes back whole, in order, and ends cleanly."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from speechrec.errors import DatasetError
from speechrec.parallel import in_order, processes, start_method


def squared(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse(number: int) -> int:
    if number == 3:
        raise DatasetError("three cannot be used")
    return number


def meet(together: threading.Barrier) -> bool:
    together.wait()
    return True


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_process_with_threads_is_not_copied() -> None:
    """A fork beside a running thread may inherit a lock that nobody will ever release."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert start_method() == "spawn"
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="only Linux lists threads")
def test_a_process_without_threads_is_copied() -> None:
    """A process that has done nothing but import the module may start its workers at once."""
    code = "from speechrec.parallel import start_method; print(start_method())"
    # Libraries of linear algebra start threads of their own unless told not to.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "fork"


@pytest.mark.parametrize("count", [0, 1])
def test_one_worker_is_this_process(count: int) -> None:
    """A single worker needs no pool: the work is done here, and nothing is warmed up."""
    warmed: list[int] = []
    with processes(count, warmed.append, 5) as pool:
        assert pool is None
        assert list(in_order(squared, iter([3, 2]), pool)) == [(9, os.getpid()), (4, os.getpid())]
    assert not warmed


@pytest.mark.parametrize("jobs", [0, 1, 40])
def test_results_come_in_the_order_of_the_jobs(jobs: int) -> None:
    """Whichever process is done first, results stand in the order of the jobs, none missing."""
    with processes(2, squared, 1) as pool:
        results = list(in_order(squared, iter(range(jobs)), pool))
    assert [square for square, _ in results] == [number * number for number in range(jobs)]
    assert os.getpid() not in {pid for _, pid in results}


def test_jobs_are_taken_as_they_are_needed() -> None:
    """Of a long list of jobs, no more are under way than a few, which bounds memory."""
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with processes(2, squared, 1) as pool:
        results = in_order(squared, jobs(), pool)
        assert next(results)[0] == 0
        assert len(taken) < 20


def test_every_worker_has_a_job() -> None:
    """However many there are: as many jobs as workers wait for each other, and all come back."""
    count = 12
    with get_context().Manager() as manager, processes(count, squared, 1) as pool:
        together = manager.Barrier(count, timeout=60)
        assert list(in_order(meet, iter([together] * count), pool)) == [True] * count


@pytest.mark.parametrize("count", [1, 2])
def test_a_workers_error_is_told_here(count: int) -> None:
    """What a worker refuses is the same error in the process that asked, after earlier results."""
    seen: list[int] = []

    def work() -> None:
        with processes(count, squared, 1) as pool:
            seen.extend(in_order(refuse, iter(range(6)), pool))

    with pytest.raises(DatasetError, match="three cannot be used"):
        work()
    assert seen == [0, 1, 2]


def test_a_worker_that_dies_is_an_error_that_says_what_to_do() -> None:
    """A killed worker, for want of memory perhaps, is no traceback."""
    with (
        pytest.raises(DatasetError, match=r"a worker process died .*fewer --workers"),
        processes(2, squared, 1) as pool,
    ):
        list(in_order(die, iter(range(4)), pool))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path, method: str) -> None:
    """When a command is killed outright, its workers do not stay behind."""
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal\n"
        "from speechrec import parallel\n"
        "if __name__ == '__main__':\n"
        f"    parallel.start_method = lambda: {method!r}\n"
        "    with parallel.processes(2, len, ()) as workers:\n"
        "        list(parallel.in_order(len, iter([()] * 8), workers))\n"
        "        print(*workers.pool._processes, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, check=False)
    workers = set(map(int, done.stdout.split()))
    assert len(workers) == 2
    for _ in range(600):
        workers = {worker for worker in workers if psutil.pid_exists(worker)}
        if not workers:
            break
        time.sleep(0.05)
    assert not workers
