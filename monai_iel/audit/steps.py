"""The steps of an audit behind the predictions, each of which finds what is done and still holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from monai_iel import __version__
from monai_iel.audit.case_list import AuditEntry, AuditList
from monai_iel.audit.one_case import Looking, Scoring, Work, prediction_digest
from monai_iel.audit.outputs import AuditedCase, shown_path
from monai_iel.audit.page import PageCase
from monai_iel.audit.pictures import CasePicture
from monai_iel.audit.run_folder import AuditFolder, scores_of
from monai_iel.audit.sources import Predictions
from monai_iel.audit.temperature import VoxelSample, fit_temperature
from monai_iel.data.building import write_json
from monai_iel.data.checks import MAX_PROBLEMS, raise_together
from monai_iel.data.datalist import read_json
from monai_iel.data.files import CaseError
from monai_iel.processes import MapInOrder

__all__ = ["Steps"]

Result = TypeVar("Result")

_LEAST_DICE = 0.5  # below it a note says that the networks are no judges
_LEAST_CASES = 5  # with less a temperature would be that of the very label under judgement
_SHOWN = 5  # edited proposals that a note names


class Steps:
    """What is done with cases that are predicted.

    Args:
        cases: the list.
        folder: of the audit.
        predictions: of all cases.
        labels: case id -> digest of its label.
        mapped: applies functions to cases, in one process or several.
        with_pictures: whether pictures are drawn.
        progress: show progress bars.
    """

    def __init__(
        self,
        cases: AuditList,
        folder: AuditFolder,
        predictions: Predictions,
        labels: Mapping[str, str],
        mapped: MapInOrder,
        *,
        with_pictures: bool,
        progress: bool,
    ) -> None:
        self.cases, self.folder, self.predictions, self.mapped = cases, folder, predictions, mapped
        self.with_pictures, self.progress = with_pictures, progress
        work = [Work(entry, predictions.files[entry.case_id]) for entry in cases.entries]
        digests = list(self._shown(mapped(prediction_digest, work), "comparing with what is known", len(work)))
        images = cases.image_digests()
        self._sources_now = {
            i: {"label": labels[i], "image": images[i], "prediction": found}
            for one, found in zip(work, digests, strict=True)
            for i in [one.entry.case_id]
        }
        self._fits: dict[str, Any] = {}

    def look(self) -> None:
        """Read every case that is new or has changed, and fit the temperatures that are needed.

        Raises:
            CaseError: some cannot be used; up to 20 are named. Nothing is scored then.
        """
        known = read_json(self.folder.temperatures) if self.folder.temperatures.is_file() else {}
        folds = sorted(set(self.predictions.folds.values()))
        self._fits = {str(fold): known[str(fold)] for fold in folds if self._still_holds(known.get(str(fold)), fold)}
        work = [
            Work(entry, self.predictions.files[entry.case_id], with_sample=str(self._fold(entry)) not in self._fits)
            for entry in self.cases.entries
        ]
        work = [one for one in work if one.with_sample or self._is_new(one.entry)]
        samples: dict[int, list[VoxelSample]] = {}
        problems: list[CaseError] = []
        results = self.mapped(Looking(self.predictions.class_names), work)
        for one, look in zip(work, self._shown(results, "looking at cases", len(work)), strict=True):
            if look.problem:
                problems.append(CaseError(look.problem))
            elif look.sample is not None:
                samples.setdefault(self._fold(one.entry), []).append(look.sample)
            if len(problems) == MAX_PROBLEMS:
                break
        raise_together(problems, len(self.cases.entries))
        if samples:
            self._fits |= {str(fold): self._fitted(fold, found) for fold, found in samples.items()}
            write_json(self.folder.temperatures, self._fits)

    def score(self) -> list[str]:
        """Score the cases whose label, image, prediction or temperature has changed; returns their ids."""
        work = [
            Work(entry, self.predictions.files[entry.case_id], made_from=self._made_from(entry))
            for entry in self.cases.entries
        ]
        work = [one for one in work if self._is_out_of_date(one)]
        scoring = Scoring(self.folder, self.predictions.class_names, self.with_pictures)
        for _ in self._shown(self.mapped(scoring, work), "scoring cases", len(work)):
            pass
        return [one.entry.case_id for one in work]

    def ranked(self) -> list[AuditedCase]:
        """The cases with their scores, the most suspicious first."""
        found = [(entry, self._record(entry)) for entry in self.cases.entries]
        scored = [(entry, scores_of(record), record["files"]) for entry, record in found]
        scored.sort(key=lambda one: (-one[1].suspicion, one[0].case_id))
        return [
            AuditedCase(rank, entry, self._fold(entry), scores, {**self._sources(entry), **files})
            for rank, (entry, scores, files) in enumerate(scored, start=1)
        ]

    def page_cases(self, ranked: Sequence[AuditedCase], pictures: int) -> Iterable[PageCase]:
        """Cases of the page, one by one, the first so many with pictures."""
        for case in ranked:
            kept = self.folder.pictures_of(case.scores.case_id) if case.rank <= pictures else []
            yield PageCase(case.rank, case.scores, tuple(CasePicture(*one) for one in kept), case.files)

    def temperatures(self) -> dict[str, float]:
        """Fold -> its temperature."""
        return {fold: fit["temperature"] for fold, fit in sorted(self._fits.items())}

    def remarks(self) -> list[str]:
        """Sentences about what was found odd."""
        records = [self._record(entry) for entry in self.cases.entries]
        seen = {number for record in records for number in record["classes"]}
        lacking = [name for i, name in enumerate(self.predictions.class_names) if i and i not in seen]
        sentences = [f"No label has the class {name}: where it is predicted, it counts as missing." for name in lacking]
        sentences += [_unfitted(fold, fit["usable"]) for fold, fit in sorted(self._fits.items()) if fit["fit"] is None]
        if len(records) == 1:
            sentences.append("There is one case, and nothing to rank it against: see its findings, not its suspicion.")
        one_hot = sum(record["one_hot"] for record in records)
        if one_hot:
            sentences.append(
                f"The probabilities of {one_hot} of {len(records)} cases are 0 or 1 everywhere: nothing can be "
                "calibrated, and doubt cannot be told from certainty. Save what the softmax gives."
            )
        agreed = [dice for record in records if (dice := record["scores"]["measures"]["dice"]) is not None]
        if agreed and median(agreed) < _LEAST_DICE:
            sentences.append(
                f"The median Dice of predictions and labels is {median(agreed):.2f}: the networks have not learnt the "
                "task, so they say little about its labels. Train longer, or look at the data first (monai-iel check)."
            )
        sentences += [record["remark"] for record in records if record["remark"]]
        edited = self.folder.edited_proposals(record["files"].get("proposal", "") for record in records)
        if edited:
            more = f" and {len(edited) - _SHOWN} more" if len(edited) > _SHOWN else ""
            sentences.append(
                f"Proposals that were edited are kept: {', '.join(edited[:_SHOWN])}{more}. No label is made from them: "
                "save what is right as the label, then delete them."
            )
        return sentences

    def _fold(self, entry: AuditEntry) -> int:
        return self.predictions.folds[entry.case_id]

    def _record(self, entry: AuditEntry) -> dict[str, Any]:
        record = self.folder.load_record(entry.case_id)
        if record is None:
            raise FileNotFoundError(
                f"{self.folder.path}: files of case {entry.case_id!r} were removed meanwhile; run the audit again"
            )
        return record

    def _still_holds(self, known: Mapping[str, Any] | None, fold: int) -> bool:
        """Whether a temperature was fitted to at least half of the predictions that there are now."""
        if known is None or known["fit"] is None or known["fit"]["cases"] < _LEAST_CASES:
            return False
        now = [case_id for case_id, number in self.predictions.folds.items() if number == fold]
        same = sum(known["fitted_to"].get(case_id) == self._prediction(case_id) for case_id in now)
        return 2 * same >= max(len(now), len(known["fitted_to"]))

    def _fitted(self, fold: int, samples: Sequence[VoxelSample]) -> dict[str, Any]:
        usable = sum(len(np.unique(sample.classes)) > 1 for sample in samples)
        fit = fit_temperature(samples).record() if usable >= _LEAST_CASES else None
        now = [case_id for case_id, number in self.predictions.folds.items() if number == fold]
        return {
            # More digits would depend on the number of threads.
            "temperature": 1.0 if fit is None else round(fit["temperature"], 3),
            "fit": fit,
            "usable": usable,
            "fitted_to": {case_id: self._prediction(case_id) for case_id in now},
        }

    def _is_new(self, entry: AuditEntry) -> bool:
        """Whether the label, the image or the prediction are others than those that were scored."""
        record = self.folder.load_record(entry.case_id)
        now = self._sources_now[entry.case_id]
        return record is None or any(record["made_from"].get(name) != value for name, value in now.items())

    def _prediction(self, case_id: str) -> str:
        return self._sources_now[case_id]["prediction"]

    def _made_from(self, entry: AuditEntry) -> dict[str, Any]:
        return {
            "version": __version__,
            **self._sources_now[entry.case_id],
            "temperature": self._fits[str(self._fold(entry))]["temperature"],
            "class_names": list(self.predictions.class_names),
            "name": f"{entry.name}{entry.suffix}",
        }

    def _is_out_of_date(self, work: Work) -> bool:
        record = self.folder.load_record(work.entry.case_id)
        if self.with_pictures and not self.folder.has_pictures(work.entry.case_id):
            return True
        return record is None or record["made_from"] != work.made_from

    def _sources(self, entry: AuditEntry) -> dict[str, str]:
        prediction = shown_path(Path(self.predictions.files[entry.case_id]), self.folder.path)
        return {"image": str(entry.image), "label": str(entry.label.path), "prediction": prediction}

    def _shown(self, results: Iterable[Result], what: str, total: int) -> Iterable[Result]:
        bar: Iterable[Result] = tqdm(results, what, total, unit="case", disable=not self.progress or not total)
        return bar


def _unfitted(fold: str, usable: int) -> str:
    """Why a temperature is 1."""
    if usable == 0:
        return f"Each label of fold {fold} is of one class, so that no temperature was fitted; it is 1."
    number = "one case" if usable == 1 else f"{usable} cases"
    return (
        f"Fold {fold} has {number} to calibrate by, fewer than {_LEAST_CASES}: a temperature would be fitted to the "
        "very labels under judgement, so it is 1, and the probabilities are taken as they are."
    )
