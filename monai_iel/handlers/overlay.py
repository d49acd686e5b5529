"""TensorBoard pictures of a validation: slices with the outlines of label and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.handlers import from_engine
from monai.handlers.tensorboard_handlers import TensorBoardHandler
from numpy.typing import NDArray

from monai_iel.visualize import OKABE_ITO, PictureOrientation, best_slice, outline_overlay, take_slice

__all__ = ["SegmentationOverlayHandler"]

_LEGIBLE = 256  # pixels that the shorter side of a picture should have


def _same(epoch: int) -> int:
    return epoch


class SegmentationOverlayHandler(TensorBoardHandler):
    """Writes pictures of the first cases of every validation to TensorBoard: image, outlines of label and prediction.

    The label's outline is blue (``OKABE_ITO["sky blue"]``), the prediction's orange and on top. In 3D the slice with
    the most label is shown, or the most prediction where the label is empty. The cases are the first ones of the run on
    this process, so that without shuffling the same cases can be followed over epochs; in a distributed run rank 0
    writes.

    Labels and predictions may be class maps (one channel) or one-hot maps and scores (several channels, of which the
    largest wins); overlapping (multi-label) channels cannot be shown as one outline. Image, label and prediction must
    be on one grid: invert or resample all of them, or none.

    Args:
        summary_writer: a ``SummaryWriter``; by default one is opened in ``log_dir``.
        log_dir: folder for the writer that is opened.
        batch_transform: gets ``(images, labels)`` from ``engine.state.batch``, each a batch or a list of channel-first
            items.
        output_transform: gets the predictions from ``engine.state.output`` likewise.
        max_cases: how many cases are shown.
        interval: pictures are written in epochs that are a multiple of it.
        tag: name in TensorBoard; case ``i`` is ``tag/i``.
        global_epoch_transform: makes the global step of the evaluator's epoch. MONAI's ``ValidationHandler`` runs
            evaluators with the trainer's epoch already, so the default fits there.
        slice_axis: spatial axis across which 3D slices are taken; the last one gives axial slices in RAS.
        orientation: of the picture, see :func:`~monai_iel.visualize.take_slice`.

    Raises:
        ValueError: for ``max_cases`` or ``interval`` below 1; while running for shapes that differ, or class maps of
            fractions.
        RuntimeError: where TensorBoard is not installed (MONAI's).

    Example (2D and 3D):

        >>> class Writer:
        ...     def add_image(self, tag, picture, step, dataformats):
        ...         print(tag, picture.shape, step)
        >>> handler = SegmentationOverlayHandler(Writer(), max_cases=1)
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> handler.attach(evaluator)
        >>> item = {"image": torch.rand(1, 64, 32), "label": torch.ones(1, 64, 32), "pred": torch.rand(2, 64, 32)}
        >>> _ = evaluator.run([[item]])
        overlay/0 (256, 512, 3) 1
        >>> item = {key: value[..., None].expand(-1, 64, 32, 8) for key, value in item.items()}
        >>> _ = evaluator.run([[item]])
        overlay/0 (256, 512, 3) 1
    """

    def __init__(
        self,
        summary_writer: Any = None,
        log_dir: str | Path = "./runs",
        *,
        batch_transform: Callable[[Any], Any] | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        max_cases: int = 4,
        interval: int = 1,
        tag: str = "overlay",
        global_epoch_transform: Callable[[int], int] = _same,
        slice_axis: int = -1,
        orientation: PictureOrientation | None = None,
    ) -> None:
        for name, value in (("max_cases", max_cases), ("interval", interval)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected 1 or more.")
        super().__init__(summary_writer=summary_writer, log_dir=str(log_dir))
        self.batch_transform = batch_transform or from_engine(["image", "label"])
        self.output_transform = output_transform or from_engine("pred")
        self.max_cases = max_cases
        self.interval = interval
        self.tag = tag
        self.global_epoch_transform = global_epoch_transform
        self.slice_axis = slice_axis
        self.orientation = orientation
        self._pictures: list[NDArray[np.uint8]] = []

    def attach(self, engine: Engine) -> None:
        """Listen to an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _start(self, _engine: Engine) -> None:
        self._pictures = []

    def _step(self, engine: Engine) -> int:
        return int(self.global_epoch_transform(engine.state.epoch))

    def _collect(self, engine: Engine) -> None:
        wanted = self.max_cases - len(self._pictures)
        if wanted < 1 or idist.get_rank() != 0 or self._step(engine) % self.interval:
            return
        images, labels = self.batch_transform(engine.state.batch)
        preds = _only(self.output_transform(engine.state.output))
        for i in range(min(wanted, len(images))):
            self._pictures.append(
                self._picture(_array(images[i]), _class_map("label", labels[i]), _class_map("pred", preds[i]))
            )

    def _write(self, engine: Engine) -> None:
        for i, picture in enumerate(self._pictures):
            self._writer.add_image(f"{self.tag}/{i}", picture, self._step(engine), dataformats="HWC")
        if self._pictures and hasattr(self._writer, "flush"):
            self._writer.flush()
        self._pictures = []

    def _picture(self, image: NDArray[Any], label: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.uint8]:
        shapes = {"image": image.shape[1:], "label": label.shape, "pred": pred.shape}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"image, label and pred are on different grids: {shapes}. Invert or resample all three, or let "
                "batch_transform and output_transform pick those that belong together."
            )
        index = None
        if label.ndim == 3:
            index = best_slice(label if label.any() else pred, axis=self.slice_axis)

        def plane(volume: NDArray[Any]) -> NDArray[Any]:
            return take_slice(volume, axis=self.slice_axis, index=index, orientation=self.orientation)

        # Three channels of a photograph are RGB; channels of a volume are modalities, of which the first is shown.
        colour = image.shape[0] == 3 and image.ndim == 3
        background = np.stack([plane(c) for c in image], axis=-1) if colour else plane(image[0])
        masks: Mapping[str, NDArray[Any]] = {"label": plane(label), "pred": plane(pred)}
        colours = {"label": OKABE_ITO["sky blue"], "pred": OKABE_ITO["orange"]}
        return outline_overlay(background, masks, colours=colours, scale=-(-_LEGIBLE // min(background.shape[:2])))


def _only(value: Any) -> Any:
    """``from_engine("pred")`` gives a one-tuple for a batch as a dictionary, and a list for decollated items."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, torch.Tensor):
        plain = value.as_tensor() if isinstance(value, MetaTensor) else value
        plain = plain.detach().cpu()
        return np.asarray(plain.float() if plain.is_floating_point() else plain)
    return np.asarray(value)


def _class_map(name: str, value: Any) -> NDArray[Any]:
    array = _array(value)
    if array.ndim not in (3, 4):
        raise ValueError(f"{name} has shape {array.shape}; expected C H W or C H W D for each case.")
    if array.shape[0] > 1:
        return np.asarray(array.argmax(axis=0))
    whole = np.rint(array[0])
    if not np.array_equal(whole, array[0]):
        raise ValueError(
            f"{name} has one channel and holds fractions (from {array.min():g} to {array.max():g}); discretise it "
            "first: AsDiscreted(threshold=0.5) for probabilities."
        )
    return whole.astype(np.int64)
