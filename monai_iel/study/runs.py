"""Runs of a bundle from Python: train, evaluate, segment. One training loop for all: the bundle's."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_iel.data import load_datalist
from monai_iel.files import write_text
from monai_iel.resources import bundle_root, overlay

__all__ = ["EVALUATED", "BundleRun", "files_of", "label_map_of", "root_cause", "written_stem"]

EVALUATED = "evaluated.json"  # the last file of an evaluation that `BundleRun.evaluate_once` has made
_WHERE = ("dataset_json", "dataset_dir")  # where the data lie; they are known by their ids, sizes and times


def root_cause(error: BaseException) -> BaseException:
    """The error below the ``RuntimeError`` that MONAI wraps around what a config's component or a transform raises."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


def written_stem(image: str) -> str:
    """What the names of files begin with that the bundles write for an image.

    >>> written_stem("scans/a.b.nii.gz")
    'a.b'
    """
    return Path(image).name.removesuffix(".gz").rsplit(".", 1)[0]


def label_map_of(image: str, images: Sequence[str], folder: Path, root: str | None = None) -> Path:
    """The label map of one of the ``images`` that `BundleRun.segment` has written to ``folder``."""
    inside = folder / Path(image).parent.relative_to(_common_folder(images) if root is None else root)
    (found,) = inside.glob(f"{escape(written_stem(image))}_seg.*")
    return found


def _common_folder(images: Sequence[str]) -> str:
    return os.path.commonpath([os.path.dirname(path) for path in images])


