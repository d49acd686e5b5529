"""How it is timed: seconds, peak memory, multiply-adds, and what the machine can do."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.ways import CLONE, GAIN, MONAI, Case, ConvLoop, layer_of, way_of
from monai_iel import InverseEvolution

__all__ = [
    "Machine",
    "Rates",
    "Row",
    "in_fresh_process",
    "in_this_process",
    "logits_and_label",
    "measured",
    "quartiles",
    "rates",
]


@dataclass(frozen=True)
class Machine:
    """Where to run, with how many threads, and how often."""

    device: str
    threads: int
    repeats: int
    seconds: float  # after so many per row, 3 repeats are enough

    def wait(self) -> None:
        """Until a GPU is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()


@dataclass
class Row:
    """Quartiles in milliseconds, and bytes. What has a default is computed from the rest."""

    case: Case
    way: str
    forward_ms: list[float]
    backward_ms: list[float]
    together_ms: list[float]
    repeats: int
    peak_bytes: int | None  # of the first call, beyond logits, label and incoming gradient
    multiply_adds: int | None  # in products of matrices, forwards and backwards
    relative_difference: list[float] | None  # of the loop's result and gradient from the engine's
    logits_bytes: int = 0
    peak_logits: float | None = None
    floor_ms: dict[str, float] = field(default_factory=dict)
    times_floor: dict[str, float] = field(default_factory=dict)
    conv_loop_ratio: float | None = None  # the loop's time over this one's, at the same number of steps

    def flat(self) -> dict[str, Any]:
        """For JSON."""
        row = asdict(self)
        return {**row.pop("case"), **row}


@dataclass(frozen=True)
class Rates:
    """Bytes per second, those read and those written counted, and multiply-adds per second."""

    copy_own_size: float
    copy_large: float
    multiply_adds: float
    large_bytes: int


def in_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """The function's result, from a process that has imported the packages and done nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monai_iel", "monai.losses", "monai.networks.nets", "torch.utils.flop_counter"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def in_this_process(function: Callable[..., Any], *args: Any) -> Any:
    """The function's result; on a GPU, whose allocator says what each call has taken."""
    return function(*args)


def quartiles(values: Iterable[float]) -> list[float]:
    """Lower quartile, median, upper quartile of seconds, in milliseconds."""
    return [1e3 * q for q in statistics.quantiles(values, n=4, method="inclusive")]


