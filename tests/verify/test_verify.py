"""The bundles pass; and a bundle that is broken in one way fails with that reason, and no other."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
import yaml

from monai_iel.resources import BUNDLES, bundle_root
from monai_iel.verify import verify_bundle
from monai_iel.verify.layout import check_keys
from monai_iel.verify.network import check_network
from monai_iel.verify.trial import check_workflow
from monai_iel.verify.weights import check_weights

Change = Callable[[Path], object]
ChangeMetadata = Callable[[Callable[[dict[str, Any]], Any]], None]


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def append(root: Path, config: str, text: str) -> None:
    with (root / "configs" / config).open("a") as stream:
        stream.write(f"\n{text}\n")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def save_weights(root: Path, content: object) -> None:
    """Weights with their right checksum."""
    torch.save(content, root / "models" / "model.pt")
    digest = hashlib.sha256((root / "models" / "model.pt").read_bytes()).hexdigest()
    (root / "models" / "SHA256SUMS").write_text(f"{digest}  model.pt\n")


@pytest.mark.parametrize("bundle", BUNDLES)
def test_every_bundle_passes_and_is_not_written_to(bundle: str, tmp_path: Path) -> None:
    root = bundle_root(bundle)
    before = files(root)
    seen = verify_bundle(root, run=True)
    assert {check.name: check.problems for check in seen.checks if check.state != "passed"} == {}
    assert len(seen.checks) == 17
    assert not seen.failed
    assert not seen.to_read
    assert files(root) == before


def test_without_run_nothing_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr(monai.bundle.ConfigParser, "get_parsed_content", refuse)
    monkeypatch.setattr(monai.bundle.ConfigParser, "parse", refuse)
    seen = verify_bundle(bundle_root(BUNDLES[0]))
    assert not seen.failed
    assert [check.name for check in seen.checks if check.not_run] == ["network, properties, iterations"]


READ: dict[str, tuple[Change, str, str]] = {
    "no readme": (lambda b: (b / "docs/README.md").unlink(), "files", "docs/README.md is missing"),
    "no inference": (
        lambda b: (b / "configs/inference.yaml").unlink(),
        "files",
        "configs/inference.yaml (or .json) is missing",
    ),
    "a link that leads out": (
        lambda b: (b / "docs/notes").symlink_to("/etc/hosts"),
        "files",
        "docs/notes is a link that leads out of the bundle",
    ),
    "a link in a circle": (lambda b: (b / "docs/a").symlink_to("a"), "files", "docs/a is a link that leads nowhere"),
    "a dangling link": (lambda b: (b / "docs/a").symlink_to("b"), "files", "docs/a is a link that leads nowhere"),
    "a pipe": (lambda b: os.mkfifo(b / "docs/pipe"), "files", "docs/pipe is neither a file nor a folder"),
    "a pipe for weights": (
        lambda b: [(b / "models/model.pt").unlink(), os.mkfifo(b / "models/model.pt")],
        "weights",
        "models/model.pt is missing, or no file",
    ),
    "an empty config": (
        lambda b: (b / "configs/inference.yaml").write_text(""),
        "keys of inference",
        "configs/inference.yaml holds nothing, expected a mapping",
    ),
    "a config of one number": (
        lambda b: (b / "configs/inference.yaml").write_text("5"),
        "keys of inference",
        "configs/inference.yaml holds a value of type int, expected a mapping",
    ),
    "a damaged config": (
        lambda b: (b / "configs/inference.yaml").write_text("x: [1"),
        "keys of inference",
        "cannot be read (ParserError",
    ),
    "no licence": (lambda b: (b / "LICENSE").unlink(), "licence", "there is none; expected one of LICENSE"),
    "an empty licence": (lambda b: (b / "LICENSE").write_text(" \n"), "licence", "LICENSE holds no terms"),
    "MONAI's placeholder": (
        lambda b: (b / "docs/data_license.txt").write_text("Select a license for dataset and place its terms here\n"),
        "licence",
        "docs/data_license.txt holds no terms",
    ),
    "metadata cut off": (
        lambda b: (b / "configs/metadata.json").write_text('{"version": '),
        "metadata",
        "configs/metadata.json cannot be read",
    ),
    "a version without a changelog": (
        lambda b: replace(b / "configs/metadata.json", '"version": "0.1.0"', '"version": "0.9.0"'),
        "metadata",
        "changelog: says nothing of version '0.9.0'",
    ),
    "no trainer": (
        lambda b: replace(b / "configs/train.yaml", "  trainer:\n", "  teacher:\n"),
        "keys of training",
        "no config defines 'train::trainer'",
    ),
    "no run": (
        lambda b: replace(b / "configs/inference.yaml", "\nrun:\n", "\nwalk:\n"),
        "keys of inference",
        "no config defines 'run'",
    ),
    "no checksums": (lambda b: (b / "models/SHA256SUMS").unlink(), "checksums", "models/SHA256SUMS is missing"),
    "a changed bit": (
        lambda b: (b / "models/model.pt").write_bytes(flipped((b / "models/model.pt").read_bytes())),
        "checksums",
        "the file was changed",
    ),
    "a model without a checksum": (
        lambda b: (b / "models/other.onnx").write_bytes(b"x"),
        "checksums",
        "models/other.onnx stands not in models/SHA256SUMS",
    ),
    "a pickle without a checksum": (
        lambda b: (b / "models/more.pkl").write_bytes(b"x"),
        "checksums",
        "models/more.pkl stands not in models/SHA256SUMS",
    ),
    "safetensors without a checksum": (
        lambda b: (b / "models/more.safetensors").write_bytes(b"x"),
        "checksums",
        "models/more.safetensors stands not in models/SHA256SUMS",
    ),
    "a checksum of a file elsewhere": (
        lambda b: (b / "models/SHA256SUMS").write_text(f"{'0' * 64}  ../LICENSE\n"),
        "checksums",
        "line 1: expected a SHA-256",
    ),
    "weights cut off": (
        lambda b: (b / "models/model.pt").write_bytes((b / "models/model.pt").read_bytes()[:-1000]),
        "weights",
        "models/model.pt cannot be loaded as weights alone",
    ),
    "more than weights": (
        lambda b: save_weights(b, {"epoch": 3}),
        "weights",
        "'epoch' is no tensor; expected the state_dict of a network alone",
    ),
    "no state_dict": (lambda b: save_weights(b, [torch.ones(1)]), "weights", "holds a list, expected the state_dict"),
    "sparse weights": (lambda b: save_weights(b, {"a": torch.eye(2).to_sparse()}), "weights", "'a' is a sparse tensor"),
    "NaN in weights": (
        lambda b: save_weights(b, {"a.weight": torch.tensor([float("nan")])}),
        "weights",
        "'a.weight' holds NaN",
    ),
}


@pytest.mark.parametrize("error", [TypeError, struct.error, OverflowError])
def test_whatever_fails_in_loading_weights_is_named(
    error: type[Exception], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", load)
    (problem,) = check_weights(copy).problems
    assert problem.startswith(f"models/model.pt cannot be loaded as weights alone ({error.__name__}): it is damaged")


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


# A broken file can be the reason for a second part to fail.
ALSO = {
    "no inference": {"keys of inference"},
    "a pipe for weights": {"files", "checksums"},
    "a damaged config": {"configs"},
    "weights cut off": {"checksums"},
    "metadata cut off": {"configs"},
    "no trainer": {"keys of evaluation"},
}


@pytest.mark.parametrize("way", READ)
def test_a_bundle_that_is_broken_fails_with_the_reason(way: str, copy: Path) -> None:
    change, name, message = READ[way]
    change(copy)
    seen = verify_bundle(copy, run=True)
    failed = {check.name: check.problems for check in seen.checks if check.problems}
    assert any(message in problem for problem in failed[name]), failed
    assert set(failed) == {name, *ALSO.get(way, ())}
    assert seen.checks[-1].not_run == "what has failed comes first"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_classes: 2", "num_classes: 3", "output channel number `3` doesn't match: `2`"),
        ("[16, 16, 32, 64, 128, 16]", "[8, 8, 16, 32, 64, 8]", "size mismatch"),
        ("_target_: BasicUNet", "_target_: monai.BasicYouNet", "Cannot locate class or function path: 'monai.BasicYou"),
        ("network_def:", "net_def:", "network_def"),
    ],
)
def test_another_network_than_the_described_one_is_told(old: str, new: str, message: str, copy: Path) -> None:
    replace(copy / "configs/inference.yaml", old, new)
    training, inference = check_network(copy)
    assert training.problems == ()
    assert any(message in problem for problem in inference.problems), inference


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d["outputs"]["pred"].update(dtype="float64"), "dtype of output data"),
        (lambda d: d["outputs"]["pred"].update(spatial_shape=[56, 56]), r"has the shape (112, 112), but the metadata"),
        (lambda d: d["inputs"]["image"].update(num_channels=1), "channels"),
        (lambda d: d["inputs"].update(picture=d["inputs"].pop("image")), "describes no tensor 'image' in 'inputs'"),
        (lambda d: d["inputs"]["image"].update(spatial_shape=[10**6, 10**6]), "too large to be tried"),
    ],
)
def test_metadata_that_describes_another_network_is_told(
    edit: Callable[[dict[str, Any]], Any], message: str, copy: Path, change_metadata: ChangeMetadata
) -> None:
    change_metadata(lambda metadata: edit(metadata["network_data_format"]))
    assert all(any(message in problem for problem in check.problems) for check in check_network(copy))


@pytest.mark.parametrize("shape", [["16*n", "16*n"], ["*", "*"], ["2**p*16", 32]])
def test_sizes_that_the_metadata_leaves_open_are_tried_small(
    shape: list[int | str], copy: Path, change_metadata: ChangeMetadata
) -> None:
    change_metadata(lambda metadata: [t.update(spatial_shape=shape) for t in tensors(metadata)])
    assert [check.problems for check in check_network(copy)] == [(), ()]


def tensors(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    return [tensor for side in metadata["network_data_format"].values() for tensor in side.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evaluator#postprocessing: '@to_files'", "'postprocessing' is missing, or has another id"),
        ("evaluator#inferer: '@inferrer'", "`@inferrer` is not defined"),
        ("initialize: ['$1 / 0']", "ZeroDivisionError: division by zero"),
    ],
)
def test_missing_properties_are_named(text: str, message: str, copy: Path) -> None:
    put_in(copy / "configs/inference.yaml", text)
    properties, _ = check_workflow(copy, "inference")
    assert properties.name == "properties of inference"
    assert any(message in problem for problem in properties.problems), properties


@pytest.mark.parametrize(
    ("workflow", "text", "message"),
    [
        ("inference", "run: []", "the engine made no iteration"),
        ("inference", "checkpoint: missing.pt", "missing.pt is no file; set --checkpoint"),
        ("training", "learning_rate: -1.0", "Invalid learning rate"),
        ("training", "base_loss: {_target_: torch.nn.CrossEntropyLoss}", "RuntimeError"),
    ],
)
def test_an_iteration_that_fails_is_told(workflow: str, text: str, message: str, copy: Path) -> None:
    put_in(copy / "configs" / ("train.yaml" if workflow == "training" else "inference.yaml"), text)
    checks = check_workflow(copy, workflow)
    assert any(message in problem for check in checks for problem in check.problems), checks


def put_in(path: Path, text: str) -> None:
    """Set an id, and take away what stood there."""
    from monai.bundle import ConfigParser

    parser = ConfigParser(yaml.safe_load(path.read_text()))
    parser.update(yaml.safe_load(text))
    content = {name: value for name, value in parser.get().items() if name != "_meta_"}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="is no folder; give the folder of a bundle, an archive unpacked"):
        verify_bundle(tmp_path / "bundle.zip")


def test_a_network_for_which_there_are_no_phantoms_is_told(copy: Path, change_metadata: ChangeMetadata) -> None:
    change_metadata(lambda metadata: image_of(metadata).update(num_channels=2))
    properties, iteration = check_workflow(copy, "inference")
    assert properties.problems == ("ValueError: there are no phantom pictures with 2 axes and 2 channels",)
    assert iteration.not_run == "the workflow cannot be initialised"


def image_of(metadata: dict[str, Any]) -> dict[str, Any]:
    return metadata["network_data_format"]["inputs"]["image"]


def test_ids_that_a_macro_puts_in_are_not_missed(copy: Path) -> None:
    replace(copy / "configs/inference.yaml", "\nrun:\n", "\nsteps:\n")
    append(copy, "inference.yaml", 'run: "%steps"\nevaluator: "%configs/more.json::evaluator"')
    assert [check.problems for check in check_keys(copy)] == [(), (), ()]
