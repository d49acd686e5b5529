"""Files that come from elsewhere are data: whatever stands in them, nothing of it is run.

Archives are in data/test_archive.py, paths that leave the folder of a data list in data/test_roots.py, configs that are
listed before they are evaluated in verify/test_listing.py.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigWorkflow
from monai.transforms import LoadImaged
from PIL import Image
from torch import nn

import monai_iel
from monai_iel.data import load_datalist
from monai_iel.handlers import TrainingCheckpointHandler
from monai_iel.resources import BUNDLES, bundle_root
from monai_iel.study import BundleRun, root_cause

CONVEX = BUNDLES[1]
REPO = Path(__file__).parents[1]
SOURCES = sorted([*Path(monai_iel.__file__).parent.rglob("*.py"), *(REPO / "scripts").rglob("*.py")])

# Names that MONAI's parser of configs would evaluate, look up or read a file for. The payload writes the file "run".
NAMES = ["$open('run','w')", "@seed", "@bundle_root", "%train.yaml", "@@a#b", "{0.__class__}", "a#1", "$import this"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.chdir(tmp_path)


class Payload:
    """Unpickled, it writes the file "run"."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("run", "w")


def has_run() -> bool:
    return Path("run").exists()


@pytest.fixture(params=["alone", "among weights"])
def evil(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    """Writes a checkpoint with a payload."""

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"network": {"weight": torch.ones(1)}, "epoch": 1, "best_metric": Payload()}
        torch.save(Payload() if request.param == "alone" else content, path)
        return path

    return write


def test_the_payload_works(evil: Callable[[Path], Path]) -> None:
    """Guards the tests below."""
    torch.load(evil(Path("model.pt")), weights_only=False)
    assert has_run()


def test_a_training_does_not_go_on_from_a_malicious_checkpoint(evil: Callable[[Path], Path]) -> None:
    network = nn.Conv2d(1, 1, 1)
    trainer, optimizer = Engine(lambda engine, batch: None), torch.optim.SGD(network.parameters(), 0.1)
    evil(Path("checkpoint.pt"))
    handler = TrainingCheckpointHandler(".", network, optimizer, Engine(lambda e, b: None), resume=True)
    handler.attach(trainer)
    with pytest.raises(ValueError, match=r"checkpoint.pt"):
        trainer.run([0], max_epochs=2)
    assert not has_run()


def test_inference_does_not_load_a_malicious_model(evil: Callable[[Path], Path]) -> None:
    pictures(Path("images"), ["a"])
    workflow = inference(checkpoint=str(evil(Path("model.pt"))))
    workflow.initialize()
    with pytest.raises(RuntimeError) as caught:
        workflow.run()
    assert "Weights only load failed" in str(root_cause(caught.value))
    assert not has_run()


def test_a_bundle_with_a_malicious_model_does_not_pass(evil: Callable[[Path], Path]) -> None:
    pytest.importorskip("jsonschema", reason="verify needs jsonschema, in the extra 'cli'")
    from monai_iel.verify.weights import check_weights

    evil(Path("models/model.pt"))
    assert check_weights(Path()).problems == (
        "models/model.pt cannot be loaded as weights alone (UnpicklingError): it is damaged, or holds code",
    )
    assert not has_run()


