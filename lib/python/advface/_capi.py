"""The C interface: the library's file, its structs, and how a call becomes a result or an exception."""

from __future__ import annotations

import ctypes
import json
import numbers
import operator
import os
import weakref
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Callable, Iterable, NoReturn, Optional, TypeVar

MAX_RANK = 5


class AdvFaceError(Exception):
    """A call into the library failed. The text says what, and what to do."""


class InvalidArgument(AdvFaceError, ValueError):
    """A shape, type, setting or name that cannot be."""


class InvalidHandle(AdvFaceError, ValueError):
    """An object that was closed already."""


class Failed(AdvFaceError, RuntimeError):
    """A file, or values, that cannot be used as they are."""


class Interrupted(AdvFaceError):
    """What was given as `stop` asked for it. Ctrl-C raises KeyboardInterrupt instead."""


class OutOfMemory(AdvFaceError, MemoryError):
    """There is too little memory, or the system gives the process no more threads."""


class Forked(AdvFaceError, RuntimeError):
    """The process came from fork(), and the one it came from had used the library."""


class NotFound(AdvFaceError, LookupError):
    """Nobody has that name, or no record that number."""


class NotInThisBuild(AdvFaceError, NotImplementedError):
    """The library was built without keys."""


class WrongType(InvalidArgument, TypeError):
    """Something of another type than the one that is wanted."""


class _Internal(AdvFaceError, RuntimeError):
    """A mistake of the library's."""


class _TooSmall(InvalidArgument):
    """A text does not fit."""


_ERRORS = {
    1: InvalidArgument,
    2: InvalidHandle,
    3: Failed,
    4: Interrupted,
    5: OutOfMemory,
    6: Forked,
    7: NotFound,
    8: NotInThisBuild,
    9: _TooSmall,
}


class Array(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("bytes", c_uint64),
        ("offset", c_uint64),
        ("type", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * MAX_RANK),
        ("strides", c_int64 * MAX_RANK),
        ("read_only", c_int32),
    ]


