"""Times the heat IEL against the plain convolution loop that the method's published form is, in one run.

    python scripts/bench_heat.py [--size 64] [--channels 3] [--steps 20] [--json FILE]

Both do the same work: ``steps`` inverse heat steps of a 1 x channels x size^3 tensor and the gradient with respect to
it. Printed: median and quartiles, their ratio, what each keeps for the backward pass, the difference of the results,
and two floors: the time to read and write the tensor once forwards and once backwards at the measured copy bandwidth,
and the time of the engine's multiply-adds at the measured rate of a large matrix product.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from monai_iel import Grid, HeatDiffusion, InverseEvolution


def conv_loop(u: torch.Tensor, dt: float, num_steps: int) -> torch.Tensor:
    """Inverse heat steps as a depthwise 7-point convolution with replicated borders, left to autograd."""
    channels = u.shape[1]
    kernel = u.new_zeros(3, 3, 3)
    kernel[1, 1, 1] = -6
    for index in [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]:
        kernel[index] = 1
    weight = kernel.expand(channels, 1, 3, 3, 3).contiguous()
    for _ in range(num_steps):
        u = u - dt * F.conv3d(F.pad(u, (1,) * 6, mode="replicate"), weight, groups=channels)
    return u


def forward_backward(layer: Callable[[torch.Tensor], torch.Tensor], u: torch.Tensor) -> Callable[[], None]:
    """One forward and one backward pass, with the output as its own gradient."""

    def run() -> None:
        u.grad = None
        out = layer(u)
        out.backward(out.detach())

    return run


def timed(run: Callable[[], None], *, repeats: int) -> list[float]:
    """Seconds of each run, after one warm-up."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def kept_bytes(layer: Callable[[torch.Tensor], torch.Tensor], u: torch.Tensor) -> int:
    """Bytes that autograd keeps for the backward pass, each storage counted once."""
    storages: dict[int, int] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        layer(u)
    return sum(storages.values())


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--dt", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    n, c, dt = args.size, args.channels, args.dt
    u = torch.randn(1, c, n, n, n, generator=torch.Generator().manual_seed(0)).requires_grad_()
    layer = InverseEvolution(HeatDiffusion(), grid=Grid(), dt=dt, num_steps=args.steps)
    ways = {"this engine": layer, "conv3d loop": lambda v: conv_loop(v, dt, args.steps)}
    outs = [way(u).detach() for way in ways.values()]

    big = torch.randn(1024, 1024)
    copy = timed(lambda: u.detach().clone(), repeats=50)
    product = timed(lambda: torch.mm(big, big), repeats=20)
    multiply_adds = 2 * (2 * 3 * n) * c * n**3  # forward and backward, into the basis and back, three axes
    seconds = {name: timed(forward_backward(way, u), repeats=args.repeats) for name, way in ways.items()}
    median = {name: statistics.median(s) for name, s in seconds.items()}
    result = {
        "tensor": f"1x{c}x{n}x{n}x{n} float32",
        "steps": args.steps,
        "milliseconds": {k: [1e3 * q for q in statistics.quantiles(s, n=4)] for k, s in seconds.items()},
        "ratio": median["conv3d loop"] / median["this engine"],
        "kept_for_backward_MB": {name: kept_bytes(way, u) / 1e6 for name, way in ways.items()},
        "logits_MB": u.numel() * 4 / 1e6,
        "relative_difference": float((outs[0] - outs[1]).norm() / outs[1].norm()),
        "floor_copy_ms": 1e3 * 2 * statistics.median(copy),
        "floor_multiply_adds_ms": 1e3 * multiply_adds * statistics.median(product) / 1024**3,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }
    for name, (low, mid, high) in result["milliseconds"].items():  # type: ignore[attr-defined]
        kept = result["kept_for_backward_MB"][name]  # type: ignore[index]
        print(f"{name:12s} {mid:9.2f} ms  (quartiles {low:.2f} to {high:.2f})   kept for backward {kept:7.2f} MB")
    print(
        f"ratio {result['ratio']:.1f}; results differ by {result['relative_difference']:.1e}; "
        f"logits {result['logits_MB']:.2f} MB"
    )
    print(f"floors: copy {result['floor_copy_ms']:.2f} ms, multiply-adds {result['floor_multiply_adds_ms']:.2f} ms")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
