"""The audit of a data set: from a data list to a worklist."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from monai_iel import __version__
from monai_iel.audit.case import CaseScores
from monai_iel.audit.case_list import AuditList
from monai_iel.audit.outputs import AuditedCase, write_tables
from monai_iel.audit.page import PAGE, write_page
from monai_iel.audit.quality import require_cleanlab
from monai_iel.audit.run_folder import AuditFolder
from monai_iel.audit.sources import FoldNetworks, GivenPredictions, Source
from monai_iel.audit.steps import Steps
from monai_iel.files import digest
from monai_iel.locks import locked
from monai_iel.processes import map_in_order
from monai_iel.report import Worklist

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Args:
        folder: the output folder.
        cases: the worklist, the most suspicious case first.
        notes: sentences about what a reader should know: networks older than the labels, classes that nobody labelled.
        computed: ids of the cases that this call has scored; of the others the scores of an earlier call hold.
        removed: ids of cases of an earlier call that are not in the list any more.
    """

    folder: Path
    cases: tuple[AuditedCase, ...]
    notes: tuple[str, ...]
    computed: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def scores(self) -> list[CaseScores]:
        """The scores, in the order of the worklist."""
        return [case.scores for case in self.cases]

    @property
    def worklist(self) -> Path:
        """The worklist as a table."""
        return self.folder / "worklist.csv"

    @property
    def report(self) -> Path:
        """The worklist as a page."""
        return self.folder / PAGE


def audit(
    datalist: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    bundle: str | None = None,
    predictions: str | os.PathLike[str] | None = None,
    overlays: Sequence[str] = (),
    folds: int = 3,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    epoch: Literal["last", "best"] = "last",
    retrain: bool = False,
    sections: Sequence[str] = ("training",),
    group_key: str = "patient",
    pictures: int = 300,
    workers: int = 1,
    progress: bool = True,
    roots: Sequence[str | os.PathLike[str]] | None = None,
) -> Audit:
    """Rank the annotations of a data set by how probably they are wrong, and say where and why.

    Each case is judged by networks that never saw its annotation: those of ``bundle``, trained here on the other folds,
    or those behind ``predictions``, of which the caller has to know it. The folder gets

    - ``worklist.csv`` and ``worklist.json``: cases by suspicion, with reasons, measures and files; ``slices.csv``;
    - ``report.html``, to work through them;
    - ``error_maps/``: the probability that the annotated class is wrong, with the geometry of the label;
    - ``proposals/``: the labels with the predictions in place of what is disputed, only where something is. They are
      to be looked at; no label is ever changed;
    - ``fold-N/``: network and probabilities; ``folds.json``, ``run.json``.

    A run that was killed goes on where it was. Called again after labels were corrected, cases added or removed, it
    brings the folder up to date: scored again are the cases whose label or prediction has changed. The prediction of a
    case does not depend on its own label, so networks are kept although labels of other folds have changed; a note
    says so, and ``retrain`` trains those again. The temperature of a fold is kept while at least half of the
    predictions that it was fitted to are the same.

    **What this cannot find**: errors that most annotations share, since the networks learn them.

    Args:
        datalist: a Decathlon ``dataset.json``; see `load_datalist`.
        out: the output folder; it may not hold images or labels of the list.
        bundle: name of a bundle, see `monai_iel.resources.BUNDLES`.
        predictions: or a folder of probabilities as NIfTI, see `find_predictions` and `read_probabilities`.
        overlays: of the bundle: of the data, of an IEL; names or files.
        folds: number of networks; a case is predicted by the one that was trained without it.
        seed: of the trainings.
        settings: further config ids of the bundle and their values.
        epoch: whose network predicts: the last one, or the best of the validation on a tenth of the training's cases.
        retrain: train the networks again that were trained on other labels or cases than there are now.
        sections: lists whose labels are audited.
        group_key: key of the list's entries; cases with the same value are in one fold.
        pictures: most cases that are shown with pictures, 10 to 60 kB each.
        workers: number of processes that score. Each holds one case. Above 1 a script needs
            ``if __name__ == "__main__":``.
        progress: show progress bars.
        roots: folders outside that of the list in which files may lie; see `load_datalist`.

    Raises:
        FileExistsError: ``out`` holds another run (the message says what differs), other files, or a label, or another
            audit is running in it.
        FileNotFoundError: the data list, a file that it names, or predictions of a case are not there.
        OSError: nothing can be written to ``out``.
        ValueError: an argument is out of range, there are too few cases, or, as ``CaseError``, labels or predictions
            cannot be used: another geometry or number of classes, no probabilities. Up to 20 cases are named, and
            none is scored.
        ImportError: cleanlab, jinja2 or matplotlib is missing.

    Example::

        >>> import tempfile
        >>> import nibabel, numpy as np
        >>> from monai_iel.data import make_phantom_dataset
        >>> folder = Path(tempfile.mkdtemp())
        >>> sizes = {"num_training": 2, "num_validation": 1, "num_test": 1}
        >>> source = make_phantom_dataset(folder / "data", shape=(24, 28, 20), **sizes)
        >>> for path in sorted((folder / "data").glob("labelsTr/*")):  # as if predicted
        ...     label = nibabel.load(path)
        ...     seen = np.eye(5, dtype=np.float32)[np.asarray(label.dataobj)] * 0.9 + 0.02
        ...     nibabel.save(nibabel.Nifti1Image(seen, label.affine), folder / path.name)
        >>> result = audit(source, folder / "audit", predictions=folder, progress=False)
        >>> [round(case.scores.measures["dice"], 3) for case in result.cases], result.worklist.name
        ([1.0, 1.0], 'worklist.csv')
    """
    _check_arguments(bundle, predictions, overlays, settings, epoch, retrain)
    if pictures < 0:
        raise ValueError(f"pictures is {pictures}, expected 0 or more")
    require_cleanlab()
    Worklist("", columns=(), tags=())  # refuses to begin without what the page needs
    cases = AuditList(Path(datalist), sections, group_key=group_key, roots=roots)
    source: Source
    if bundle is None:
        assert predictions is not None
        source = GivenPredictions(cases, Path(os.path.abspath(predictions)))
    else:
        source = FoldNetworks(
            cases, bundle, tuple(overlays), folds, seed, dict(settings or {}), _WEIGHTS[epoch], retrain
        )
    source.check()
    asked = {"datalist": str(cases.path), "group_key": group_key, **source.asked()}
    files = (path for entry in cases.entries for path in (entry.image, entry.label.path))
    with (
        map_in_order(workers) as mapped,
        _alone_in(AuditFolder(Path(os.path.abspath(out)), asked, files)) as folder,
    ):
        digests = {entry.case_id: digest(entry.label.path) for entry in cases.entries}
        try:
            folder.begin()
            found = source.predict(digests, folder.path, progress)
            steps = Steps(cases, folder, found, digests, mapped, with_pictures=pictures > 0, progress=progress)
            steps.look()
        except ValueError:  # the next attempt may have other settings, and could not use the folder
            folder.abandon()
            raise
        removed = folder.forget_others(cases.entries)  # before others are written, which may have the same names
        computed = steps.score()
        ranked = steps.ranked()
        notes = [*found.notes, *steps.remarks()]
        about = {"made_by": "monai_iel", "version": __version__, **asked, "temperatures": steps.temperatures()}
        write_tables(folder.path, ranked, {**about, "notes": notes})
        title = f"Label audit: {cases.title}"
        write_page(folder.path, steps.page_cases(ranked, pictures), details=_details(about, notes), title=title)
        folder.sweep()
    return Audit(folder.path, tuple(ranked), tuple(notes), tuple(computed), tuple(removed))


