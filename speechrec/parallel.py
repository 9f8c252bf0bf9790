"""Worker processes: a bounded number of jobs under way, results in the order of the jobs."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

from speechrec.errors import DatasetError

# Jobs under way for each worker, and in all at least: the one waited for may be the slowest.
_AHEAD_EACH, _AHEAD_LEAST = 2, 8

Argument = TypeVar("Argument")
JobT = TypeVar("JobT")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Workers:
    """``count`` processes."""

    pool: ProcessPoolExecutor
    count: int


@contextmanager
def processes(
    count: int, warm_up: Callable[[Argument], object], argument: Argument
) -> Iterator[Workers | None]:
    """``count`` worker processes that have called ``warm_up(argument)``; None for one.

    Raises:
        DatasetError: a worker died.
    """
    if count <= 1:
        yield None
        return
    # One thread of linear algebra a worker: the processes are the parallelism.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warm_up(argument)
    pool = ProcessPoolExecutor(
        count, mp_context=get_context(start_method()), initializer=_end_with_parent
    )
    try:
        for _ in range(count):
            pool.submit(warm_up, argument)
        yield Workers(pool, count)
    except BrokenProcessPool as error:
        raise DatasetError(
            "a worker process died (out of memory?); run the same command again to go on where "
            "it stopped, with fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for a job for ever."""
    parent = parent_process()
    assert parent is not None

    def wait_for_end() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def start_method() -> str:
    """Copies of this process start at once; they are safe only where it has no other thread."""
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:
        alone = False
    return "fork" if alone else "spawn"


def in_order(
    work: Callable[[JobT], Result], jobs: Iterator[JobT], workers: Workers | None
) -> Iterator[Result]:
    """``map(work, jobs)``, by the workers where there are some."""
    if workers is None:
        yield from map(work, jobs)
        return
    ahead = max(_AHEAD_LEAST, _AHEAD_EACH * workers.count)
    waiting: deque[Future[Result]] = deque()
    for job in jobs:
        waiting.append(workers.pool.submit(work, job))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
