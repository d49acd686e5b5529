"""The schema that is shipped: it takes what MONAI's takes of our bundles, and refuses what MONAI's refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator, Draft202012Validator

from monai_iel.resources import BUNDLES, bundle_root
from monai_iel.verify.schema import check_metadata, load_schema

Edit = Callable[[dict[str, Any]], object]


def metadata_of(bundle: str) -> dict[str, Any]:
    return json.loads((bundle_root(bundle) / "configs" / "metadata.json").read_text())


def image(metadata: dict[str, Any]) -> dict[str, Any]:
    return metadata["network_data_format"]["inputs"]["image"]


BROKEN: dict[str, tuple[Edit, str]] = {
    "no version": (lambda m: m.pop("version"), "metadata.json: 'version' is a required property"),
    "a number as version": (lambda m: m.update(version=1.0), "version: 1.0 is not of type 'string'"),
    "authors as a list": (lambda m: m.update(authors=["a"]), "authors: ['a'] is not of type 'string'"),
    "packages as a list": (lambda m: m.update(required_packages_version=["monai"]), "required_packages_version: "),
    "no outputs": (lambda m: m["network_data_format"].pop("outputs"), "network_data_format: 'outputs' is a required"),
    "no channels": (lambda m: image(m).pop("num_channels"), "inputs/image: 'num_channels' is a required"),
    "channels in words": (lambda m: image(m).update(num_channels="one"), "inputs/image/num_channels: 'one' is not"),
    "a shape in words": (lambda m: image(m).update(spatial_shape="112"), "inputs/image/spatial_shape: '112' is not"),
    "references in one": (lambda m: m.update(references="x"), "references: 'x' is not of type 'array'"),
}
# What the published schema lets through.
BROKEN_TOO: dict[str, tuple[Edit, str]] = {
    "an empty task": (lambda m: m.update(task=" "), "task: ' ' does not match"),
    "a version in words": (lambda m: m.update(monai_version="newest"), "monai_version: 'newest' does not match"),
    "no inputs named": (lambda m: m["network_data_format"].update(inputs={}), "network_data_format/inputs: {}"),
    "no channel at all": (lambda m: image(m).update(num_channels=0), "num_channels: 0 is less than the minimum"),
    "a size of zero": (lambda m: image(m).update(spatial_shape=[0, 112]), "spatial_shape/0: 0 is not valid"),
    "a size that is code": (lambda m: image(m).update(spatial_shape=["$exit()"]), "spatial_shape/0: "),
    "an unknown type": (lambda m: image(m).update(dtype="flaot32"), "dtype: 'flaot32' does not match"),
    "a channel by name": (lambda m: image(m).update(channel_def={"red": "x"}), "channel_def: 'red' does not match"),
}


@pytest.mark.parametrize("way", [*BROKEN, *BROKEN_TOO])
def test_metadata_that_says_it_wrong_is_told_where(way: str, tmp_path: Path) -> None:
    edit, message = {**BROKEN, **BROKEN_TOO}[way]
    metadata = metadata_of(BUNDLES[1])
    edit(metadata)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps(metadata))
    assert any(message in problem for problem in check_metadata(tmp_path).problems), check_metadata(tmp_path)


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict[str, Any]:
    path = shared_data / "monai" / "meta_schema_20240725.json"
    if not path.is_file():
        pytest.skip(f"no schema at {path}")
    return json.loads(path.read_text())


def test_it_requires_what_the_published_one_requires(published: dict[str, Any]) -> None:
    assert set(load_schema()["required"]) == set(published["required"])
    ours = load_schema()["$defs"]["tensor"]["required"]
    assert set(ours) == set(published["$defs"]["tensor"]["required"])


@pytest.mark.parametrize("bundle", BUNDLES)
def test_both_take_the_bundles_and_refuse_what_is_broken(bundle: str, published: dict[str, Any]) -> None:
    for edit in (lambda m: None, *(edit for edit, _ in BROKEN.values())):
        metadata = copy.deepcopy(metadata_of(bundle))
        edit(metadata)
        theirs = Draft201909Validator(published).is_valid(metadata)
        assert Draft202012Validator(load_schema()).is_valid(metadata) == theirs


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(load_schema())
