"""Study files: what they say, and the errors for what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_iel.resources import study_file
from monai_iel.study import BundleRun
from monai_iel.study.compare import cells_of, load_study

REPO = Path(__file__).resolve().parents[3]


def test_a_study_is_what_its_file_says(write_study: Any) -> None:
    study = load_study(write_study(cases=[2, {"number": "all", "settings": {"max_epochs": 1}}], seeds=[3, 1]))
    assert list(study.data) == ["phantom"]
    assert study.data["phantom"].overlays == ("data/phantom",)
    assert [(c.name, dict(c.settings)) for c in study.numbers] == [("2", {}), ("all", {"max_epochs": 1})]
    assert study.seeds == (3, 1)
    assert study.reference == "plain"
    assert [m.name for m in study.methods.values() if m.trains] == ["plain", "IEL"]
    smoothed = study.methods["plain + smoothing"]
    assert (smoothed.of, smoothed.after, smoothed.epoch) == ("plain", ("evolve",), "last")
    assert study.epochs_of(study.methods["early"]) == ("best",)
    assert study.noises["bumps"].label_noise("phantom", 5).model == "bumps"


def test_a_noise_takes_other_parameters_for_one_data_set(write_study: Any) -> None:
    noise = {
        "model": "bumps",
        "parameters": {"radius": [1, 2], "fraction": 0.1},
        "for": {"phantom": {"radius": [2, 3]}},
    }
    study = load_study(write_study(noises={"bumps": noise}))
    assert study.noises["bumps"].label_noise("phantom", None).parameters["radius"] == (2.0, 3.0)


def test_a_data_list_is_relative_to_the_study_file_or_the_given_folder(write_study: Any, phantom_list: Path) -> None:
    data = {"phantom": {"overlays": "data/phantom", "dataset": phantom_list.name}}
    assert load_study(write_study(data=data), phantom_list.parent).data["phantom"].dataset == phantom_list.resolve()
    with pytest.raises(FileNotFoundError, match=r"data: phantom: 'dataset' is 'dataset.json'.*--data-root"):
        load_study(write_study(data=data))


def test_an_overlay_is_a_file_beside_the_study_or_a_name(write_study: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("learning_rate: 0.1\n")
    study = load_study(write_study(methods={"a": {"overlays": ["iel/heat", "mine.yaml"]}}))
    assert study.methods["a"].overlays == ("iel/heat", str(tmp_path / "mine.yaml"))


def test_the_study_of_the_package_can_be_read() -> None:
    assert "heat IEL" in load_study(study_file("phantom")).methods
    with pytest.raises(ValueError, match="no study file 'fantom'; did you mean 'phantom'"):
        study_file("fantom")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metods": {}}, "study.yaml: unknown key 'metods'; did you mean 'methods'"),
        ({"data": None}, "study.yaml: has no 'data'; add it"),
        ({"data": {}}, "'data' is {}, expected at least one entry"),
        ({"data": {"a": {"overlays": "data/phantm"}}}, "data: a: overlays: no overlay 'data/phantm'; did you mean"),
        ({"data": {"a": {"bundle": "convex"}}}, "data: a: 'bundle': unknown 'convex'"),
        ({"data": {"a": {"overlays": ["x", "x"]}}}, "expected each of them once"),
        ({"data": {3: {}}}, "the name 3 is a whole number"),
        ({"data": {"a b": None, "a+b": None}}, "'a b' and 'a.b' would share the folder 'a-b'; rename one"),
        ({"data": "phantom"}, "'data' is 'phantom', expected a mapping"),
        ({"noises": {"n": {"model": "bump"}}}, "noises: n: no model 'bump'; did you mean 'bumps'"),
        ({"noises": {"n": {"model": "bumps", "parameters": {"radus": 1}}}}, "has no parameter 'radus'"),
        ({"noises": {"n": {"preset": "iel-wb"}}}, "noises: n: .*iel-wbc"),
        ({"noises": {"n": {"model": "bumps", "overlays": "noise/bumps"}}}, "has 'overlays' and 'model', expected one"),
        ({"noises": {"n": {"target_dice": 0.8}}}, "has 'target_dice', but no 'model' or 'preset'"),
        ({"noises": {"n": {"only": "wbc"}}}, "noises: n: 'only': unknown 'wbc'; expected one of phantom"),
        ({"noises": {"n": {"strength": 0}}}, "'strength' is 0, expected a positive number"),
        ({"methods": {"a": {"of": "b"}}}, r"methods: a: 'of' .*: unknown 'b'"),
        ({"methods": {"a": None, "b": {"of": "a", "overlays": "iel/heat"}}}, "has 'of' and 'overlays'"),
        ({"methods": {"a": None, "b": {"of": "a", "tune": True}}}, "has 'of' and 'tune'"),
        ({"methods": {"a": None, "b": {"of": "a", "settings": {"x": 1}}}}, "has settings, but neither a training"),
        ({"methods": {"a": {"epoch": "first"}}}, "methods: a: 'epoch': unknown 'first'; expected one of last, best"),
        ({"methods": {"a": {"for": {"wbc": {}}}}}, "methods: a: 'for': unknown 'wbc'"),
        ({"reference": "plan"}, "'reference': unknown 'plan'; did you mean 'plain'"),
        (
            {"settings": {"max_epoch": 5}},
            "settings: no config of the bundle .* has the id 'max_epoch'; did you mean 'max_e",
        ),
        (
            {"methods": {"a": {"overlays": "peers/gce", "settings": {"gce_quu": 1}}}},
            "methods: a: .* did you mean 'gce_q'",
        ),
        (
            {"methods": {"a": None, "b": {"of": "a", "after": "evolve", "settings": {"iel_gian": 3}}}},
            "methods: b: settings: .* 'iel_gian'; did you mean 'iel_gain'",
        ),
        ({"settings": {"seed": 5}}, "settings: 'seed' is set by 'seeds'; leave it out"),
        ({"methods": {"a": {"tune": True}}}, "methods: a: has 'tune', but there is no training to choose"),
        ({"cases": [0]}, "study.yaml: cases: 'number' is 0, expected a whole number of 1 or more, or 'all'"),
        ({"cases": [2, 2]}, r"'cases' is \[2, 2\], expected at least one number, each once"),
        ({"seeds": [0, 0]}, r"'seeds' is \[0, 0\], expected whole numbers"),
        ({"seeds": [True]}, "expected whole numbers of 0 or more"),
        ({"threads": 0}, "'threads' is 0, expected a whole number of 1 or more"),
        ({"watch": "often"}, "'watch' is 'often', expected a whole number"),
        ({"epochs": ["worst"]}, "'epochs': unknown 'worst'"),
        ({"settings": {"learning_rate": "$0.1 * 2"}}, r"settings: 'learning_rate' holds '\$0.1 \* 2', which a config"),
        ({"settings": {"features": ["@patch_size"]}}, "holds '@patch_size', which a config would evaluate"),
        ({"settings": {"network": {"_target_": "os.system"}}}, "holds '_target_', which a config would evaluate"),
        ({"noises": {"n": {"model": "bumps", "for": {"phantom": {"radius": "$1"}}}}}, "holds '[$]1'"),
    ],
)
def test_what_cannot_be_used_is_named(changes: dict[str, Any], said: str, write_study: Any) -> None:
    with pytest.raises(ValueError, match=said):
        load_study(write_study(**changes))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("methods:\n  a: {}\n  a: {}\n", "the key 'a' stands twice"),
        ("data: [", "is no YAML file"),
        ("- a", "is a list, expected a mapping"),
        ("data: !!python/object/apply:os.getcwd []", "is no YAML file"),
    ],
)
def test_yaml_that_is_no_study_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_study(path)


def test_the_study_in_the_docs_can_be_read(tmp_path: Path) -> None:
    for name in ("wbc", "dsb", "hippo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").touch()
    study = load_study(REPO / "docs" / "study" / "study.yaml", tmp_path)
    assert list(study.data) == ["wbc", "dsb2018", "hippocampus"]
    assert study.reference in study.methods
    lengths = {name: 3 if " 3 " in name else 6 for name in study.methods if "one step" in name}
    for name, length in lengths.items():
        method = study.methods[name]
        assert method.settings["one_step_gain"] == 1 + 2 * 2 * length**2
        assert method.of_data["hippocampus"]["one_step_gain"] == 1 + 2 * 3 * length**2


@pytest.mark.parametrize("name", ["study", "full", "mends"])
def test_the_studies_of_the_documentation_are_read(name: str, tmp_path: Path) -> None:
    for data in ("wbc", "dsb", "hippo"):
        (tmp_path / data).mkdir()
        (tmp_path / data / "dataset.json").write_text("{}")
    study = load_study(REPO / "docs" / "study" / f"{name}.yaml", tmp_path)
    assert study.reference == "DiceCE + smoothing"
    assert {cell.method.name for cell in cells_of(study)} >= {"DiceCE", "T-Loss"}
    for method in study.methods.values():
        BundleRun((*method.overlays, *method.after), method.settings, tmp_path).check()
