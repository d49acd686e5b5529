"""scripts/audit_study.py: what it corrupts, ranks, trains with and writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer", reason="the script needs the extra 'cli'")
pytest.importorskip("cleanlab", reason="the script needs the extra 'audit'")

from monai_iel import InstanceLabelNoise, MorphologyLabelNoise
from monai_iel.audit import audit, compare_rankings
from monai_iel.data import load_datalist, make_phantom_dataset
from monai_iel.data.splits import sort_by_hash
from monai_iel.noisy_labels import LabelFile, label_damage
from monai_iel.study import BundleRun

from .conftest import organ, probabilities, save

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The script; its parts are found beside it."""
    sys.path.insert(0, str(SCRIPTS))
    import audit_study

    yield audit_study
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def entries(organs: Path) -> list[dict[str, str]]:
    return load_datalist(organs, "training", spatial_dims=3, check="files")


def changed(truth: Any) -> set[str]:
    """Cases whose audited label differs from the clean one."""
    files = {
        case_id: (LabelFile(Path(case["label"])), LabelFile(Path(case["clean"])))
        for case_id, case in truth.cases.items()
    }
    return {case_id for case_id, (one, other) in files.items() if (one.read()[0] != other.read()[0]).any()}


def test_cases_that_the_noise_leaves_as_they_are_are_replaced(script: Any, entries: list, tmp_path: Path) -> None:
    """Each of the two organs is dropped with probability 1/2, so that some labels stay as they are."""
    noise = InstanceLabelNoise(fraction=0.5)
    stays = {
        e["case_id"]
        for e in entries
        for label in [LabelFile(Path(e["label"])).read()[0]]
        if (noise.corrupt_case(label.copy(), (1.0,) * 3, e["case_id"]) == label).all()
    }
    assert stays
    count = len(entries) - len(stays)
    truth = script.corrupt(tmp_path / "out", entries, noise, count, None)
    assert truth.wrong == changed(truth) == {e["case_id"] for e in entries} - stays
    with pytest.raises(ValueError, match=f"changes {count} of the 6 cases, expected {count + 1}"):
        script.corrupt(tmp_path / "other", entries, noise, count + 1, None)


def test_the_corrupted_labels_have_the_dice_that_was_asked_for(script: Any, entries: list, tmp_path: Path) -> None:
    noise = MorphologyLabelNoise(radius=(1, 3))
    truth = script.corrupt(tmp_path, entries, noise, 4, 0.8)
    assert len(truth.wrong) == 4
    assert truth.noise["dice"] == pytest.approx(0.8, abs=0.05)
    case = truth.cases[sorted(truth.wrong)[0]]
    clean, spacing = LabelFile(Path(case["clean"])).read()
    damage = label_damage(LabelFile(Path(case["label"])).read()[0], clean, spacing)
    assert case["damage"]["dice"] == pytest.approx(damage.dice, abs=1e-6)


def test_what_is_corrupted_is_not_corrupted_again(script: Any, entries: list, tmp_path: Path) -> None:
    noise = MorphologyLabelNoise(radius=(1, 3))
    truth = script.corrupt(tmp_path, entries, noise, 2, None)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("labels/*")}
    assert len(times) == 2
    assert script.corrupt(tmp_path, entries, noise, 2, None) == truth
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("labels/*")} == times


def test_the_first_cases_are_those_of_the_hash(script: Any, organs: Path) -> None:
    found = [entry["case_id"] for entry in script.first_cases(organs, 4, None)]
    assert found == sort_by_hash(f"c{i}" for i in range(6))[:4]
    with pytest.raises(ValueError, match="has 6 cases, expected 7; give --cases"):
        script.first_cases(organs, 7, None)


@pytest.fixture
def audited(organs: Path, tmp_path: Path) -> Path:
    """The folder of an audit of `organs`, whose case c3 is wrong."""
    return audit(organs, tmp_path / "audit", predictions=tmp_path / "predictions", pictures=0, progress=False).folder


@pytest.fixture
def truth(script: Any, organs: Path, entries: list, tmp_path: Path) -> Any:
    cases = {e["case_id"]: {"image": e["image"], "label": e["label"], "clean": e["label"]} for e in entries}
    clean = save(tmp_path / "clean" / "c3.nii.gz", organ(3))
    cases["c3"] |= {"clean": str(clean), "damage": {"dice": 0.5}}
    return script.Truth(cases, {})


