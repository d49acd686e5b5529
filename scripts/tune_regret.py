"""How the criteria of ``monai-iel tune`` do on the trainings of a study, where the clean labels are known.

Give it a study that ``monai-iel compare`` has run, and the folder it was run into. Nothing is trained, but for
``--criterion halves``. Writes ``tune_regret.csv`` into the folder and prints two tables: mean and largest regret by
criterion, beside those of always taking the same candidate; and what was chosen where.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_iel.files import write_text
from monai_iel.resources import study_file
from monai_iel.study.compare import load_study
from monai_iel.tune import CRITERIA, mean_regret, regret_table


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of rows with the same keys."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        lines.append("| " + " | ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
    return "\n".join(lines)


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="study file, or the name of one in configs/study")
    parser.add_argument("folder", type=Path, help="folder that it was run into")
    parser.add_argument("--data-root", type=Path, help="folder that its data lists are relative to")
    parser.add_argument("--criterion", action="append", choices=list(CRITERIA), help="default: all that train nothing")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once, for halves")
    given = parser.parse_args()
    study = load_study(study_file(given.study), given.data_root)
    criteria = given.criterion or [name for name in CRITERIA if name != "halves"]
    rows = regret_table(study, given.folder.resolve(), criteria=criteria, jobs=given.jobs)
    if not rows:
        raise SystemExit(f"{given.folder}: no cell of the study is done there; run monai-iel compare first")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(given.folder / "tune_regret.csv", text.getvalue())
    print(markdown(mean_regret(rows)))
    print()
    print(markdown([row for row in rows if row["criterion"] in criteria]))


if __name__ == "__main__":
    main()
