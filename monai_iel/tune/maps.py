"""Class maps of held-out cases, kept on disc so that two networks can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events

from monai_iel.data.settings_folder import hashed_name
from monai_iel.files import writing

__all__ = ["ClassMapHandler", "agreement"]


class ClassMapHandler:
    """Writes prediction and label of every case of an evaluation as class maps, a compressed ``.npz`` each.

    On the grid that the network sees. Not for handing on: the bundle's ``inference.yaml`` writes label maps on the grid
    of the images.

    Args:
        output_dir: folder of the files; it is made.

    Shape:
        - ``pred`` and ``label`` of each item of ``engine.state.output``: one-hot, ``C H W [D]``.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> mask = torch.nn.functional.one_hot(torch.arange(4).reshape(2, 2) // 2, 2).movedim(-1, 0)
        >>> evaluator = Engine(lambda engine, batch: [{"pred": mask, "label": mask}])
        >>> ClassMapHandler(folder).attach(evaluator)
        >>> _ = evaluator.run([{"case_id": ["a"]}])
        >>> agreement(folder, folder)
        {'a': 1.0}
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator whose output is post-processed."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        batch = engine.state.batch
        ids = [item["case_id"] for item in batch] if isinstance(batch, list) else list(batch["case_id"])
        for case_id, item in zip(ids, engine.state.output, strict=True):
            pred, label = (_classes(item[key]) for key in ("pred", "label"))
            with writing(self.output_dir / f"{hashed_name(case_id)}.npz") as stream:
                np.savez_compressed(stream, case_id=np.array(case_id), pred=pred, label=label)


def _classes(one_hot: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return torch.as_tensor(one_hot).argmax(0).cpu().numpy().astype(np.uint16)


def agreement(first: Path, second: Path) -> dict[str, float]:
    """Mean Dice between the predictions of two networks by case id, over the classes that the case's label holds.

    A class that neither predicts counts as agreed. Cases whose label holds no class are left out.

    Args:
        first: folder that `ClassMapHandler` has written.
        second: that of another network, for the same cases.

    Raises:
        ValueError: the folders hold different cases.
    """
    names = [{path.name for path in folder.glob("*.npz")} for folder in (first, second)]
    if names[0] != names[1]:
        raise ValueError(f"{first} and {second} hold the maps of different cases; evaluate both on the same ones")
    found = {}
    for name in sorted(names[0]):
        with np.load(first / name, allow_pickle=False) as one, np.load(second / name, allow_pickle=False) as other:
            case_id, label, a, b = str(one["case_id"]), one["label"], one["pred"], other["pred"]
        scores = [_dice(a == number, b == number) for number in np.unique(label) if number]
        if scores:
            found[case_id] = float(np.mean(scores))
    return found


def _dice(
    a: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], b: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> float:
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0