_WEIGHTS = {"last": "model_last.pt", "best": "model.pt"}


def _check_arguments(
    bundle: str | None,
    predictions: str | os.PathLike[str] | None,
    overlays: Sequence[str],
    settings: Mapping[str, Any] | None,
    epoch: str,
    retrain: bool,
) -> None:
    if (bundle is None) == (predictions is None):
        raise ValueError("give either a bundle, whose networks are trained here, or a folder of predictions")
    if predictions is not None and (retrain or overlays or settings):
        raise ValueError("predictions are given, so nothing is trained: leave retrain, overlays and settings out")
    if epoch not in _WEIGHTS:
        raise ValueError(f"epoch is {epoch!r}, expected 'last' or 'best'")


@contextmanager
def _alone_in(folder: AuditFolder) -> Iterator[AuditFolder]:
    """Keep other audits out of a folder for as long as this one runs.

    Raises:
        FileExistsError: another is running there.
    """
    with locked(folder.lock_file, wait=False) as is_mine:
        if not is_mine:
            raise FileExistsError(
                f"{folder.path}: another audit is running in this folder; let it end, or give another folder"
            )
        yield folder.look_again()


def _details(about: Mapping[str, Any], notes: Sequence[str]) -> dict[str, object]:
    """What the page says of the whole."""
    told = {f"note {number}": note for number, note in enumerate(notes, start=1)}
    return {**{name: _in_a_line(value) for name, value in about.items()}, **told}


def _in_a_line(value: object) -> object:
    """As it is said on the page, mappings and lists too."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {one}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value
