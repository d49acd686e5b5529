"""What is chosen from, and the overlays that a choice ends in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_iel import Evolved, InverseEvolutionLoss
from monai_iel.resources import bundle_root, overlay
from monai_iel.study import BundleRun
from monai_iel.tune import Candidate, default_candidates
from monai_iel.tune.answer import write_answer
from monai_iel.tune.candidates import smoothings

SMOOTHED = Candidate.of(after=["evolve"], after_settings={"iel_gain": 10.0, "iel_steps": 1})
HEAT = Candidate.of(["iel/heat"], {"iel_gain": 7.0, "iel_steps": 5})


def parsed(*files: Path | str, **settings: Any) -> ConfigParser:
    configs = bundle_root("noisy_annotation_segmentation") / "configs"
    paths = [str(configs / f"{file}.yaml") if isinstance(file, str) else str(file) for file in files]
    made = ConfigParser(ConfigParser.load_config_files(paths))
    made.update(settings)
    return made


def test_a_choice_for_training_is_an_overlay_that_trains(
    training_list: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    (path,) = write_answer(tmp_path, HEAT, ["It was the best.", "word " * 60])
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "# It was the best." in comments
    assert max(map(len, path.read_text().splitlines())) <= 120
    settings = {**quick, "dataset_json": str(training_list)}
    run = BundleRun(("data/phantom", str(path)), settings, tmp_path)
    (loss,) = run.content("@loss")
    assert isinstance(loss, InverseEvolutionLoss)
    assert "num_steps=5, " in repr(loss.layer)
    assert "gain=7" in repr(loss.layer)
    run.train()
    assert (tmp_path / "train" / "model_last.pt").is_file()


def test_a_choice_for_the_inference_smooths_there_and_in_the_evaluation_and_trains_plainly(tmp_path: Path) -> None:
    train, inference, evaluate = write_answer(tmp_path, SMOOTHED, ["Reason."])
    data = overlay("data/phantom")
    spacing = ConfigParser.load_config_file(data)["spacing"][2]
    (found,) = parsed("inference", data, inference).get_parsed_content("smoothing")
    assert isinstance(found, Evolved)
    (other,) = parsed("train", data, train, "evaluate", evaluate, device="cpu").get_parsed_content(
        "validate::smoothing"
    )
    for smoothing in (found.transform, other.transform):
        assert (smoothing.gain, smoothing.num_steps, list(smoothing.spacing)) == (10, 1, [1.0, 1.0, spacing])
    assert parsed("train", data, train)["loss"] == "@base_loss"


def test_files_of_an_earlier_choice_are_removed(tmp_path: Path) -> None:
    write_answer(tmp_path, SMOOTHED, [])
    write_answer(tmp_path, Candidate.of(), [])
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.yaml"]
    assert "loss: '@base_loss'" in (tmp_path / "tuned.yaml").read_text()


def test_one_step_reaches_as_many_voxels_as_it_says() -> None:
    """sqrt(2 dt) = 3 mm, so dt = 4.5 mm^2, and the gain is 1 + 4.5 (4 + 4)."""
    strengths = [candidate.after_settings for candidate in smoothings([1.0, 1.0])]
    assert strengths[-2:] == [{"iel_gain": 37.0, "iel_steps": 1}, {"iel_gain": 145.0, "iel_steps": 1}]
    assert smoothings([2.0, 2.0, 2.0])[-2].after_settings["iel_gain"] == 55.0


def test_candidates_of_convex_organs_have_curvature_for_these_alone(
    training_list: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai_iel.data.convexity_guard import ConvexityWarning
    from monai_iel.tune import candidates as module

    def guard(cases: Any, load: Any, *, class_names: Any, regions: Any, reach_mm: float, progress: bool) -> None:
        assert reach_mm > 0
        assert len(cases) == 5
        if regions != [[2]]:
            import warnings

            warnings.warn("not convex", ConvexityWarning, stacklevel=1)

    monkeypatch.setattr(module, "guard_convexity", guard)
    run = BundleRun(("data/phantom",), {**quick, "dataset_json": str(training_list)}, tmp_path)
    found = default_candidates(run)
    assert found[-1].name == "iel/convex_curvature convex_regions=[[2]]"
    assert [candidate.kind for candidate in found] == sorted(candidate.kind for candidate in found)
    assert len({candidate.name for candidate in found}) == len(found) == 14
    monkeypatch.setattr(module, "convex_regions", lambda run: [])
    assert len(default_candidates(run)) == 13


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"overlays": ["iel/heet"]}, "no overlay 'iel/heet'; did you mean 'iel/heat'"),
        ({"after": ["after/largest_component"]}, "'after/largest_component' sets 'validate#clean_up'"),
        ({"after": ["iel/heat"]}, "'iel/heat' does not set 'validate#smoothing'"),
        ({"after_settings": {"iel_gain": 3}}, "no overlay there; add one"),
    ],
)
def test_candidates_that_are_none_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Candidate.of(**arguments)
