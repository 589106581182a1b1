"""docs/commands.md is what `--help` says."""

from __future__ import annotations

from tests.scripts.conftest import script


def test_the_page_is_up_to_date() -> None:
    made = script("command_reference")
    assert made.REFERENCE.read_text(encoding="utf-8") == made.reference(), (
        "run scripts/command_reference.py"
    )
