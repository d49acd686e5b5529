"""What every subcommand prints by."""

from __future__ import annotations

import pytest

from monai_iel.cli import print_table


def test_brackets_in_a_table_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"[/case]": "a[/b]", "note": "[red]:smile:[/red]", "value": -0.5, "none": None}])
    heading, row = capsys.readouterr().out.splitlines()[1:4:2]
    assert "[/case]" in heading
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["a[/b]", "[red]:smile:[/red]", "-0.5000", "-"]