def test_the_first_of_the_worklist_is_replaced_by_its_proposal_or_by_hand(
    script: Any, truth: Any, audited: Path
) -> None:
    sets = script.label_sets(truth, audited)
    assert list(sets) == ["noisy", "clean", "proposals", "by hand"]
    assert {case for case in truth.cases if sets["proposals"][case] != sets["noisy"][case]} == {"c3"}
    assert sets["by hand"] == sets["clean"] != sets["noisy"]
    np.testing.assert_array_equal(LabelFile(sets["proposals"]["c3"]).read()[0], organ(3))
    (row,) = script.replaced(truth, audited)
    assert row == {"case": "c3", "corrupted": True, "has_proposal": True, "before": 0.5, "after": 1.0}


def test_cleanlab_gets_the_slices_of_a_volume_as_they_are(script: Any, audited: Path) -> None:
    from cleanlab.segmentation import rank

    found = script.rankings({"iel/heat": audited, "plain": audited}, "plain", 3)
    assert list(found) == [
        *("audit, iel/heat", "audit, plain", "cleanlab, mean of slices", "cleanlab, lowest slice"),
        *("Dice, iel/heat", "Dice, plain"),
    ]
    label, seen = np.where(organ(3) == 2, 0, organ(3)), probabilities(organ(3))
    qualities = [
        rank.get_label_quality_scores(label[None, ..., k], np.moveaxis(seen[..., k, :], -1, 0)[None], verbose=False)[0][
            0
        ]
        for k in range(10)
    ]
    assert found["cleanlab, mean of slices"]["c3"] == pytest.approx(1 - np.mean(qualities), abs=1e-5)
    assert found["cleanlab, lowest slice"]["c3"] == pytest.approx(1 - min(qualities), abs=1e-5)
    assert found["Dice, plain"]["c3"] == pytest.approx(0.5, abs=1e-6)  # of its two classes one is lost
    assert all(max(ranking, key=lambda case: ranking[case]) == "c3" for ranking in found.values())


def dices(script: Any, **means: tuple[float, ...]) -> dict[str, list[dict[str, float]]]:
    """Dice of 20 test cases by set of labels and seed: what is given, and how hard the case is."""
    hard = np.random.default_rng(0).normal(0, 0.03, 20)
    names = {"noisy": "noisy", "clean": "clean", "proposals": "proposals", "hand": "by hand"}
    return {
        names[name]: [{f"t{i}": mean + float(x) for i, x in enumerate(hard)} for mean in seeds]
        for name, seeds in means.items()
    }


def test_the_share_of_the_gap_is_that_between_noisy_and_clean(script: Any) -> None:
    given = dices(script, noisy=(0.7, 0.72), clean=(0.8, 0.82), proposals=(0.74, 0.78), hand=(0.79, 0.81))
    sets = script.compare_labels(given, resamples=50)["sets"]
    assert sets["proposals"]["closed"]["value"] == pytest.approx(0.5)
    assert sets["by hand"]["closed"]["value"] == pytest.approx(0.9)
    assert sets["clean"]["gain"] == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})  # cases cancel: paired
    assert sets["noisy"]["dice"]["low"] < sets["noisy"]["dice"]["value"] < sets["noisy"]["dice"]["high"]
    mean = np.mean(list(given["noisy"][1].values()))
    assert sets["noisy"]["by_seed"][1] == pytest.approx(mean)


def test_no_share_is_given_of_a_gap_that_one_of_the_seeds_does_not_have(script: Any) -> None:
    given = dices(script, noisy=(0.7, 0.81), clean=(0.8, 0.8), proposals=(0.75, 0.8), hand=(0.8, 0.8))
    sets = script.compare_labels(given, resamples=50)["sets"]
    assert sets["proposals"]["closed"] is None
    assert sets["proposals"]["gain"]["value"] == pytest.approx(0.02)


