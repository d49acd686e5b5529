"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit.retrained import BY_HAND, CLEAN, NOISY, PROPOSALS

__all__ = ["markdown"]

_TARGET = 0.95
_SETS = {
    NOISY: "as they are",
    PROPOSALS: "proposals for the first of the worklist",
    BY_HAND: "clean labels for the first of the worklist",
    CLEAN: "all clean",
}


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of a study, with a sentence about each."""
    parts = [f"# {results['title']}", _corruption(results), _rankings(results), _levels(results)]
    return "\n\n".join([*parts, *([_retraining(results)] if "retraining" in results else [])]) + "\n"


def _corruption(results: Mapping[str, Any]) -> str:
    noise, cases = results["noise"], results["cases"]
    aim = "as it is" if noise["target_dice"] is None else f"for a mean Dice of {noise['target_dice']}"
    dice = f"{noise['dice']:.3f} ({noise['least_dice']:.3f} to {noise['largest_dice']:.3f})"
    return (
        f"{cases['wrong']} of {cases['all']} cases corrupted by `{noise['noise']}`, {aim}; label Dice of these {dice}. "
        f"{results['asked']['folds']} folds. In brackets: 95 % intervals over resamples of the "
        "cases; that of a perfect ranking has no width."
    )


def _rankings(results: Mapping[str, Any]) -> str:
    compared, first = results["rankings"], results["main"]
    less = {one["less"]: one for one in compared["differences"] if one["of"] == first}
    less |= {one["of"]: _negative(one) for one in compared["differences"] if one["less"] == first}
    rows = [
        [name, _of(one["auroc"]), _of(one["auprc"]), _of(one["top"]), _of(less.get(name), signed=True)]
        for name, one in compared["rankings"].items()
    ]
    head = ["ranking of the cases", "AUROC", "AUPRC", "found in the top k", f"AUROC of {first} less this"]
    value = compared["rankings"][first]["auroc"]["value"]
    above = [name for name, one in compared["rankings"].items() if value < one["auroc"]["low"]]
    verdict = f"{first}: {'at least' if value >= _TARGET else 'below'} {_TARGET}"
    verdict += f"; below the interval of {' and of '.join(above)}." if above else "; not below any interval."
    return f"k is the number of corrupted cases, {results['cases']['wrong']}.\n\n{_table(head, rows)}\n\n{verdict}"


def _levels(results: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            level,
            one["wrong"],
            one["units"],
            _of(one["auroc"]),
            _of(one["auprc"]),
            f"{one['wrong'] / one['units']:.4f}",
        ]
        for name, levels in results["audits"].items()
        for level, one in levels.items()
        if one is not None
    ]
    return _table(["audit", "what", "wrong", "of", "AUROC", "AUPRC", "AUPRC by chance"], rows)


def _retraining(results: Mapping[str, Any]) -> str:
    found = results["retraining"]
    sets = found["compared"]["sets"]
    rows = [
        [
            told,
            _of(sets[name]["dice"]),
            " ".join(f"{dice:.4f}" for dice in sets[name]["by_seed"]),
            _of(sets[name]["gain"], signed=True),
            _of(sets[name]["closed"]),
        ]
        for name, told in _SETS.items()
    ]
    replaced = found["replaced"]
    corrupted = [row for row in replaced if row["corrupted"]]
    head = ["training labels", "test Dice", "by seed", "less as they are", "share of the gap closed"]
    cases = f"{results['cases']['all']} cases, Dice on {found['compared']['cases']} clean test cases"
    caution = "The intervals do not cover other seeds."
    if not sets[BY_HAND]["closed"]:
        caution += " There may be no gap between all clean and as they are, so no share of it is given."
    return (
        f"Plain training on the {cases}. {caution}\n\n{_table(head, rows)}\n\n"
        f"Of the first {len(replaced)} of the worklist ({results['main']}) "
        f"{len(corrupted)} are corrupted and {sum(row['has_proposal'] for row in replaced)} have a proposal. Dice with "
        f"the clean label before and after: {_change(corrupted)} of the corrupted"
        + (f", {_change(others)} of the others." if (others := [r for r in replaced if not r["corrupted"]]) else ".")
    )


def _change(rows: Sequence[Mapping[str, Any]]) -> str:
    known = [(row["before"], row["after"]) for row in rows if None not in (row["before"], row["after"])]
    if not known:
        return "none"
    before, after = (sum(column) / len(known) for column in zip(*known, strict=True))
    return f"{before:.3f} and {after:.3f}"


def _negative(one: Mapping[str, float]) -> dict[str, float]:
    return {"value": -one["value"], "low": -one["high"], "high": -one["low"]}


def _of(one: Mapping[str, float] | None, *, signed: bool = False) -> str:
    if one is None:
        return "–"
    value, low, high = (f"{one[name]:{'+' if signed else ''}.3f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
