"""Keys of protections that need one."""

from __future__ import annotations

import os
from typing import Optional, Union

from ._capi import Handle, WrongType, call, encoded, integer, json_of
from ._long_calls import Stop, long_call

Path = Union[str, "os.PathLike[str]"]


class Key(Handle):
    """A key, by which locked features are compared (docs/keys.md).

    path: its file, which its owner alone may read. Raises Failed for one that others may read, or that is none.
    The bytes stay in the library's locked memory. A process that has held a key writes no core.
    """

    _free = "key_free"

    def __init__(self, path: Path, stop: Stop = None) -> None:
        super().__init__()
        long_call("key_read", (encoded(path, "path"),), (self.to,), stop)

    @classmethod
    def _empty(cls) -> "Key":
        key = cls.__new__(cls)
        Handle.__init__(key)
        return key

    @classmethod
    def new(cls, path: Path) -> "Key":
        """A new key in a new file. Raises Failed where there is a file of that name."""
        key = cls._empty()
        call("key_new", encoded(path, "path"), key.to)
        return key

    @classmethod
    def from_fd(cls, descriptor: int, stop: Stop = None) -> "Key":
        """From an open descriptor, such as a pipe of a secret store, to its end; it is not closed.

        A wait for more ends by Ctrl-C, or where stop() returns true: what was read by then is gone."""
        key = cls._empty()
        long_call("key_read_fd", (integer(descriptor, "the descriptor"),), (key.to,), stop)
        return key

    @property
    def info(self) -> dict[str, str]:
        """What is public of it: id, date, check."""
        return json_of("key_describe", self.handle)


KeyOrPath = Union[None, Key, str, "os.PathLike[str]"]


def key_of(key: KeyOrPath) -> Optional[Key]:
    """A key, also from its file."""
    if key is None or isinstance(key, Key):
        return key
    if not isinstance(key, (str, os.PathLike)):
        raise WrongType(f"a Key, or the path of its file, is expected, not {type(key).__name__}")
    return Key(key)
