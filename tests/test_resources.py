"""Where bundles and overlays are found, and how they are copied out."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_iel import resources
from monai_iel.resources import BUNDLES, bundle_root, copy_bundle, overlay

NAME = "noisy_annotation_segmentation"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", BUNDLES)
def test_every_bundle_is_there(name: str) -> None:
    assert (bundle_root(name) / "configs" / "metadata.json").is_file()


def test_an_overlay_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert overlay("iel/heat").name == "heat.yaml"
    assert overlay("iel/heat.yaml") == overlay("iel/heat")
    assert overlay("evolve").is_file()


def test_a_file_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("seed: 1\n")
    assert overlay(str(tmp_path / "mine.yaml")) == tmp_path / "mine.yaml"
    monkeypatch.chdir(tmp_path)
    assert overlay("mine.yaml") == tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    ("given", "near"), [("iel/haet", "iel/heat"), ("heat", "iel/heat"), ("data/hipocampus.yaml", "data/hippocampus")]
)
def test_an_unknown_overlay_is_answered_with_the_nearest(given: str, near: str) -> None:
    with pytest.raises(
        ValueError, match=f"no overlay '{given.removesuffix('.yaml')}'; did you mean '{near}'"
    ) as caught:
        overlay(given)
    assert "noise/block" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_bundle_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=rf"no bundle 'noisy'; did you mean '{NAME}'\?"):
        bundle_root("noisy")


@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_copy_holds_bundle_and_overlays(bundle: str, tmp_path: Path) -> None:
    copied = copy_bundle(bundle, tmp_path / "mine")
    assert copied == tmp_path / "mine" / "bundles" / bundle
    kept = {name for name in names(bundle_root(bundle)) if not name.startswith(("runs/", "data/"))}
    assert names(copied) == kept
    assert names(tmp_path / "mine" / "configs") == names(overlay("evolve").parent)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["bundles", "configs"]


def test_results_and_data_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = copy_bundle(NAME, tmp_path / "source").parents[1]
    for name in ("runs", "data"):
        (source / "bundles" / NAME / name).mkdir()
        (source / "bundles" / NAME / name / "big.bin").write_bytes(b"x")
    monkeypatch.setattr(resources, "_folder", lambda name: source / name)
    assert not any(name.endswith("big.bin") for name in names(copy_bundle(NAME, tmp_path / "copy")))


@pytest.mark.parametrize("existing", ["configs", f"bundles/{NAME}"])
def test_nothing_is_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).mkdir(parents=True)
    with pytest.raises(FileExistsError, match=rf"{existing} exists; give another folder, or move it away"):
        copy_bundle(NAME, tmp_path)
    assert names(tmp_path) == set()


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copytree = resources.shutil.copytree

    def full_disk(*args: object, **kwargs: object) -> None:
        copytree(*args, **kwargs)
        raise OSError("no space left on device")

    monkeypatch.setattr(resources.shutil, "copytree", full_disk)
    with pytest.raises(OSError, match="no space left"):
        copy_bundle(NAME, tmp_path / "mine")
    assert names(tmp_path) == set()


def test_an_incomplete_installation_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "site-packages" / "monai_iel" / "resources.py"))
    with pytest.raises(FileNotFoundError, match=r"the folder 'bundles' is neither in .* nor beside it"):
        bundle_root(NAME)