@dataclass(frozen=True)
class BundleRun:
    """A bundle with its overlays and settings, and the folder it works in.

    Args:
        overlays: names (``"iel/heat"``) or files of overlay configs, in order.
        settings: config ids and their values, as on MONAI's command line.
        folder: where the run writes: ``train/``, ``evaluate-.../``, ``segment/``.
        bundle: name of the bundle.
        quiet: loggers that speak only of errors.
        surroundings: what the results depend on besides, such as a number of threads.
    """

    overlays: tuple[str, ...]
    settings: Mapping[str, Any]
    folder: Path
    bundle: str = "noisy_annotation_segmentation"
    quiet: tuple[str, ...] = (
        "ignite",
        "monai.handlers.StatsHandler",
        "monai.bundle.workflows",
        "monai.data.image_writer",
    )
    surroundings: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Look overlays and settings up; nothing is run.

        Raises:
            ValueError: no such overlay, or a setting that no config of the bundle knows; the message names the nearest.
        """
        known = self._known_ids()
        for name in self.settings:
            if _top_level(name) not in known:
                near = get_close_matches(_top_level(name), sorted(known), n=1, cutoff=0.0)[0]
                raise ValueError(f"no config of the bundle {self.bundle} has the id {name!r}; did you mean {near!r}?")

    def with_own_settings(self) -> BundleRun:
        """The same run without the settings that none of its configs knows: those of another method's overlay."""
        known = self._known_ids()
        return replace(self, settings={k: v for k, v in self.settings.items() if _top_level(k) in known})

    def train(self, *, resume: bool = False) -> float:
        """Train, unless the same training is complete; returns its seconds, without those of the data's checks.

        Args:
            resume: go on from the checkpoint of the same training, where one was interrupted. Its seconds are those
                since then.

        Raises:
            ValueError: as `check`.
        """
        self.check()
        out = self.folder / "train"
        done, begun, key = out / "finished.json", out / "begun.json", self._key()
        if done.exists():
            found = json.loads(done.read_text())
            if found["key"] == key:
                return float(found["seconds"])
        done.unlink(missing_ok=True)
        is_same = begun.exists() and json.loads(begun.read_text())["key"] == key
        goes_on = {"resume": True} if resume and is_same and (out / "checkpoint.pt").exists() else {}
        if not (goes_on or self.settings.get("resume")):
            for name in ("events.out.tfevents.*", "checkpoint*.pt"):  # of one that did not end, or had other settings
                for left in out.glob(name):
                    left.unlink()
        write_text(begun, json.dumps({"key": key}) + "\n")
        seconds = self._run(["train"], [], {"output_dir": str(out), **goes_on})
        write_text(done, json.dumps({"key": key, "seconds": seconds}) + "\n")
        return seconds

    def evaluate(
        self, name: str, *, weights: str = "model_last.pt", overlays: Sequence[str] = (), **settings: Any
    ) -> dict[str, Any]:
        """Evaluate on clean test labels into ``evaluate-NAME``; returns the summary that the bundle writes."""
        out = self.folder / f"evaluate-{name}"
        self._run(
            ["train", "evaluate"],
            overlays,
            {"output_dir": str(out), "checkpoint": str(self.folder / "train" / weights), **settings},
        )
        summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
        return summary

    def evaluate_once(
        self, name: str, *, weights: str = "model_last.pt", overlays: Sequence[str] = (), **settings: Any
    ) -> Path:
        """Evaluate the trained network as `evaluate`, unless the same is there; returns the folder.

        The same has the same training, weights, configs' text, settings and files.

        Raises:
            FileNotFoundError: the training is not complete.
        """
        folder = self.folder / f"evaluate-{name}"
        trained = json.loads((self.folder / "train" / "finished.json").read_text())["key"]
        configs = [bundle_root(self.bundle) / "configs" / "evaluate.yaml", *map(overlay, overlays)]
        (cases,) = self._content(["train", "evaluate"], overlays, settings, "@validate::cases")
        parts = [
            trained,
            weights,
            [config.read_text(encoding="utf-8") for config in configs],
            settings,
            files_of(cases),
        ]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        marker = folder / EVALUATED
        if marker.is_file() and json.loads(marker.read_text())["key"] == key:
            return folder
        marker.unlink(missing_ok=True)
        self.evaluate(name, weights=weights, overlays=overlays, **settings)
        write_text(marker, json.dumps({"key": key}) + "\n")
        return folder

    def segment(
        self,
        images: Sequence[str],
        *,
        weights: str = "model_last.pt",
        overlays: Sequence[str] = (),
        root: str | None = None,
    ) -> Path:
        """Segment image files through the bundle's ``inference.yaml``; returns the folder of the label maps.

        Those that are complete, from the same images, settings and weights, are left as they are. Folders below
        ``root`` are kept, by default the images' common one: see `label_map_of`.

        Args:
            images: the files.
            weights: file in the folder of the training.
            overlays: further overlays behind ``inference.yaml``.
            root: a folder above all images.
        """
        out = self.folder / "segment"
        # A tuple: in a list MONAI would evaluate names that begin with $, @ or %, and write :: for #.
        data = {"images": tuple(images), "data_root_dir": _common_folder(images) if root is None else root}
        checkpoint = str(self.folder / "train" / weights)
        self._run(["inference"], overlays, {"output_dir": str(out), "checkpoint": checkpoint, **data})
        return out

    def content(self, *expressions: str) -> list[Any]:
        """Values of config expressions, e.g. ``"@train::cases"``, in the training config, without running it."""
        return self._content(["train"], [], {}, *expressions)

    def test_cases(self) -> list[dict[str, str]]:
        """The test section of the data list."""
        path, dims = self.content("@dataset_json", "@spatial_dims")
        return load_datalist(path, "test", spatial_dims=dims, check="off")

    def _content(
        self, configs: Sequence[str], overlays: Sequence[str], settings: Mapping[str, Any], *expressions: str
    ) -> list[Any]:
        parts = {f"content_{i}": expression for i, expression in enumerate(expressions)}
        quick = {"check_data": "files", "output_dir": str(self.folder / "train")}
        workflow = self._workflow(configs, overlays, {**settings, **quick, **parts})
        return [workflow.parser.get_parsed_content(name) for name in parts]

    def _known_ids(self) -> set[str]:
        files = [*(bundle_root(self.bundle) / "configs").glob("*.yaml"), *(overlay(name) for name in self.overlays)]
        return {name for file in files for name in _ids_of(file, file.stat().st_mtime_ns, file.stat().st_size)}

    def _workflow(self, configs: Sequence[str], overlays: Sequence[str], settings: Mapping[str, Any]) -> ConfigWorkflow:
        root = bundle_root(self.bundle)
        files = [root / "configs" / f"{configs[0]}.yaml"]
        files += [overlay(name) for name in self.overlays]
        files += [root / "configs" / f"{name}.yaml" for name in configs[1:]] + [overlay(name) for name in overlays]
        for name in self.quiet:
            logging.getLogger(name).setLevel(logging.ERROR)
        return ConfigWorkflow(
            config_file=[str(f) for f in files],
            meta_file=str(root / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="infer" if configs[0] == "inference" else "train",
            bundle_root=str(root),
            **{**self.settings, **settings},
        )

    def _run(self, configs: Sequence[str], overlays: Sequence[str], settings: Mapping[str, Any]) -> float:
        """Seconds of the run itself, which caches the data too; not of the checks of the data before it."""
        workflow = self._workflow(configs, overlays, settings)
        workflow.initialize()
        start = time.perf_counter()
        workflow.run()
        seconds = time.perf_counter() - start
        workflow.finalize()
        return seconds

    def _key(self) -> str:
        """Changes with all that the training depends on, but not with where the files that it reads lie."""
        configs = [bundle_root(self.bundle) / "configs" / "train.yaml", *(overlay(name) for name in self.overlays)]
        parts = [
            [config.read_text() for config in configs],
            {name: value for name, value in self.settings.items() if name not in _WHERE},
            dict(self.surroundings),
            [version(name) for name in ("monai-iel", "monai", "torch", "pytorch-ignite")],
            [files_of(cases) for cases in self.content("@train::cases", "@validate::cases")],
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def files_of(cases: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Ids of cases with the sizes and times of their files: what they are known by, wherever they lie."""
    found = []
    for case in cases:
        stats = [os.stat(case[key]) for key in ("image", "label")]
        found.append([case["case_id"], *((one.st_size, one.st_mtime_ns) for one in stats)])
    return found


@cache
def _ids_of(config: Path, _mtime_ns: int, _size: int) -> frozenset[str]:
    """Top-level ids of a config file; time and size are there for the cache alone."""
    return frozenset(_top_level(name) for name in ConfigParser.load_config_file(config))


def _top_level(name: str) -> str:
    return re.split("#|::", name.removeprefix("+"))[0]
