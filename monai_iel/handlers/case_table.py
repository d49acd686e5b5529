"""One table of an evaluation: a row per case and class, a column per metric, and a summary beside it."""

from __future__ import annotations

import csv
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import string_list_all_gather

from monai_iel.files import write_text

from ._summary import Values, summarise

__all__ = ["CaseTableHandler"]


class CaseTableHandler:
    """Writes the per-case values of all metrics of an evaluation into one CSV file, and their summary into a JSON file.

    MONAI's ``MetricsSaver`` writes a file per metric; here they stand side by side, in the long form that pandas and
    spreadsheets group and plot:

    .. code-block:: text

        case_id,class,dice,hd95_mm,hd95_missed,surface_dice,ece
        case_01,anterior,0.91,1.41,0,0.98,0.012
        case_01,posterior,0.88,2.24,0,0.95,0.012

    The values are those that metric handlers with ``save_details=True`` leave in ``engine.state.metric_details``. A
    metric with one value per case (``ece``) is **repeated** in each row of the case: every case has the same number of
    rows, so plain means over the column are right. NaN is an empty cell.

    The summary holds for every metric the mean over the classes of a case and then over cases, leaving out NaN (the
    ``"mean"`` of MONAI), the standard deviation and median over cases, the number of cases behind them, and the same
    for each class; for ``counts`` the sums. ``null`` stands for what is not finite.

    Attach it after the metrics (``val_handlers`` of a MONAI evaluator are). Every run of the evaluator replaces both
    files. In a distributed evaluation all ranks take part and ``save_rank`` writes; use a sampler that pads no cases
    (``even_divisible=False``), or cases appear twice.

    Args:
        output_dir: folder of the two files; made where it is missing.
        filename: of the table.
        summary_filename: of the summary.
        case_key: where the case id is in each item of ``engine.state.batch``.
        batch_transform: gets the list of case ids from ``engine.state.batch`` instead.
        class_names: names of the network's channels **with** the background (channel 0). A metric with one column less
            leaves the background out; with one column it is taken for a value per case, so with two channels give all
            metrics the same ``include_background``. Without names the classes are numbered, in the belief that the
            metrics leave out the background unless some have a column more than others.
        metrics: names of the metrics to write, ``None`` for all. Only those with values of shape ``case x class`` can
            be.
        counts: names of the metrics to sum up instead of averaging them; unknown names are ignored.
        save_rank: the rank that writes.

    Raises:
        ValueError: for an empty file name or a negative ``save_rank``; while running for a batch without ``case_key``,
            case ids that do not match the values in number, metrics whose columns do not fit the classes, or a rank
            that does not exist.

    Example (2D; 3D differs in nothing but the shape of the batches):

        >>> import tempfile
        >>> from monai_iel.handlers import MissCountHandler, PhysicalHausdorffDistanceHandler
        >>> from monai.handlers import from_engine
        >>> folder = tempfile.mkdtemp()
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> pair = from_engine(["pred", "label"])
        >>> PhysicalHausdorffDistanceHandler(output_transform=pair).attach(evaluator, "hd95_mm")
        >>> MissCountHandler(output_transform=pair).attach(evaluator, "hd95_missed")
        >>> CaseTableHandler(folder, class_names=["background", "cell"]).attach(evaluator)
        >>> label = torch.zeros(2, 8, 8)
        >>> label[1, 2] = 1
        >>> batch = [{"case_id": "a", "pred": torch.roll(label, 2, dims=1), "label": label}]
        >>> _ = evaluator.run([batch])
        >>> print(Path(folder, "cases.csv").read_text().strip())
        case_id,class,hd95_mm,hd95_missed
        a,cell,2,0
        >>> json.loads(Path(folder, "summary.json").read_text())["counts"]
        {'hd95_missed': {'sum': 0, 'classes': {'cell': 0}}}
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        filename: str = "cases.csv",
        summary_filename: str = "summary.json",
        case_key: str = "case_id",
        batch_transform: Callable[[Any], Sequence[object]] | None = None,
        class_names: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        counts: Sequence[str] = ("hd95_missed",),
        save_rank: int = 0,
    ) -> None:
        if not filename or not summary_filename or filename == summary_filename:
            raise ValueError(
                f"filename is {filename!r}, summary_filename {summary_filename!r}; expected two file names."
            )
        if save_rank < 0:
            raise ValueError(f"save_rank is {save_rank}; expected 0 or more.")
        self.output_dir = Path(output_dir)
        self.filename = filename
        self.summary_filename = summary_filename
        self.case_key = case_key
        self.batch_transform = batch_transform
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        self.metrics = None if metrics is None else list(metrics)
        self.counts = tuple(counts)
        self.save_rank = save_rank
        self._case_ids: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator, whose metrics must be attached already."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _start(self, _engine: Engine) -> None:
        self._case_ids = []

    def _collect(self, engine: Engine) -> None:
        batch = engine.state.batch
        ids = self.batch_transform(batch) if self.batch_transform is not None else self._ids_by_key(batch)
        self._case_ids.extend(str(i) for i in ids)

    def _ids_by_key(self, batch: Any) -> Sequence[object]:
        items = [batch] if isinstance(batch, Mapping) else batch
        for item in items:
            if not isinstance(item, Mapping) or self.case_key not in item:
                held = sorted(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
                raise ValueError(
                    f"a batch item has no key {self.case_key!r} (it has {held}); give every item of the data list a "
                    "case id, or set case_key or batch_transform."
                )
        if not isinstance(batch, Mapping):
            return [item[self.case_key] for item in batch]
        ids = batch[self.case_key]
        return [ids] if isinstance(ids, str) else list(ids)

    def _write(self, engine: Engine) -> None:
        world = idist.get_world_size()
        if self.save_rank >= world:
            raise ValueError(f"save_rank is {self.save_rank}, but there are only {world} processes.")
        # Every rank must take part in the gathering, also where only one writes.
        case_ids = string_list_all_gather(strings=self._case_ids) if world > 1 else list(self._case_ids)
        if idist.get_rank() != self.save_rank:
            return
        duplicates = len(case_ids) - len(set(case_ids))
        if duplicates:
            warnings.warn(
                f"{duplicates} case ids appear more than once in {self.filename}: give unique ids, and in a "
                "distributed evaluation a sampler that pads no cases (even_divisible=False).",
                stacklevel=2,
            )
        values = self._values(getattr(engine.state, "metric_details", {}), len(case_ids))
        classes = self._classes(values)
        table = {name: _spread(v, classes) for name, v in values.items()}
        write_text(self.output_dir / self.filename, _csv(case_ids, classes, table))
        summary = summarise(len(case_ids), classes, values, table, self.counts)
        text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_text(self.output_dir / self.summary_filename, text)

    def _values(self, details: Mapping[str, Any], num_cases: int) -> dict[str, Values]:
        names = list(details) if self.metrics is None else self.metrics
        missing = [name for name in names if name not in details]
        if missing or not names:
            raise ValueError(
                f"no values per case for {missing or 'any metric'}; engine.state.metric_details has "
                f"{sorted(details)}. Attach the metrics with save_details=True, and before this handler."
            )
        return {name: _matrix(name, details[name], num_cases) for name in names}

    def _classes(self, values: Mapping[str, Values]) -> list[str]:
        """The classes that have rows: all channels if some metric measured the background, else those without it."""
        widths = {name: v.shape[1] for name, v in values.items()}
        widest = max(widths.values())
        if self.class_names is None:
            with_background = widest - 1 in widths.values() and widest > 2
            names = [str(i) for i in range(widest if with_background else widest + 1)]
        else:
            names = self.class_names
        foreground = names[1:] if len(names) > 1 else names
        rows = names if widest == len(names) else foreground
        wrong = {name: w for name, w in widths.items() if w not in (1, len(foreground), len(rows))}
        if wrong:
            raise ValueError(
                f"columns per metric {wrong} do not fit the {len(names)} classes {names}: expected 1, "
                f"{len(foreground)} (without background) or {len(names)}. Give class_names for all channels."
            )
        return rows


def _matrix(name: str, detail: Any, num_cases: int) -> Values:
    if not isinstance(detail, (torch.Tensor, np.ndarray)):
        raise ValueError(
            f"metric {name!r} left a {type(detail).__name__} in metric_details, not a tensor; name those "
            "to write by metrics=[...]."
        )
    array = detail.detach().cpu().numpy() if isinstance(detail, torch.Tensor) else detail
    values = np.asarray(array, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[0] != num_cases:
        raise ValueError(
            f"metric {name!r} has values of shape {values.shape} for {num_cases} case ids; expected a row per case and "
            "one column per class: name the metrics that fit by metrics=[...], or mend case_key / batch_transform."
        )
    return values


def _spread(values: Values, classes: Sequence[str]) -> Values:
    """``case x class`` with a column for each row of the table: repeated per case, NaN for a background left out."""
    width, wanted = values.shape[1], len(classes)
    if width == 1:
        return np.repeat(values, wanted, axis=1)
    if width == wanted - 1:
        return np.hstack([np.full((len(values), 1), np.nan), values])
    return values


def _csv(case_ids: Sequence[str], classes: Sequence[str], table: Mapping[str, Values]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["case_id", "class", *table])
    for i, case_id in enumerate(case_ids):
        for j, name in enumerate(classes):
            cells = [float(values[i, j]) for values in table.values()]
            writer.writerow([case_id, name, *("" if math.isnan(v) else f"{v:.6g}" for v in cells)])
    return buffer.getvalue()
