"""AdvFace: protection of stored face features, in Python over the C interface of libadvface.

Arrays are numpy's, float32 where nothing else is said; those that lie in C order are read where they are. Calls
release the interpreter's lock; objects may be used by several threads at once. Errors are subclasses of AdvFaceError.
docs/library.md explains every name.
"""

import atexit as _atexit

from . import _long_calls
from ._audit import Report, audit, read_report
from ._capi import (
    AdvFaceError,
    Failed,
    Forked,
    Interrupted,
    InvalidArgument,
    InvalidHandle,
    NotFound,
    NotInThisBuild,
    OutOfMemory,
    WrongType,
    has,
    set_threads,
    threads,
    version,
)
from ._faces import Decoder, Detector, Face, Recogniser
from ._key import Key
from ._programs import ProgramFailed, ProgramNotFound, program, run, train_shadow, write_faces
from ._protection import Protection, nearest, score
from ._store import Match, Store

__all__ = [
    "AdvFaceError", "Decoder", "Detector", "Face", "Failed", "Forked", "Interrupted", "InvalidArgument",
    "InvalidHandle", "Key", "Match", "NotFound", "NotInThisBuild", "OutOfMemory", "ProgramFailed", "ProgramNotFound",
    "Protection", "Recogniser", "Report", "Store", "WrongType", "audit", "has", "nearest", "program", "read_report",
    "run", "score", "set_threads", "threads", "train_shadow", "version", "write_faces",
]  # fmt: skip

__version__ = version()
_atexit.register(_long_calls.end)  # now that nothing of the import can fail any more
