"""Audits: every attacker on every protection, with a verdict. By advface-audit, whose report is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional

from ._capi import Failed, encoded
from ._programs import option_list, run


class Report(dict[str, Any]):
    """report.json of an audit (docs/audit.md), as a dictionary. path: of the file; page: of report.html beside it."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.path = path

    @property
    def page(self) -> Path:
        """report.html beside it, the one for people."""
        return self.path.with_name("report.html")


def read_report(path: Any) -> Report:
    """A report that advface-audit has written: its report.json, or the folder that holds it. Raises Failed."""
    file = Path(os.fsdecode(encoded(path, "path")))
    if file.is_dir():
        file = file / "report.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise Failed(f"{file}: cannot be read as a report: {e}") from None
    if not isinstance(values, dict) or values.get("format") != "advface-audit-report":
        raise Failed(f"{file}: is no report of advface-audit")
    return Report(file, values)


def audit(config: Optional[Any] = None, *, out: Any, **options: Any) -> Report:
    """Runs advface-audit and reads its report.

    config: the file that says what is audited; or None, with options (recogniser=, images=, labels=, quick=True).
    out: folder of the report. options: the program's, without their dashes; cache=DIR keeps what was computed.
    Raises ProgramFailed. Takes minutes to hours; what was finished is found again by the next call.
    """
    run("audit", *([] if config is None else [config]), "--out", out, *option_list(options))
    return read_report(out)