def results(script: Any, shares: dict[str, float]) -> dict[str, Any]:
    """Results with rankings that put so many of the 4 wrong cases of 20 first."""
    scores = {name: {f"c{i:02}": float((i < share * 4) - i / 100) for i in range(20)} for name, share in shares.items()}
    compared = compare_rankings(scores, {f"c{i:02}" for i in (0, 1, 2, 19)}, resamples=50).record()
    given = dices(script, noisy=(0.7, 0.72), clean=(0.8, 0.82), proposals=(0.74, 0.78), hand=(0.79, 0.81))
    quality = compared["rankings"]["audit, plain"]
    return {
        "title": "organs: elastic",
        "asked": {"folds": 3},
        "noise": {"noise": "Noise()", "target_dice": 0.8, "dice": 0.801, "least_dice": 0.7, "largest_dice": 0.9},
        "cases": {"all": 20, "wrong": 4},
        "main": "audit, iel/heat",
        "audits": {"plain": {"cases": quality, "slices": None, "voxels": quality}},
        "rankings": compared,
        "retraining": {
            "compared": script.compare_labels(given, resamples=50),
            "replaced": [
                {"case": "a", "corrupted": True, "has_proposal": True, "before": 0.8, "after": 0.9},
                {"case": "b", "corrupted": False, "has_proposal": False, "before": 1.0, "after": 1.0},
            ],
        },
    }


def test_the_tables_say_what_was_found(script: Any) -> None:
    text = script.markdown(results(script, {"audit, iel/heat": 1, "audit, plain": 1, "cleanlab": 1}))
    assert (
        "4 of 20 cases corrupted by `Noise()`, for a mean Dice of 0.8; label Dice of these 0.801 (0.700 to 0.900)"
        in text
    )
    assert "audit, iel/heat: below 0.95; not below any interval." in text
    assert "| plain | voxels | 4 | 20 |" in text
    assert "| plain | slices |" not in text
    assert "0.500 (0.500 to 0.500)" in text
    assert "1 are corrupted and 1 have a proposal" in text
    assert "0.800 and 0.900 of the corrupted, 1.000 and 1.000 of the others" in text


def test_the_tables_say_which_ranking_is_better(script: Any) -> None:
    found = results(script, {"audit, iel/heat": 1, "audit, plain": 1})
    found["rankings"]["rankings"]["audit, plain"]["auroc"] = {"value": 0.99, "low": 0.98, "high": 1.0}
    assert "audit, iel/heat: below 0.95; below the interval of audit, plain." in script.markdown(found)
    found["main"] = "audit, plain"
    text = script.markdown(found)
    assert "audit, plain: at least 0.95; not below any interval." in text
    assert "AUROC of audit, plain less this" in text


def test_a_share_of_no_case_is_refused(script: Any, organs: Path, tmp_path: Path) -> None:
    line = [str(tmp_path / "out"), str(organs), "--data", "data/hippocampus", "--noise", "instances"]
    given = script.arguments([*line, "--noise-set", "fraction=0.5", "--cases", "6", "--share", "0.01"])
    with pytest.raises(ValueError, match=r"--share 0.01 of 6 cases is 0"):
        script.Study.begin(given)


@pytest.mark.slow
def test_a_study_goes_from_the_list_to_the_tables_and_is_taken_up_again(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings: list[Path] = []
    run = BundleRun._run

    def noted(self: BundleRun, configs: Any, overlays: Any, settings: Any) -> float:
        if list(configs) == ["train"]:
            trainings.append(self.folder)
        return run(self, configs, overlays, settings)

    monkeypatch.setattr(BundleRun, "_run", noted)
    sizes = {"num_training": 12, "num_validation": 1, "num_test": 3}
    source = make_phantom_dataset(tmp_path / "data", spatial_dims=2, shape=(48, 48), **sizes)
    line = "--data data/phantom_2d --cases 10 --share 0.3 --noise elastic --noise-set displacement=2 --target-dice 0.8"
    line += " --noise-set correlation=8 --folds 2 --set max_epochs=2 --set patch_size=[48,48] --set val_interval=1000"
    line += " --set features=[4,4,8,8,8,4] --seed 0 --resamples 20"
    script.main([str(tmp_path / "out"), str(source), *line.split()])
    assert len(trainings) == 2 * 2 + 4
    text = (tmp_path / "out" / "RESULTS.md").read_text()
    assert text.strip() in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(content["retraining"]["compared"]["sets"]) == {"noisy", "clean", "proposals", "by hand"}
    script.main([str(tmp_path / "out"), str(source), *line.split()])
    assert len(trainings) == 2 * 2 + 4
    assert (tmp_path / "out" / "RESULTS.md").read_text() == text
    with pytest.raises(FileExistsError, match=r"holds another run: share is 0\.3 there, 0\.2 here"):
        script.main([str(tmp_path / "out"), str(source), *line.replace("--share 0.3", "--share 0.2").split()])
