"""Every public name says what it is."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import advface

PACKAGE = Path(__file__).parents[1]


def test_docstrings_and_hints():
    for name in advface.__all__:
        thing = getattr(advface, name)
        assert inspect.getdoc(thing), name
        members = vars(thing).items() if inspect.isclass(thing) else [("", thing)]
        for member, what in members:
            if member.startswith("_"):
                continue
            what = getattr(what, "fget", None) or getattr(what, "__func__", what)
            if not inspect.isfunction(what):
                continue
            assert inspect.getdoc(what), f"{name}.{member}"
            hints = {p: q.annotation for p, q in inspect.signature(what).parameters.items()}
            untyped = [p for p, q in hints.items() if q is inspect.Parameter.empty and p not in ("self", "cls")]
            assert not untyped, f"{name}.{member}: {untyped}"
            assert inspect.signature(what).return_annotation is not inspect.Signature.empty, f"{name}.{member}"


def mypy(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", folder / "cache", *arguments],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "MYPYPATH": os.fspath(PACKAGE)}, timeout=600,
    )  # fmt: skip


def test_types(tmp_path):
    """As a caller with mypy --strict sees the package: no error in it, and of every object what it is."""
    pytest.importorskip("mypy", reason="without mypy the types are not looked at")
    done = mypy(tmp_path, "-p", "advface")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "caller.py").write_text(
        "import advface\n"
        "with advface.Key('k') as key, advface.Store('s', key=key) as store:\n"
        "    store.add([[1.0]], 'a').mean()\n"
        "    store.nothing()\n"
        "    key.info['id'] + 1\n"
        "def stop() -> bool: return True\n"
        "noise = advface.Protection('noise', shape=4, key='k')\n"
        "noise.score([[1.0]], [[1.0]], stop=stop).mean()\n"
        "noise.protect([[1.0]], 0).nothing()\n"
        "noise.protect([[1.0]], 0, reports=True)[1].nothing()\n"
    )
    done = mypy(tmp_path, "caller.py")
    told = [line.split(":")[1] for line in done.stdout.splitlines() if ": error: " in line]
    assert told == ["4", "5", "9", "10"], done.stdout + done.stderr