def logits_and_label(shape: Sequence[int], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy logits of a ball in a ball, and their label."""
    axes = [torch.linspace(-1, 1, n) for n in shape[2:]]
    radius = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    label = ((radius < 0.8).long() + (radius < 0.5)).expand(shape[0], 1, *shape[2:]).contiguous()
    u = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    u.scatter_add_(1, label, torch.full(label.shape, 3.0))
    return u.to(device).requires_grad_(), label.to(device)


class _Trial:
    """A row's tensors, and forward and backward with them."""

    def __init__(self, case: Case, machine: Machine) -> None:
        torch.set_num_threads(machine.threads)
        self.case, self.machine, self.way = case, machine, way_of(case)
        # Code is loaded and threads are started: a small tensor, and a long one, for which a fast transform is taken.
        dims = len(case.shape) - 2
        for shape in [(1, 3, *[148 if dims == 2 else 28] * dims), (1, 3, *[2] * (dims - 1), 512), case.shape]:
            self.u, self.label = logits_and_label(shape, machine.device)
            self.grad = self.u.detach().clone()
            if shape != case.shape:
                self()

    def __call__(self) -> tuple[float, float]:
        """Seconds forwards, and backwards to the gradient of the logits."""
        self.machine.wait()
        start = time.perf_counter()
        out = self.way(self.u, self.label)
        self.machine.wait()
        middle = time.perf_counter()
        torch.autograd.grad(out, self.u, self.grad if out.ndim else None)
        self.machine.wait()
        end = time.perf_counter()
        if not math.isfinite(out.detach().sum()):
            raise ValueError(f"{self.case} is not finite: its times would mean nothing")
        return middle - start, end - middle


def measured(case: Case, machine: Machine) -> Row:
    """One row. On a CPU to be called in a fresh process, or what others have left hides its memory."""
    trial = _Trial(case, machine)
    peak = _growth(trial, machine)
    trial()
    times: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(times) < machine.repeats and (len(times) < 3 or time.perf_counter() - start < machine.seconds):
        times.append(trial())

    layer = None if case.name in (*MONAI, CLONE) else layer_of(case.name, case.steps)
    multiply_adds = difference = None
    if isinstance(layer, ConvLoop):
        outs = [
            way(trial.u)
            for way in (layer, InverseEvolution(layer.term, grid=layer.grid, gain=GAIN, num_steps=case.steps))
        ]
        gradients = [torch.autograd.grad(out, trial.u, trial.grad)[0] for out in outs]
        difference = [float((a - b).detach().norm() / b.detach().norm()) for a, b in (outs, gradients)]
    elif layer is not None and layer.engine == "spectral":
        trial.u = trial.u.clone()  # the counter cannot follow gradients of leaves
        with FlopCounterMode(display=False) as counter:
            trial()
        multiply_adds = counter.get_total_flops() // 2
    forward, backward = zip(*times, strict=True)
    return Row(
        case=case,
        way=_described(case, layer, multiply_adds),
        forward_ms=quartiles(forward),
        backward_ms=quartiles(backward),
        together_ms=quartiles([f + b for f, b in times]),
        repeats=len(times),
        peak_bytes=peak,
        multiply_adds=multiply_adds,
        relative_difference=difference,
    )


def _described(case: Case, layer: InverseEvolution | None, multiply_adds: int | None) -> str:
    """Which of the ways of ``monai_iel/numerics/spectral.py`` a row was computed in, by its multiply-adds."""
    if layer is None or isinstance(layer, ConvLoop):
        return "autograd"
    if multiply_adds is None:
        return "explicit steps"
    products = multiply_adds / (2 * math.prod(case.shape) * sum(case.shape[2:]))  # per axis and direction
    ways: dict[float, str] = {0: "fast transform", 1: "one matrix per axis", 2: "matrices there and back"}
    return ways.get(products, f"{products:.2f} matrices per axis")


def _growth(trial: _Trial, machine: Machine) -> int | None:
    """Largest memory in use in a call, beyond what was in use before; None where that is unknown.

    On Linux it is the high-water mark of the resident memory, set back before. (Not getrusage's: that cannot be set
    back, and begins with the parent's.) Meanwhile glibc gives freed memory back at once: what it keeps otherwise is
    taken unseen by later calls, or comes on top, by the order in which it was freed.
    """
    if machine.device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        trial()
        return torch.cuda.max_memory_allocated() - before
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    _set_malloc(mmap_threshold=2**16)
    before = _status_bytes("VmRSS")
    reset.write_text("5")
    trial()
    found = _status_bytes("VmHWM") - before
    _set_malloc(mmap_threshold=2**25)  # glibc's own choice once a block so large was freed, as in any training
    return found


def _set_malloc(*, mmap_threshold: int) -> None:
    """Have glibc give larger blocks back as soon as they are freed, and what it keeps of smaller ones now."""
    with suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, mmap_threshold)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2 * mmap_threshold)  # M_TRIM_THRESHOLD
        libc.malloc_trim(0)


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def rates(shape: Sequence[int], large_bytes: int, machine: Machine) -> Rates:
    """Bandwidths and the rate of products, medians of 15."""
    torch.set_num_threads(machine.threads)

    def seconds(run: Callable[[], object]) -> float:
        found = []
        for _ in range(16):
            machine.wait()
            start = time.perf_counter()
            run()
            machine.wait()
            found.append(time.perf_counter() - start)
        return statistics.median(found[1:])

    def bandwidth(elements: int) -> float:
        source, target = (torch.ones(elements, device=machine.device) for _ in range(2))
        return 8 * elements / seconds(lambda: target.copy_(source))

    n = 4096 if machine.device == "cuda" else 1024
    a, b = (torch.randn(n, n, device=machine.device) for _ in range(2))
    product = n**3 / seconds(lambda: torch.mm(a, b))
    return Rates(bandwidth(math.prod(shape)), bandwidth(large_bytes // 4), product, large_bytes)
