"""What a wheel and a source distribution carry."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="builds need hatchling")

REPO = Path(__file__).resolve().parents[1]
BUNDLE = "bundles/noisy_annotation_segmentation"
BUNDLES = sorted(f"bundles/{path.name}" for path in (REPO / "bundles").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and source distribution of a used checkout: with runs, data and caches lying about."""
    project = tmp_path_factory.mktemp("checkout") / "project"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", "__pycache__", "runs", "work", ".whl", "build", "dist"
    )
    shutil.copytree(REPO, project, ignore=ignored)
    for name in (f"{BUNDLE}/runs/train", f"{BUNDLE}/data/phantom", "runs/default", "monai_iel/__pycache__"):
        (project / name).mkdir(parents=True, exist_ok=True)
        (project / name / "left.bin").write_bytes(b"x")
    out = project.with_name("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out)], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files(folder: Path) -> set[str]:
    left_out = {"runs", "data", "__pycache__"}
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if not left_out & set(path.parts)}


def test_the_wheel_carries_the_bundles_and_the_overlays(wheel: Path) -> None:
    names = contents(wheel)
    assert len(BUNDLES) == 2
    for bundle in BUNDLES:
        assert {f"monai_iel/{bundle}/{name}" for name in files(REPO / bundle)} <= names
    overlays = {path.relative_to(REPO).as_posix() for path in (REPO / "configs").rglob("*.yaml")}
    assert {f"monai_iel/{name}" for name in overlays} <= names
    assert "monai_iel/configs/data/phantom.yaml" in names  # a folder of that name is left out elsewhere


def test_the_wheel_carries_types_template_and_licence(wheel: Path) -> None:
    names = contents(wheel)
    assert {
        "monai_iel/py.typed",
        "monai_iel/report/page.html.j2",
        "monai_iel/cli/__init__.py",
        "monai_iel/verify/metadata.schema.json",
    } <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    names = contents(wheel)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"monai_iel"}
    assert [name for name in names if "left.bin" in name or "/runs/" in name or "__pycache__" in name] == []
    assert [name for name in names if "tests/" in name or name.startswith("scripts/")] == []


def test_a_wheel_can_be_built_from_the_source_distribution(built: Path, wheel: Path, tmp_path: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert (source / "tests" / "test_packaging.py").is_file()
    assert not list(source.rglob("left.bin"))
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (again,) = (tmp_path / "again").iterdir()
    assert contents(again) == contents(wheel)


def test_an_editable_installation_points_at_the_checkout(built: Path, tmp_path: Path) -> None:
    code = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
    project = built.with_name("project")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    with zipfile.ZipFile(path) as archive:
        (pth,) = (name for name in archive.namelist() if name.endswith(".pth"))
        assert archive.read(pth).decode().split() == [str(project)]


INSTALLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import monai_iel.resources as r
assert Path(r.__file__).is_relative_to(sys.argv[1]), r.__file__
print(r.bundle_root(r.BUNDLES[0]), r.overlay("iel/heat"), r.copy_bundle(r.BUNDLES[0], sys.argv[2]), sep="\\n")
"""


def test_an_installed_wheel_finds_and_copies_its_bundle(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED, str(site), str(tmp_path / "out")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    root, heat, copied = map(Path, done.stdout.splitlines())
    assert root == site / "monai_iel" / BUNDLE
    assert heat == site / "monai_iel" / "configs" / "iel" / "heat.yaml"
    assert (copied / "configs" / "train.yaml").is_file()
    assert (tmp_path / "out" / "configs" / "data" / "phantom.yaml").is_file()


def test_what_must_not_be_distributed_is_not_in_the_repository() -> None:
    if not (REPO / ".git").exists():
        pytest.skip("no git checkout")
    done = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=True)
    names = done.stdout.splitlines()
    images = (".nii", ".nii.gz", ".png", ".bmp", ".mha", ".dcm")
    assert [name for name in names if name.lower().endswith(images) and not name.startswith("docs/")] == []
