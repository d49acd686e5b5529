"""The rules of the house that a machine can check: arrows point down, and the public names are these."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from monai.bundle.config_item import ComponentLocator

import monai_iel

PACKAGE = Path(monai_iel.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# What each part may import of the package. A part may always import itself; the files at the end hold no knowledge
# of the domain.
COMMON = {"files", "locks", "processes", "visualize"}
BELOW = {
    "numerics": set(),
    "regions": set(),
    "convexity": set(),
    "terms": {"numerics", "regions"},
    "layers": {"terms", "numerics"},
    "losses": {"layers", "terms", "numerics"},
    "transforms": {"layers", "terms", "numerics", "convexity", "regions"},
    "metrics": {"numerics", "convexity", "regions", *COMMON},
    "handlers": {"metrics", *COMMON},
    "peers": {"losses", "transforms", "numerics", "regions"},  # methods of others, to compare with
    "data": {"transforms", "convexity", "regions", *COMMON},
    "report": COMMON,
    "check": {"data", "report", "", *COMMON},
    "noisy_labels": {"transforms", "data", "report", "", *COMMON},
    "resources": COMMON,
    "study": {
        *("data", "report", "resources", "losses", "transforms", "metrics", "handlers", "peers", "convexity", ""),
        "noisy_labels",
        *COMMON,
    },
    "tune": {
        *("data", "report", "resources", "losses", "transforms", "metrics", "handlers", "peers", "convexity", ""),
        *("study", "noisy_labels", "layers", "terms"),
        *COMMON,
    },
    "audit": {"noisy_labels", "study", "transforms", "data", "report", "resources", "", *COMMON},
    "verify": {"data", "resources", "study", "", *COMMON},
    "cli": {
        "audit",
        "check",
        "noisy_labels",
        "transforms",
        "verify",
        "peers",
        "data",
        "report",
        "resources",
        "study",
        "tune",
        "",
        *COMMON,
    },
    "files": set(),
    "locks": set(),
    "processes": set(),
    "visualize": set(),
}

PUBLIC = """
Grid InverseEvolution InverseEvolutionLoss
EvolutionTerm LinearTerm NonlinearDiffusion SumTerm
HeatDiffusion LaplacianPower SobolevDiffusion TotalVariationFlow PeronaMalikDiffusion MeanCurvatureMotion
ConvexCurveMotion
Evolve Evolved EvolveD EvolveDict
InverseEvolve InverseEvolved InverseEvolveD InverseEvolveDict
FillConvexHull FillConvexHulld FillConvexHullD FillConvexHullDict
LabelNoise LabelNoised LabelNoiseD LabelNoiseDict
BlockLabelNoise BlockLabelNoised BlockLabelNoiseD BlockLabelNoiseDict
RandBlockLabelNoise RandBlockLabelNoised RandBlockLabelNoiseD RandBlockLabelNoiseDict
VoxelLabelNoise VoxelLabelNoised VoxelLabelNoiseD VoxelLabelNoiseDict
MorphologyLabelNoise MorphologyLabelNoised MorphologyLabelNoiseD MorphologyLabelNoiseDict
BumpLabelNoise BumpLabelNoised BumpLabelNoiseD BumpLabelNoiseDict
AreaRatioLabelNoise AreaRatioLabelNoised AreaRatioLabelNoiseD AreaRatioLabelNoiseDict
ElasticLabelNoise ElasticLabelNoised ElasticLabelNoiseD ElasticLabelNoiseDict
AffineLabelNoise AffineLabelNoised AffineLabelNoiseD AffineLabelNoiseDict
OutlineLabelNoise OutlineLabelNoised OutlineLabelNoiseD OutlineLabelNoiseDict
MarkovLabelNoise MarkovLabelNoised MarkovLabelNoiseD MarkovLabelNoiseDict
SliceLabelNoise SliceLabelNoised SliceLabelNoiseD SliceLabelNoiseDict
InstanceLabelNoise InstanceLabelNoised InstanceLabelNoiseD InstanceLabelNoiseDict
ClassLabelNoise ClassLabelNoised ClassLabelNoiseD ClassLabelNoiseDict
UnknownLabelNoise UnknownLabelNoised UnknownLabelNoiseD UnknownLabelNoiseDict
SequentialLabelNoise SequentialLabelNoised SequentialLabelNoiseD SequentialLabelNoiseDict
ChoiceLabelNoise ChoiceLabelNoised ChoiceLabelNoiseD ChoiceLabelNoiseDict
label_noise_preset label_noise_of_preset
PhysicalHausdorffDistanceMetric compute_physical_hausdorff_distance
PhysicalSurfaceDiceMetric compute_physical_surface_dice
MissCountMetric compute_misses
ConvexityMetric compute_convexity
ExpectedCalibrationErrorMetric compute_expected_calibration_error
PhysicalHausdorffDistanceHandler PhysicalSurfaceDiceHandler MissCountHandler ExpectedCalibrationErrorHandler
ConvexityHandler
CaseTableHandler EpochSeedHandler SegmentationOverlayHandler TrainingCheckpointHandler
""".split()  # noqa: SIM905 - a table, not a column of quotes


def part(path: Path) -> str:
    """The first level below the package, ``""`` for the package itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file."""
    package = ["monai_iel", *path.relative_to(PACKAGE).parts[:-1]]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            # "from monai_iel import data" imports a part, "from monai_iel import Grid" the package.
            names |= {
                f"{name}.{a.name}" if (PACKAGE / a.name).is_dir() and name == "monai_iel" else name for a in node.names
            }
    return names


def test_every_part_has_its_place() -> None:
    assert {part(path) for path in MODULES} - {""} == set(BELOW)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_arrows_point_down(path: Path) -> None:
    if part(path) == "":
        return  # gathers the public names
    used = {
        name.partition(".")[2].partition(".")[0] for name in imported(path) if name.partition(".")[0] == "monai_iel"
    }
    assert used <= BELOW[part(path)] | {part(path)}, "imports what stands above it"


@pytest.mark.parametrize("name", ["numerics", "terms", "layers"])
def test_the_lower_three_know_no_monai(name: str) -> None:
    files = [path for path in MODULES if part(path) == name]
    assert files
    for path in files:
        # Of SciPy the real-to-real fast transforms alone, which torch does not have.
        outside = {module for module in imported(path) if not module.startswith(("monai_iel.", "scipy.fft"))}
        foreign = {module.partition(".")[0] for module in outside} & {"monai", "ignite", "numpy", "scipy"}
        assert not foreign, f"{path.name} imports {foreign}"


def test_imports_of_every_form_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the tests above."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "terms").mkdir()
    (tmp_path / "study").mkdir()
    path = tmp_path / "terms" / "x.py"
    path.write_text(
        "import monai.losses as m\nfrom ..study import a\nfrom . import base\n"
        "def f():\n    from monai_iel import study\n    from monai_iel import Grid\n"
    )
    assert imported(path) == {"monai.losses", "monai_iel.study", "monai_iel.terms", "monai_iel"}


def test_the_public_names_are_these() -> None:
    assert sorted(monai_iel.__all__) == sorted(PUBLIC)
    assert len(set(PUBLIC)) == len(PUBLIC)
    assert all(hasattr(monai_iel, name) for name in PUBLIC)


def test_every_public_name_has_a_docstring() -> None:
    missing = [n for n in PUBLIC if not (getattr(monai_iel, n).__doc__ or "").strip()]
    assert missing == []


@pytest.fixture(scope="module")
def locator() -> ComponentLocator:
    return ComponentLocator()


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_name_is_also_one_of_monai(name: str, locator: ComponentLocator) -> None:
    """MONAI looks names without a module up in every package whose name starts with ``monai``."""
    found = locator.get_component_module_name(name)
    modules = [found] if isinstance(found, str) else found or []
    assert all(module.startswith("monai_iel.") for module in modules), modules


@pytest.mark.parametrize("name", ["DiceCELoss", "BasicUNet", "MeanDice", "SlidingWindowInferer"])
def test_names_that_the_bundles_take_from_monai_are_still_found_there(name: str, locator: ComponentLocator) -> None:
    found = locator.get_component_module_name(name)
    modules = [found] if isinstance(found, str) else found or []
    assert modules
    assert not any(module.startswith("monai_iel") for module in modules)