class Setting(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class Space(ctypes.Structure):
    _fields_ = [
        ("size", c_uint64),
        ("recogniser", c_void_p),
        ("cut", c_char_p),
        ("domain", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * MAX_RANK),
    ]


class Cut(ctypes.Structure):
    _fields_ = [
        ("size", c_uint64),
        ("detector", c_void_p),
        ("eyes", c_float * 4),
        ("choice", c_int32),
        ("longer_side", c_int32),
        ("least_side", c_double),
        ("most_angle", c_double),
    ]


class FoundFace(ctypes.Structure):
    _fields_ = [
        ("reason", c_int32),
        ("number", c_int32),
        ("of", c_int32),
        ("points", c_int32),
        ("box", c_double * 4),
        ("score", c_double),
        ("landmarks", c_double * 10),
        ("roll", c_double),
        ("yaw", c_double),
        ("pitch", c_double),
        ("sharpness", c_double),
        ("exposure", c_double),
        ("outside", c_double),
    ]


GoOn = ctypes.CFUNCTYPE(None, c_void_p, POINTER(c_int32))


class ControlStruct(ctypes.Structure):
    _fields_ = [("size", c_uint64), ("go_on", GoOn), ("user", c_void_p)]


def _library_path() -> str:
    named = os.environ.get("ADVFACE_LIBRARY")
    if named:
        return named
    beside = Path(__file__).with_name("libadvface.so")
    return str(beside) if beside.exists() else "libadvface.so.0.1"


def _load() -> ctypes.CDLL:
    path = _library_path()
    try:
        loaded = ctypes.CDLL(path)
    except OSError as e:
        raise ImportError(
            f"libadvface was not found ({e}); install the wheel, or name the file in the environment variable ADVFACE_LIBRARY"
        ) from None
    loaded.advface_version.restype = c_uint32
    have = loaded.advface_version()
    if have // 1000 != 1:
        raise ImportError(f"{path} has version {have}, but this package is for 0.1")
    return loaded


lib = _load()
_P = c_void_p
_A = POINTER(Array)
_TEXT = [c_char_p, c_uint64, POINTER(c_uint64)]
_SETTINGS = [POINTER(Setting), c_uint64, _P]
_CONTROL = POINTER(ControlStruct)
# Arguments without the last, the error object.
_CALLS: dict[str, list[Any]] = {
    "set_threads": [c_int32],
    "recogniser_load": [c_char_p, POINTER(_P)],
    "recogniser_describe": [_P, *_TEXT],
    "recogniser_feature_shape": [_P, c_char_p, POINTER(c_int64), POINTER(c_int32)],
    "extract_faces": [_P, c_char_p, _A, c_int32, _CONTROL, _A],
    "extract_pictures": [_P, c_char_p, _A, c_uint64, c_int32, POINTER(Cut), _CONTROL, _A, POINTER(FoundFace)],
    "detector_load": [c_char_p, c_double, POINTER(_P)],
    "detector_find": [_P, _A, c_int32, c_int32, POINTER(FoundFace), c_uint64, POINTER(c_uint64)],
    "decoder_load": [c_char_p, POINTER(_P)],
    "decoder_describe": [_P, *_TEXT],
    "decoder_reconstruct": [_P, _A, _CONTROL, _A],
    "key_new": [c_char_p, POINTER(_P)],
    "key_read": [c_char_p, _CONTROL, POINTER(_P)],
    "key_read_fd": [c_int32, _CONTROL, POINTER(_P)],
    "key_describe": [_P, *_TEXT],
    "protection_make": [POINTER(Space), *_SETTINGS, c_char_p, _CONTROL, POINTER(_P)],
    "protection_describe": [_P, *_TEXT],
    "protection_out_shape": [_P, POINTER(c_int64), POINTER(c_int32)],
    "protect": [_P, _A, _A, _CONTROL, _A, _P],
    "turn_probe": [_P, _A, _A, _CONTROL, _A],
    "score": [_P, _A, _A, _A, _CONTROL, _A],
    "nearest": [_P, _A, _A, _A, _CONTROL, _A, _A],
    "store_create": [c_char_p, c_char_p, POINTER(Space), *_SETTINGS, _CONTROL, POINTER(_P)],
    "store_open": [c_char_p, c_char_p, *_SETTINGS, _P, _CONTROL, POINTER(_P)],
    "store_describe": [_P, _CONTROL, *_TEXT],
    "store_add": [_P, _A, POINTER(c_char_p), c_uint64, _CONTROL, _A],
    "store_calibrate": [_P, _A, POINTER(c_char_p), c_uint64, c_double, c_char_p, _CONTROL, POINTER(c_double)],
    "store_verify": [_P, c_char_p, _A, _CONTROL, _A, POINTER(c_double)],
    "store_identify": [_P, _A, _CONTROL, _A, _A, POINTER(c_double)],
    "store_subject": [_P, c_int64, _CONTROL, *_TEXT],
    "store_remove": [_P, POINTER(c_char_p), c_uint64, _CONTROL],
}
functions: dict[str, Any] = {}
for _name, _arguments in _CALLS.items():
    _f = getattr(lib, "advface_" + _name)
    _f.argtypes = [*_arguments, POINTER(_P)]
    _f.restype = c_int32
    functions[_name] = _f
lib.advface_error_text.argtypes = [_P]
lib.advface_error_text.restype = c_char_p
lib.advface_error_free.argtypes = [_P]
lib.advface_error_free.restype = None
lib.advface_has.argtypes = [c_char_p]
lib.advface_has.restype = c_int32
lib.advface_threads.restype = c_int32
for _kind in ("recogniser_free", "detector_free", "decoder_free", "key_free", "protection_free", "store_close"):
    _f = getattr(lib, "advface_" + _kind)
    _f.argtypes = [_P]
    _f.restype = c_int32


def raise_for(status: int, error: c_void_p) -> NoReturn:
    text = (lib.advface_error_text(error) or b"").decode("utf-8", "replace")
    lib.advface_error_free(error)
    raise _ERRORS.get(status, _Internal)(text)


def call(name: str, *arguments: Any) -> None:
    """Calls advface_NAME with these arguments; raises what its status means."""
    error = c_void_p()
    status = functions[name](*arguments, byref(error))
    if status:
        raise_for(status, error)


def text_made_by(make: Callable[[tuple[Any, ...]], None]) -> str:
    """What a call gives that writes a text: make() calls it with where the text goes."""
    needed = c_uint64(1024)
    while True:
        buffer = ctypes.create_string_buffer(needed.value)
        try:
            make((buffer, len(buffer), byref(needed)))
        except _TooSmall:
            if needed.value <= len(buffer):
                raise
        else:
            return buffer.value.decode("utf-8")


def text_of(name: str, *arguments: Any) -> str:
    """What a call that gives a text gives."""
    return text_made_by(lambda to: call(name, *arguments, *to))


def json_of(name: str, *arguments: Any) -> dict[str, Any]:
    """The same of a call that describes something."""
    values: dict[str, Any] = json.loads(text_of(name, *arguments))
    return values


_Itself = TypeVar("_Itself", bound="Handle")


_alive: "weakref.WeakSet[Handle]" = weakref.WeakSet()


def _give_back(free: Any, cell: c_void_p) -> None:
    if cell.value is not None:
        free(cell.value)  # a second time, where a handler raises behind it, it is told and harms nobody
        cell.value = None


class Handle:
    """Something that the library holds. Goes with close(), at the end of a `with`, when nobody has it any more, or with
    the interpreter.

    The call that makes it writes the handle where its finalizer finds it, so that whatever is raised behind the call
    (by a signal's handler) leaves nothing open."""

    _free = ""  # the function's name

    def __init__(self) -> None:
        self._cell = c_void_p()
        finalizer = weakref.finalize(self, _give_back, getattr(lib, "advface_" + self._free), self._cell)
        finalizer.atexit = False  # close_all() does it, behind what a host does at its end
        _alive.add(self)

    @property
    def to(self) -> Any:
        """Where a call writes the handle that it makes."""
        return byref(self._cell)

    @property
    def handle(self) -> int:
        if self._cell.value is None:
            raise InvalidHandle(f"this {type(self).__name__} was closed already")
        return self._cell.value

    def close(self) -> None:
        """Gives it back. Calls that are under way end as if it were still there."""
        _give_back(getattr(lib, "advface_" + self._free), self._cell)  # finalizers do nothing any more at the end

    def __enter__(self: _Itself) -> _Itself:
        self.handle
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise WrongType(f"a {type(self).__name__} cannot be pickled: make it again in the other process")


def close_all() -> None:
    """Of what is still open when the interpreter ends."""
    for handle in list(_alive):
        handle.close()


def handle_or_none(what: Optional[Handle], kind: type) -> Optional[int]:
    if what is None:
        return None
    if not isinstance(what, kind):
        raise WrongType(f"{kind.__name__} expected, not {type(what).__name__}")
    return what.handle


def encoded(text: Any, what: str) -> bytes:
    """A text or a path as C has it. Raises WrongType for anything else, which would become the name of a file or a person."""
    if not isinstance(text, (str, bytes, os.PathLike)):
        raise WrongType(f"{what} is a text, not {type(text).__name__}")
    try:
        raw = text.encode("utf-8") if isinstance(text, str) else os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidArgument(f"{what} is no text that UTF-8 has") from None
    if b"\0" in raw:
        raise InvalidArgument(f"{what} holds a zero")
    return raw


def integer(value: Any, what: str, low: int = 0, high: int = 2**31 - 1) -> int:
    """A whole number that C takes as it is. Raises WrongType for what is none, InvalidArgument for one out of range."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise WrongType(f"{what} is a whole number, not {value!r}")
    number = operator.index(value)
    if not low <= number <= high:
        raise InvalidArgument(f"{what} is {number}; {low} to {high} are possible")
    return number


def number(value: Any, what: str) -> float:
    """A number that C takes as it is. Raises WrongType for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise WrongType(f"{what} is a number, not {value!r}") from None


def chosen(value: Any, choices: Iterable[str], what: str) -> str:
    """One of these words. Raises WrongType, or InvalidArgument for another."""
    if not isinstance(value, str):
        raise WrongType(f"{what} is a text, not {type(value).__name__}")
    if value not in choices:
        raise InvalidArgument(f"{what}: {value!r} is none of {', '.join(choices)}")
    return value


def listed(values: Any, what: str) -> list[Any]:
    """What can be gone through, as a list. Raises WrongType."""
    try:
        return list(values)
    except TypeError:
        raise WrongType(f"{what} is a list, not {type(values).__name__}") from None


def settings_of(settings: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Settings by name, as the programs have them; a list gives one several times, None none."""
    pairs = []
    for name, value in settings.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None:
                continue
            if isinstance(one, bool):
                raise WrongType(f"{name}: there is no setting that is true or false")
            text = repr(float(one)) if isinstance(one, float) else str(one) if isinstance(one, numbers.Number) else one
            pairs.append((encoded(name, "a name"), encoded(text, name)))
    return pairs


def setting_array(settings: dict[str, Any]) -> tuple[Any, int]:
    pairs = settings_of(settings)
    return (Setting * max(len(pairs), 1))(*[Setting(n, v) for n, v in pairs]), len(pairs)


def version() -> str:
    """Of the library: "0.1.0"."""
    v = lib.advface_version()
    return f"{v // 1000000}.{v // 1000 % 1000}.{v % 1000}"


def has(feature: str) -> bool:
    """Whether this build of the library has "keys", or a "store"."""
    return bool(lib.advface_has(encoded(feature, "the feature")))


def set_threads(n: int) -> None:
    """How many threads a computation uses; 0: as many as the machine has. Results are the same bits for any number."""
    call("set_threads", integer(n, "threads", 0, 1024))


def threads() -> int:
    """How many threads a computation uses."""
    return int(lib.advface_threads())
