#!/usr/bin/env python
r"""What makes a segmentation convex, side by side: trainings through IELs, a rival loss, corrections of the output.

    python scripts/compare_convex.py runs/bites --data data/wbc_cell --noise noise/bites --set dataset_dir=cell \
        --seed 0 --seed 1 --seed 2 --set max_epochs=30

Everything is trained through the bundle convex_organ_segmentation, evaluated on clean test labels, and written to the
folder: results.csv, results.json, report.html. What is complete there is not trained again. --only names the methods.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from monai_iel.cli import in_one_line, print_table, setting
from monai_iel.study import PairedStudy, mean_table
from monai_iel.study.page import write_page

TRAINED = ("iel/heat", "iel/convex_region", "iel/convex_curvature", "iel/heat_curvature", "peers/quasi_concavity")
CORRECTED = (
    "evolve",
    "after/largest_component",
    "after/convex_hull",
    "after/largest_component+after/convex_hull",
    "after/convex_flow",
    "after/region_flow",
    "after/quasi_concavity_refine",
    "after/true_labels",
)
COLUMNS = ("method", "epoch", "seeds", "dice", "hd95_mm", "missed", "solidity", "concavity_mm", "components")
COLUMNS += ("Dice against plain", "training s")


def arguments(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("--data", default="data/convex_phantom", help="overlay of the data set (%(default)s)")
    parser.add_argument("--noise", default="none", help="overlay of the annotation noise (%(default)s)")
    parser.add_argument("--loss", help="overlay of the base loss")
    parser.add_argument("--seed", type=int, action="append", help="several times for several seeds (0)")
    parser.add_argument("--epoch", choices=("last", "best"), action="append", help="several times for both (last)")
    known = (*TRAINED, *CORRECTED)
    parser.add_argument(
        "--only", choices=known, action="append", metavar="METHOD", help=f"plain and these: {', '.join(known)}"
    )
    parser.add_argument("--after-all", action="store_true", help="correct every network's output, not plain's alone")
    parser.add_argument("--clean", action="store_true", help="train plain on clean labels too")
    parser.add_argument("--no-pictures", action="store_true", help="do not segment the test images for the report")
    parser.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="config id and value")
    return parser.parse_args(args)


def main(args: list[str] | None = None) -> None:
    """Train, evaluate, print, write the report."""
    given = arguments(args)
    chosen = given.only or (*TRAINED, *CORRECTED)
    study = PairedStudy(
        given.out.resolve(),
        data=given.data,
        noise=None if given.noise == "none" else given.noise,
        iels=tuple(name for name in TRAINED if name in chosen),
        seeds=tuple(given.seed or [0]),
        loss=given.loss,
        clean=given.clean,
        epochs=tuple(given.epoch or ["last"]),
        settings=dict(map(setting, given.set)),
        bundle="convex_organ_segmentation",
        afterwards=tuple(name for name in CORRECTED if name in chosen),
        afterwards_of="all" if given.after_all else "plain",
    )
    rows = study.compare()
    print_table([{name: row[name] for name in COLUMNS} for row in mean_table(rows)])
    print(f"report: {write_page(study, rows, {} if given.no_pictures else study.segment())}")


if __name__ == "__main__":
    in_one_line(main)
