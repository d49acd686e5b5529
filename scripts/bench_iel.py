"""Times inverse evolution layers, the plain loop of convolutions and MONAI's distance losses, side by side in one run.

    python scripts/bench_iel.py [--only sizes|steps|share] [--json FILE] [--plot FILE]

- sizes: 2D 512^2 x 8 and 3D 64^3, 96^3, 128^3, three channels; 20 steps of linear evolutions, 10 of nonlinear ones;
- steps: 96^3, 10 to 200 steps;
- share: what an InverseEvolutionLoss adds to a training step of MONAI's BasicUNet at 96^3 (on CUDA with autocast too).

Times are medians and quartiles of forward, backward (the gradient with respect to the logits) and both; in the distance
losses, which leave the background out, both is the whole loss. Peak memory is what the first call, which sets the layer
up, needs beyond the logits, the label and the gradient that comes in: on a CPU the growth of the resident memory of a
fresh process (a clone reads 1 x the tensor), on CUDA what torch's allocator says. The floors of a row are the time to
read and write the logits once forwards and once backwards, at the bandwidth of copying a tensor of their own size and
of copying a buffer far larger than the cache, and, for products of matrices, the time of their multiply-adds, counted
as they run, at the rate of a large product.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from bench.measure import Machine, in_fresh_process, in_this_process, measured, rates
from bench.shares import shares
from bench.tables import complete, share_table, table
from bench.ways import CLONE, CONV, LINEAR, MONAI, NONLINEAR, Case

from monai_iel.files import write_text


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    sizes: tuple[tuple[int, ...], ...] = ((8, 3, 512, 512), *((1, 3, n, n, n) for n in (64, 96, 128)))
    linear_steps: int = 20
    nonlinear_steps: int = 10
    steps_size: tuple[int, ...] = (1, 3, 96, 96, 96)
    steps: tuple[int, ...] = (10, 20, 50, 100, 200)
    large_buffer: int = 2**29  # bytes
    network_size: int = 96
    features: tuple[int, ...] = (32, 32, 64, 128, 256, 32)
    training_steps: int = 3
    seconds: float = 20.0  # per row

    def default_steps(self) -> dict[str, int]:
        """Of the loop and of each evolution."""
        linear = dict.fromkeys([CONV, *LINEAR], self.linear_steps)
        return linear | dict.fromkeys(NONLINEAR, self.nonlinear_steps)

    def cases(self, sections: Sequence[str]) -> dict[tuple[int, ...], list[Case]]:
        """The rows of the sections sizes and steps, none twice, by shape."""
        found: list[Case] = []
        if "sizes" in sections:
            steps = self.default_steps() | dict.fromkeys(MONAI, 0)
            found += [Case(name, shape, k) for shape in self.sizes for name, k in steps.items()]
        if "steps" in sections:
            found += [Case(name, self.steps_size, k) for k in self.steps for name in self.default_steps()]
        shapes = dict.fromkeys(case.shape for case in found)
        return {shape: [case for case in dict.fromkeys(found) if case.shape == shape] for shape in shapes}


QUICK = Plan(
    sizes=((2, 3, 24, 24), (1, 3, 12, 12, 12), (1, 3, 16, 16, 16)),
    linear_steps=4,
    nonlinear_steps=2,
    steps_size=(1, 3, 12, 12, 12),
    steps=(2, 4),
    large_buffer=2**22,
    network_size=32,  # BasicUNet halves it four times
    features=(4, 4, 4, 4, 8, 4),
    training_steps=2,
    seconds=0.0,
)


def surroundings(machine: Machine, plan: Plan) -> dict[str, Any]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo")  # platform.processor() does not know its name on Linux
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    packages = ("torch", "monai", "monai-iel", "scipy", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "processor": f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name() if machine.device == "cuda" else None,
        "load_at_start": os.getloadavg()[0],
        "machine": asdict(machine),
        "plan": asdict(plan),
    }


def main() -> None:
    """Run the comparison and print it."""
    sections = ("sizes", "steps", "share")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sections, help="one section instead of all three")
    parser.add_argument("--quick", action="store_true", help="small tensors and few repeats, to see that it runs")
    parser.add_argument("--repeats", type=int, help="of a row, at least 3 (default: 15; 3 with --quick)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="written anew after each shape")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture, .png or .pdf; needs the extra 'report'")
    args = parser.parse_args()
    if args.plot and args.only == "share":
        parser.error("--plot shows the sections sizes and steps: leave --only share out")
    if args.plot:
        from bench.figure import plot  # before the long run, to learn now that matplotlib is missing

    plan = QUICK if args.quick else Plan()
    device = args.device if args.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    repeats = max(3, args.repeats or (3 if args.quick else 15))
    machine = Machine(device, args.threads, repeats, plan.seconds)
    run = in_fresh_process if device == "cpu" else in_this_process
    result: dict[str, Any] = {**surroundings(machine, plan), "rates": [], "rows": [], "shares": []}

    def save() -> None:
        if args.json:
            write_text(args.json, json.dumps(result, indent=2) + "\n")

    print(f"{result['processor']}; {device}, {machine.threads} threads; {result['versions']}")
    clone = run(measured, Case(CLONE, (1, 3, 64, 64, 64), 0), machine).peak_bytes
    result["clone_peak_logits"] = None if clone is None else clone / (12 * 64**3)
    print(f"peak memory of a clone, as a check: {result['clone_peak_logits'] or math.nan:.2f} x the tensor", flush=True)
    wanted = [args.only] if args.only else sections
    groups = plan.cases(wanted)
    number, rows = 0, []
    for shape, cases in groups.items():
        speed = run(rates, shape, plan.large_buffer, machine)
        group = []
        for case in cases:
            group.append(run(measured, case, machine))
            number += 1
            progress = f"{number}/{sum(map(len, groups.values()))}"
            print(f"{progress} {shape} {case.name} {group[-1].together_ms[1]:.2f} ms", file=sys.stderr, flush=True)
        complete(group, speed)
        print(table(group, speed), flush=True)
        rows += group
        result["rates"].append({"shape": shape, **asdict(speed)})
        result["rows"] += [row.flat() for row in group]
        save()
    for amp in (False, True) if device == "cuda" else (False,):
        if "share" in wanted:
            few = replace(machine, repeats=plan.training_steps) if device == "cpu" else machine
            found = run(shares, plan.default_steps(), plan.network_size, plan.features, few, amp)
            print(share_table(found), flush=True)
            result["shares"] += found
            save()
    if args.plot:
        plot(rows, plan.default_steps(), args.plot)


if __name__ == "__main__":
    main()
