"""Worker processes that end with the one that started them, and one function over many cases."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, Protocol, TypeVar

__all__ = ["MapInOrder", "each_as_it_ends", "map_in_order", "process_pool"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class MapInOrder(Protocol):
    """What `map_in_order` gives: `map` for functions and items that can be pickled."""

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]:
        """Apply ``function`` to all items; the results come in the order of the items."""


@contextmanager
def map_in_order(workers: int) -> Iterator[MapInOrder]:
    """Give a `map` that ``workers`` processes share; with one it is Python's own, without any process.

    Raises:
        ValueError: if ``workers`` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more")
    if workers == 1:
        yield map
        return
    pool = process_pool(workers)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def each_as_it_ends(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    """Apply ``function`` to all items in ``workers`` processes; with one, in this process.

    Yields:
        Index of an item and its result, in the order in which they end.

    Raises:
        ValueError: if ``workers`` is below 1.
        ChildProcessError: if a process was ended from outside.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more")
    if workers == 1:
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    pool = process_pool(workers)
    try:
        waiting = {pool.submit(function, item): index for index, item in enumerate(items)}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process was ended from outside, perhaps for lack of memory; start again with fewer at once, it goes on "
            "where it was"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Give a pool whose processes are started without a plain fork, which threads of torch do not survive."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__package__])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Leave when the process that started this one is gone: a worker that waits for work would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_after, args=(parent.sentinel,), daemon=True).start()


def _leave_after(sentinel: Any) -> None:
    wait([sentinel])
    os._exit(1)
