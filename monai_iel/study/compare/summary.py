"""The results of a study in tables for people, and what has to be known to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from monai_iel.study.case_table import COUNTS
from monai_iel.study.compare.differences import Comparison, Interval, interval_of_mean, matrix_of, points
from monai_iel.study.compare.study import EPOCHS, Study
from monai_iel.study.compare.values import Measured, Place, by_place

__all__ = ["Summary"]

Row = dict[str, object]


@dataclass(frozen=True)
class Summary:
    """Tables over what a study has measured.

    Args:
        study: the study.
        measured: what is there of it.
        comparisons: of these.
        unfinished: number of trainings that are not finished.
        changed: trainings that are, by other settings, versions or files than the study has now; they are left out.
    """

    study: Study
    measured: Sequence[Measured]
    comparisons: Sequence[Comparison]
    unfinished: int = 0
    changed: Sequence[str] = ()

    @property
    def places(self) -> dict[Place, dict[str, list[Measured]]]:
        """Place -> method -> what is compared."""
        return by_place(self.measured)

    def data_sets(self) -> list[str]:
        """Names of the data sets that have results."""
        return list(dict.fromkeys(place.data for place in self.places))

    def columns(self, data: str) -> dict[Place, str]:
        """The places of a data set and their headings."""
        found = [place for place in self.places if place.data == data]
        several = len({place.cases for place in found}) > 1
        return {p: f"{p.noise}, {p.cases} cases" if several else p.noise for p in found}

    def methods(self, data: str) -> list[str]:
        """The methods that have results on a data set, in the order of the file."""
        names = {name for place, methods in self.places.items() if place.data == data for name in methods}
        return [name for name in self.study.methods if name in names]

    def interval(self, place: Place, method: str, metric: str = "dice") -> Interval | None:
        """The mean of a method with its interval."""
        measured = self.places[place].get(method)
        values = None if measured is None else matrix_of([measured], metric)
        return None if values is None else interval_of_mean(values[0], str(place))

    def means(self, data: str, metric: str = "dice") -> list[Row]:
        """A row per method, a column per noise and number of cases: the mean; absent where there is none."""
        rows: list[Row] = []
        for method in self.methods(data):
            row: Row = {"method": method}
            for place, heading in self.columns(data).items():
                interval = self.interval(place, method, metric)
                row[heading] = None if interval is None else interval.mean
            rows.append(row)
        return rows

    def differences(self, data: str) -> list[Row]:
        """A row per method, a column per noise and number of cases: Dice against the reference, in points."""
        known = {(c.place, c.method): c for c in self.comparisons if c.metric == "dice" and c.against == "reference"}
        rows: list[Row] = []
        for method in self.methods(data):
            if method == self.study.reference:
                continue
            row: Row = {"method": method}
            for place, heading in self.columns(data).items():
                one = known.get((place, method))
                row[heading] = None if one is None else _points(one, self.study.tolerance)
            rows.append(row)
        return rows

    def figures(self, place: Place) -> list[Row]:
        """A row per method with all metrics of a place, and the seconds of a training."""
        rows: list[Row] = []
        for method, measured in self.places[place].items():
            row: Row = {"method": method, "epoch": self.study.methods[method].epoch, "seeds": len(measured)}
            for metric in dict.fromkeys(name for one in measured for name in one.values):
                known = [mean for one in measured if (mean := one.mean(metric)) is not None]
                row[metric] = fmean(known) if known else None
                for count in COUNTS:
                    if count.split("_")[0] == metric.split("_")[0]:
                        row["missed"] = sum(one.counts.get(count, 0) for one in measured)
            row["training s"] = round(fmean(one.train_seconds for one in measured))
            rows.append(row)
        return rows

    def epochs(self, data: str) -> list[Row]:
        """A row per method evaluated at both epochs, a column per noise and number of cases: Dice in points at both."""
        rows: list[Row] = []
        for method in self.methods(data):
            both = {heading: self._at_both_epochs(place, method) for place, heading in self.columns(data).items()}
            if any(both.values()):
                rows.append({"method": method, **both})
        return rows

    def _at_both_epochs(self, place: Place, method: str) -> str | None:
        """Mean Dice in points at the last and at the best epoch; None where one of them was not evaluated."""
        shown = []
        for epoch in EPOCHS:
            same = [one for one in self.measured if (one.place, one.method, one.epoch) == (place, method, epoch)]
            known = [mean for one in same if (mean := one.mean("dice")) is not None]
            if not known:
                return None
            shown.append(f"{100 * fmean(known):.1f}")
        return ", ".join(shown)

    def tally(self) -> list[Row]:
        """A row per method: how often better, worse and neither than the reference in Dice, and by how much."""
        rows: list[Row] = []
        for method in self.study.methods:
            own = [c for c in self.comparisons if (c.metric, c.against, c.method) == ("dice", "reference", method)]
            if not own:
                continue
            words = [one.word for one in own]
            better, worse = words.count("better"), words.count("worse")
            rows.append(
                {
                    "method": method,
                    "better": better,
                    "no clear difference": len(own) - better - worse,
                    "worse": worse,
                    "mean difference, points": 100 * fmean(one.difference.mean for one in own),
                    "least": 100 * min(one.difference.mean for one in own),
                    "most": 100 * max(one.difference.mean for one in own),
                }
            )
        return rows

    def best_counts(self) -> Mapping[str, int]:
        """Method -> in how many places it has the best mean Dice."""
        counts: dict[str, int] = {}
        for place, methods in self.places.items():
            means = {name: i.mean for name in methods if (i := self.interval(place, name)) is not None}
            best = max(means, key=means.__getitem__)
            counts[best] = counts.get(best, 0) + 1
        return counts

    def notes(self) -> list[str]:
        """What has to be known to read the tables, a paragraph each."""
        study = self.study
        seeds = len(study.seeds)
        found = [
            "All figures are measured on clean labels of test cases that no training saw and that decided nothing. "
            "Training and validation labels are noisy; all noises with a target do the same mean damage to the labels, "
            "the one strength of a data set being found on all of its training and validation cases. Dice, surface "
            "Dice and the calibration error (ece) are fractions; hd95_mm counts a missed structure as the image's "
            "diagonal, and missed is their number.",
            f"Methods are compared with {study.reference!r} on the same test cases and seeds. Intervals are bootstrap "
            "intervals of 95 % in which seeds and cases are drawn by themselves, since a seed's network is the same on "
            "all cases. p is Wilcoxon's signed-rank test over the cases (means over the seeds), two-sided, corrected "
            "by Holm over the methods of a column. A method is called better or worse where the interval leaves zero "
            "out and p < 0.05; perhaps, where the interval alone does. A difference below "
            f"{points(study.tolerance)} is taken not to matter.",
            "A comparison with the best of a place (statistics.csv) is with what these figures themselves chose, so "
            "the best looks a little better than it is.",
        ]
        if self.changed:
            first = ", ".join(f"({words})" for words in self.changed[:3])
            found.insert(
                0,
                f"{len(self.changed)} trainings were made by other settings, versions or files than the study has now, "
                f"and are left out: {first}{', ...' if len(self.changed) > 3 else ''}. Run the study again.",
            )
        if self.unfinished:
            found.insert(0, f"{self.unfinished} trainings of the study are not finished; this is what there is.")
        if seeds < 5:
            counted = f"{seeds} seeds tell" if seeds > 1 else "One seed tells nothing"
            found.append(
                f"{counted}{' little' if seeds > 1 else ''} of how much a method varies from seed to seed: intervals "
                "are narrower than they should be, and p-values, which do not know the seeds, smaller. A small "
                "difference that is called clear may be one of these seeds."
            )
        return found


def _points(one: Comparison, tolerance: float) -> str:
    low, high = (f"{100 * bound:+.1f}" for bound in (one.difference.low, one.difference.high))
    return f"{100 * one.difference.mean:+.1f} [{low}, {high}] {one.word}{one.remark(tolerance)}"
