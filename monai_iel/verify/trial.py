"""Each workflow of a bundle, initialised, asked for its properties, and run for one iteration on phantoms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from monai_iel.verify.check import EVALUATION_ERRORS, Check, reason
from monai_iel.verify.configs import configs_of
from monai_iel.verify.layout import workflow_type
from monai_iel.verify.phantoms import write_phantoms
from monai_iel.verify.schema import read_metadata

__all__ = ["check_workflow"]


def check_workflow(root: Path, workflow: str) -> list[Check]:
    """Properties and one iteration of a workflow. Evaluates configs, and writes into ``root``: give it a copy.

    The phantoms take the place of the data under MONAI's ids for them (``dataset_dir``, ``train::dataset::data``,
    ``validate::dataset::data``, ``dataset::data``).

    Args:
        root: a copy of the bundle.
        workflow: one of `WORKFLOWS`.
    """
    properties, iteration = f"properties of {workflow}", f"an iteration of {workflow}"
    data = root / "data" / f"phantom-{workflow}"
    data.mkdir(parents=True, exist_ok=True)
    try:
        made = _workflow(root, workflow, data, write_phantoms(data, read_metadata(root)))
        made.initialize()
        missing = made.check_properties() or []
    except EVALUATION_ERRORS as error:
        return [Check(properties, (reason(error),)), Check(iteration, not_run="the workflow cannot be initialised")]
    first = Check(properties, tuple(f"{name!r} is missing, or has another id" for name in missing))
    try:
        made.run()
        made.finalize()
        problems = _watched(made, workflow)
    except EVALUATION_ERRORS as error:
        problems = (reason(error),)
    return [first, Check(iteration, problems)]


def _workflow(root: Path, workflow: str, data: Path, cases: list[dict[str, str]]) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=configs_of(root, workflow),
        meta_file=str(root / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type=workflow_type(workflow),
        bundle_root=str(root),
        dataset_dir=str(data),
    )
    training, validation, test = ((case,) for case in cases)  # tuples: MONAI looks into lists for expressions
    images = tuple({"image": case["image"], "case_id": case["case_id"]} for case in test)
    settings: dict[str, Any] = {
        "train::dataset::data": training,
        "train::trainer::max_epochs": 1,
        "validate::dataset::data": test if workflow == "evaluation" else validation,
        "dataset::data": images,
    }
    for name, value in settings.items():
        if name in made.parser:
            made.parser[name] = value
    return made


def _watched(made: ConfigWorkflow, workflow: str) -> tuple[str, ...]:
    """What is wrong with a run that raised nothing."""
    engine = made.trainer if workflow == "training" else made.evaluator
    if engine.state.iteration < 1:
        return ("the engine made no iteration",)
    output = engine.state.output
    loss = output[0].get("loss") if isinstance(output, list) and output and isinstance(output[0], dict) else None
    if workflow == "training" and loss is not None and not math.isfinite(float(loss)):
        return (f"the loss is {float(loss)}",)
    return ()
