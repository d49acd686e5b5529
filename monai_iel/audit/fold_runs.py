"""The network of a fold: trained through the bundle on the other folds' cases, and what it predicts for its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_iel.audit.case_list import AuditEntry
from monai_iel.audit.folds import validation_groups
from monai_iel.data import write_datalist
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.study import BundleRun
from monai_iel.study.runs import label_map_of, written_stem

__all__ = ["OWN_SETTINGS", "FoldRun", "Since", "check_image_names"]

OWN_SETTINGS = ("dataset_json", "seed", "output_dir", "checkpoint", "resume", "images", "data_root_dir", "output_ext")
"""Config ids that an audit sets, and a user cannot."""

_PROBABILITIES = "probabilities"  # the overlay


@dataclass(frozen=True)
class Since:
    """What is different from when a network was trained; case ids.

    Args:
        changed: their labels are others now.
        added: they were not there.
        removed: they are not there any more.
    """

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed)


@dataclass(frozen=True)
class FoldRun:
    """A fold with its network.

    ``network.json`` in its folder says what the network was trained on; it is there only while the training is
    complete. That decides whether to train, not the training's own record, which changes whenever a label file does.
    Cases are known by their images' digests as well as by their ids, since these can be given anew.
    ``training.json`` says the same of a training that was begun, so that one of other cases is not gone on with.

    Args:
        run: bundle, overlays, settings and folder.
        held_out: the fold's cases, which the network never sees.
        others: those it learns from.
        digests: case id -> digest of its label as it is now.
        images: case id -> digest of its image.
        class_names: for the data list.
        channel_names: for the data list.
        weights: file of the network.
    """

    run: BundleRun
    held_out: Sequence[AuditEntry]
    others: Sequence[AuditEntry]
    digests: Mapping[str, str]
    images: Mapping[str, str]
    class_names: Sequence[str]
    channel_names: Sequence[str]
    weights: str = "model_last.pt"

    @cached_property
    def _record(self) -> Path:
        return self.run.folder / "network.json"

    def is_trained(self) -> bool:
        """Whether there is a network, of which is known what it was trained on."""
        if not self._record.is_file() or not (self.run.folder / "train" / self.weights).is_file():
            return False
        return all("image" in one for one in self._trained_on().values())

    def what_it_saw(self) -> str:
        """What the network saw of the held-out cases, in training or in validation: in words, empty if nothing.

        That is their images, whatever ids these had, and other cases of their groups.
        """
        now = (*self.held_out, *self.others)
        group_of_id = {entry.case_id: entry.group for entry in now}
        group_of_image = {self.images[entry.case_id]: entry.group for entry in now}
        held_out = {self.images[entry.case_id]: entry.case_id for entry in self.held_out}
        judged = {entry.group for entry in self.held_out}
        for case_id, one in self._trained_on().items():
            same = held_out.get(one["image"])
            if same is not None:
                return f"the image of case {same!r}" + (f", as {case_id!r}" if same != case_id else "")
            group = group_of_id.get(case_id, one["group"])
            found = {group, group_of_image.get(one["image"], group)} & judged
            if found:
                return f"case {case_id!r}, which belongs together with cases of this fold ({found.pop()!r})"
        return ""

    def is_usable(self) -> bool:
        """Whether there is a network that may judge the held-out cases."""
        return self.is_trained() and not self.what_it_saw()

    def since(self) -> Since:
        """What has changed since the network was trained."""
        trained, now = self._trained_on(), {entry.case_id for entry in self.others}
        return Since(
            changed=tuple(i for i, one in trained.items() if i in now and one["label"] != self.digests[i]),
            added=tuple(entry.case_id for entry in self.others if entry.case_id not in trained),
            removed=tuple(i for i in trained if i not in now),
        )

    def train(self) -> None:
        """Train a network, or go on with a training of the same cases and labels that was interrupted."""
        self._record.unlink(missing_ok=True)
        train = self.run.folder / "train"
        if not (train / self.weights).is_file():
            (train / "finished.json").unlink(missing_ok=True)
        validated = validation_groups(self.others)
        sections = {
            "training": [entry for entry in self.others if entry.group not in validated],
            "validation": [entry for entry in self.others if entry.group in validated],
        }
        entries = {name: [_written(entry) for entry in chosen] for name, chosen in sections.items()}
        path = write_datalist(
            self.run.folder / "dataset.json",
            name=self.run.folder.name,
            labels=self.class_names,
            channel_names=self.channel_names,
            training=entries["training"],
            validation=entries["validation"],
            test=[],
        )
        # What the file beside the list allows does not count where the variable for it is set.
        folders = tuple(sorted({str(Path(file).parent) for one in entries.values() for e in one for file in _files(e)}))
        roots = {f"{part}#cases#roots": folders for part in ("train", "validate")}
        own = {"dataset_json": str(path), "check_data": "files", **self.run.settings, **roots}
        trained_on = {e.case_id: self._known_of(e, name) for name, chosen in sections.items() for e in chosen}
        begun = self.run.folder / "training.json"
        if not begun.is_file() or _contents(read_json(begun)["trained_on"]) != _contents(trained_on):
            # Files can have changed places without another size or time, by which the training would know them.
            for name in ("finished.json", "begun.json"):
                (train / name).unlink(missing_ok=True)
        write_json(begun, {"trained_on": trained_on})
        replace(self.run, settings=own).train(resume=True)
        write_json(self._record, {"weights": self.weights, "trained_on": trained_on})

    def predict(self) -> dict[str, Path]:
        """Predict the held-out cases that are not predicted yet; returns files of probabilities by case id."""
        settings = {k: v for k, v in self.run.settings.items() if not k.startswith(("train#", "validate#"))}
        images = [str(image) for image in dict.fromkeys(entry.image for entry in self.held_out)]
        root = Path(images[0]).anchor  # so that places in the folder do not depend on which images there are
        run = replace(self.run, settings=settings)
        folder = run.segment(images, weights=self.weights, overlays=[_PROBABILITIES], root=root)
        return {entry.case_id: label_map_of(str(entry.image), images, folder, root) for entry in self.held_out}

    def _known_of(self, entry: AuditEntry, section: str) -> dict[str, str]:
        label, image = self.digests[entry.case_id], self.images[entry.case_id]
        return {"section": section, "group": entry.group, "label": label, "image": image}

    def _trained_on(self) -> dict[str, Any]:
        return dict(read_json(self._record)["trained_on"])


def check_image_names(entries: Sequence[AuditEntry]) -> None:
    """Refuse images whose predictions would have the same name, before anything is trained.

    Raises:
        ValueError: two images of one folder differ in their endings alone.
    """
    seen: dict[Path, Path] = {}
    for image in (entry.image for entry in entries):
        stem = image.with_name(written_stem(str(image)))
        if seen.setdefault(stem, image) != image:
            raise ValueError(
                f"{image} and {seen[stem].name} would have predictions of the same name; rename one of them"
            )


def _contents(trained_on: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    """What a training reads, whatever the cases are called."""
    return sorted(tuple(one[name] for name in ("section", "image", "label")) for one in trained_on.values())


def _written(entry: AuditEntry) -> dict[str, str]:
    return {"id": entry.case_id, "image": str(entry.image), "label": str(entry.label.path)}


def _files(entry: Mapping[str, str]) -> tuple[str, str]:
    return entry["image"], entry["label"]
