#!/usr/bin/env python
r"""Federated averaging of a bundle over simulated sites: what leaves a site is weights, never an image.

    python scripts/federated_demo.py runs/federated --local-epochs 4
    python scripts/federated_demo.py runs/federated_2d --local-epochs 4 --bundle convex_organ_segmentation \
        --data data/cup_in_disc --iel iel/convex_curvature --noise noise/bites_nested

Every site is MONAI's client ``MonaiAlgo`` with phantom cases of its own, made on first use. In each round it trains the
global network on them and sends the difference; the differences are averaged, weighted by the number of steps. Then
every site evaluates the new global network on its own test cases. Writes the global network, model.pt. A federation of
hospitals has the same client at each of them, and a server such as NVIDIA FLARE in the place of this loop.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject
from monai.networks.utils import get_state_dict

from monai_iel.cli import in_one_line, print_table, setting
from monai_iel.handlers.output_folder import save_whole
from monai_iel.resources import BUNDLES, bundle_root, overlay

Weights = Mapping[str, torch.Tensor]


def arguments(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("--bundle", choices=BUNDLES, default=BUNDLES[0], help="(%(default)s)")
    parser.add_argument("--data", default="data/phantom", help="overlay that makes phantom cases (%(default)s)")
    parser.add_argument("--iel", default="iel/heat", help="overlay of the IEL (%(default)s)")
    parser.add_argument("--noise", default="noise/block", help="overlay of the annotation noise (%(default)s)")
    parser.add_argument("--sites", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--local-epochs", type=int, default=1, help="epochs of a site in each round (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="config id and value")
    return parser.parse_args(args)


def site(folder: Path, seed: int, given: argparse.Namespace) -> MonaiAlgo:
    """A client whose phantom cases are those of the seed."""
    root = str(bundle_root(given.bundle))
    data = ["configs/train.yaml", str(overlay(given.data))]
    known = {"bundle_root": root, "dataset_dir": str(folder / "data"), "dataset_json#seed": seed}
    known.update(map(setting, given.set))
    client = MonaiAlgo(
        bundle_root=root,
        local_epochs=given.local_epochs,
        config_train_filename=[*data, str(overlay(given.noise)), str(overlay(given.iel))],
        train_kwargs={**known, "output_dir": str(folder / "train")},
        config_evaluate_filename=[*data, "configs/evaluate.yaml"],
        eval_kwargs={**known, "output_dir": str(folder / "evaluation")},
        best_model_filepath=str(folder / "train" / "model.pt"),
        final_model_filepath=str(folder / "train" / "model_last.pt"),
    )
    client.initialize({ExtraItems.CLIENT_NAME: folder.name})
    return client


def average(weights: Weights, differences: Sequence[Weights], steps: Sequence[int]) -> dict[str, torch.Tensor]:
    """The weights plus the mean of the differences, of which each counts by its number of steps."""
    shares = [count / sum(steps) for count in steps]
    return {
        name: (value + sum(share * each[name] for share, each in zip(shares, differences, strict=True))).to(value.dtype)
        for name, value in weights.items()
    }


def one_round(weights: Weights, sites: Sequence[MonaiAlgo]) -> dict[str, torch.Tensor]:
    """Train everywhere, average."""
    sent = []
    for client in sites:
        client.train(ExchangeObject(weights=dict(weights)))
        sent.append(client.get_weights())
    steps = [each.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] for each in sent]
    return average(weights, [each.weights for each in sent], steps)


def main(args: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the rounds, print and return the Dice of the global network at every site after each of them."""
    given = arguments(args)
    folders = [given.out.resolve() / f"site{index}" for index in range(given.sites)]
    sites = [site(folder, seed, given) for seed, folder in enumerate(folders)]
    weights = {name: value.clone() for name, value in get_state_dict(sites[0].trainer.network).items()}
    rows: list[dict[str, Any]] = []
    for number in range(given.rounds):
        weights = one_round(weights, sites)
        found = [client.evaluate(ExchangeObject(weights=dict(weights))).metrics["dice"] for client in sites]
        rows.append({"round": number + 1, **{f"Dice at {f.name}": v for f, v in zip(folders, found, strict=True)}})
    for client in sites:
        client.finalize()
    save_whole(weights, given.out / "model.pt")
    print_table(rows)
    return rows


if __name__ == "__main__":
    in_one_line(main)
