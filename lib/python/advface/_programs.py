"""The programs, from Python: what takes hours has a process of its own, with its checkpoints."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

from ._arrays import as_array
from ._capi import AdvFaceError, InvalidArgument, encoded
from ._faces import Decoder


class ProgramFailed(AdvFaceError, RuntimeError):
    """A program ended with an error. code: its exit code, below 0 where a signal ended it; the text is what it said
    last."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.code)


class ProgramNotFound(AdvFaceError, FileNotFoundError):
    """There is no such program where programs are looked for."""


def program(name: str) -> str:
    """The path of advface-NAME: in the folder that the environment variable ADVFACE_BIN names, or on PATH.

    Raises ProgramNotFound."""
    folder = os.environ.get("ADVFACE_BIN")
    found = shutil.which("advface-" + name, path=folder) if folder else shutil.which("advface-" + name)
    if not found:
        raise ProgramNotFound(
            f"advface-{name} was not found {'in ' + folder if folder else 'on PATH'}; build AdvFace, and name the "
            "folder of its programs in the environment variable ADVFACE_BIN"
        )
    return found


def run(name: str, *arguments: Any, accept: Sequence[int] = (0,)) -> str:
    """Runs advface-NAME with these arguments; what it printed. Its progress is not shown.

    Raises ProgramFailed for an exit code that is not in `accept`. What is raised here meanwhile, as Ctrl-C is, ends the
    program first, which saves what it has, and comes out then; where that takes too long, another Ctrl-C kills it."""
    words = [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in arguments]
    command = [program(name), *[os.fsdecode(encoded(word, "an argument")) for word in words]]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)  # the terminal may have told it already, which makes no difference
            try:
                process.communicate()  # empties its pipes, so that it can end
            except BaseException:
                process.kill()
                raise
            raise
    if process.returncode not in accept:
        lines = err.strip().splitlines()
        raise ProgramFailed(lines[-1] if lines else f"advface-{name} ended with {process.returncode}", process.returncode)
    return out


def write_faces(folder: Any, faces: Any, people: Sequence[Any]) -> list[str]:
    """Writes faces (N, H, W, 3) uint8, RGB, as pictures that the programs read, a folder for each person.

    people: who is on each: numbers, or names without a slash. Returns their names below the folder, in order."""
    a = as_array(faces, "faces")
    if a.ndim != 4 or a.shape[-1] != 3 or a.dtype != np.uint8:
        raise InvalidArgument(f"faces: (N, H, W, 3) of uint8 is wanted, not {a.dtype} of shape {a.shape}")
    if len(people) != len(a):
        raise InvalidArgument(f"there are {len(people)} people for {len(a)} faces")
    names: list[str] = []
    counts: dict[str, int] = {}
    for face, person in zip(a, people):
        who = f"person_{person:06d}" if isinstance(person, (int, np.integer)) else str(person)
        if not who or who in (".", "..") or "/" in who or "\0" in who:
            raise InvalidArgument(f"the person {who!r} cannot have a folder of that name")
        counts[who] = counts.get(who, 0) + 1
        name = f"{who}/{counts[who]:04d}.ppm"
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6\n%d %d\n255\n" % (a.shape[2], a.shape[1]) + np.ascontiguousarray(face).tobytes())
        names.append(name)
    return names


def train_shadow(
    faces: Any, people: Sequence[Any], recogniser: Any, out: Any, *,
    features: Optional[Any] = None, role: str = "shadow", **options: Any,
) -> Decoder:  # fmt: skip
    """Trains a decoder on arrays by advface-train, and loads it.

    faces: (N, H, W, 3) uint8, cut out as the recogniser's card wants them; people: who is on each (the split by
    person keeps some for tests); recogniser: path of the card. features: (N, D), where another tool has computed
    them already, else the recogniser does. out: the decoder's file (.safetensors). role: "shadow" or "attacker".
    options: those of advface-train without their dashes, epochs=12, image_size=64; a list gives one several times.

    A program does it and not a call: it takes minutes to hours, leaves checkpoints and goes on from them (resume=True),
    and its memory is the system's again when it ends.
    """
    with tempfile.TemporaryDirectory(prefix="advface-") as folder:
        names = write_faces(Path(folder) / "faces", faces, people)
        arguments = [role, "--recogniser", recogniser, "--images", Path(folder) / "faces", "--out", out]
        if features is not None:
            np.save(Path(folder) / "features.npy", np.asarray(features, dtype=np.float32))
            (Path(folder) / "list.txt").write_text("".join(n + "\n" for n in names))
            arguments += ["--features", Path(folder) / "features.npy", "--list", Path(folder) / "list.txt"]
        run("train", *arguments, *option_list(options))
    return Decoder(out)


def option_list(options: dict[str, Any]) -> list[Any]:
    """Options of a program by name: True is a flag, a list gives one several times."""
    arguments: list[Any] = []
    for name, value in options.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None or one is False:
                continue
            arguments += ["--" + name.replace("_", "-")] + ([] if one is True else [one])
    return arguments