def test_pickled_objects_in_an_image_file_are_not_loaded() -> None:
    np.save("image.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    with pytest.raises(Exception, match="allow_pickle"):
        LoadImaged("image")({"image": "image.npy"})
    assert not has_run()


def pictures(folder: Path, names: Sequence[str], *, labelled: bool = False) -> list[Path]:
    """Pictures of a disc on a ground, with their labels beside them or without."""
    folder.mkdir()
    axis = np.linspace(-1, 1, 112)
    disc = (axis[:, None] ** 2 + axis**2 < 0.3).astype(np.uint8)
    for name in names:
        Image.fromarray(np.stack([90 * disc + 50] * 3, axis=-1)).save(folder / f"{name}.png")
        if labelled:
            Image.fromarray(disc).save(folder / f"{name}_label.png")
    return [folder / f"{name}.png" for name in names]


def data_list(names: Sequence[str], *, ids: bool) -> Path:
    """A list beside the pictures, with names relative to it, as somebody else has written it."""
    pictures(Path("images"), names, labelled=True)
    entries: list[dict[str, str]] = [{"image": f"{name}.png", "label": f"{name}_label.png"} for name in names]
    if ids:
        entries = [{**entry, "id": name} for entry, name in zip(entries, names, strict=True)]
    path = Path("images/dataset.json")
    path.write_text(json.dumps(dict.fromkeys(("training", "validation", "test"), entries)))
    return path.resolve()


def bundle(*configs: str, **settings: Any) -> ConfigWorkflow:
    root = bundle_root(CONVEX)
    return ConfigWorkflow(
        config_file=[str(root / "configs" / f"{name}.yaml") for name in configs],
        workflow_type="infer" if configs[0] == "inference" else "train",
        logging_file=False,
        **{"bundle_root": str(root), "device": "cpu", "output_dir": "out", **settings},
    )


def inference(**settings: Any) -> ConfigWorkflow:
    return bundle("inference", dataset_dir="images", **settings)


@pytest.mark.parametrize("ids", [True, False], ids=["as ids", "as paths alone"])
def test_a_bundle_trains_on_a_malicious_list_and_takes_it_literally(ids: bool) -> None:
    path = data_list(NAMES, ids=ids)
    small = {"features": [4, 4, 4, 4, 8, 4], "patch_size": [112, 112], "batch_size": 8, "max_epochs": 1}
    workflow = bundle("train", dataset_dir="images", dataset_json=str(path), num_workers=0, **small)
    workflow.initialize()
    cases = workflow.parser.get_parsed_content("train::cases")
    assert [Path(case["image"]).name for case in cases] == [f"{name}.png" for name in NAMES]
    assert [case["case_id"] for case in cases] == (NAMES if ids else [f"{name}.png" for name in NAMES])
    workflow.run()
    workflow.finalize()
    assert Path("out/model.pt").is_file()
    assert not has_run()


def test_a_table_of_an_evaluation_holds_malicious_ids_literally() -> None:
    path = data_list(NAMES, ids=True)
    workflow = bundle("train", "evaluate", dataset_dir="images", dataset_json=str(path))
    workflow.initialize()
    workflow.run()
    table = Path("out/cases.csv").read_text()
    assert all(name in table for name in ("@seed", "%train.yaml", "$import this"))
    assert not has_run()


def test_a_folder_of_malicious_names_is_segmented() -> None:
    pictures(Path("images"), NAMES)
    workflow = inference()
    workflow.initialize()
    workflow.run()
    assert sorted(path.name for path in Path("out").glob("*.png")) == sorted(f"{name}_seg.png" for name in NAMES)
    assert not has_run()


def test_a_study_segments_malicious_names() -> None:
    """These are given to the config itself, where strings would be evaluated."""
    images = [path.name for path in pictures(Path("images"), NAMES)]
    run = BundleRun(overlays=(), settings={"device": "cpu"}, folder=Path("runs").resolve(), bundle=CONVEX)
    (run.folder / "train").mkdir(parents=True)
    shutil.copy(bundle_root(CONVEX) / "models" / "model.pt", run.folder / "train" / "model_last.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("images")
        out = run.segment(images)
        assert not has_run()
    assert sorted(path.name for path in out.glob("*.png")) == sorted(f"{name}_seg.png" for name in NAMES)


def test_a_list_is_no_config() -> None:
    path = Path("dataset.json")
    path.write_text(json.dumps({"training": "$[open('run','w')]", "imports": ["$import this"]}))
    with pytest.raises(ValueError, match="is a str, expected a list of cases"):
        load_datalist(path, "training", spatial_dims=2)
    assert not has_run()


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


FORBIDDEN = {
    "eval",
    "exec",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "yaml.load",
    "yaml.unsafe_load",
}
UNLESS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def forbidden(call: ast.Call) -> bool:
    name, arguments = ast.unparse(call.func), {k.arg: getattr(k.value, "value", None) for k in call.keywords}
    if name in UNLESS:
        wanted, value = UNLESS[name]
        return arguments.get(wanted) is not value
    return name in FORBIDDEN or arguments.get("shell") is True or arguments.get("allow_pickle") is True


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPO).as_posix())
def test_no_source_runs_what_a_file_holds(path: Path) -> None:
    assert [f"line {call.lineno}: {ast.unparse(call)}" for call in calls(path) if forbidden(call)] == []


@pytest.mark.parametrize(
    "text", ["eval(x)", "torch.load(x)", "torch.load(x, weights_only=False)", "yaml.load(x)", "run(x, shell=True)"]
)
def test_what_is_forbidden_is_seen(text: str) -> None:
    """Guards the test above."""
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert forbidden(call)
    assert not forbidden(
        next(n for n in ast.walk(ast.parse("torch.load(x, weights_only=True)")) if isinstance(n, ast.Call))
    )
