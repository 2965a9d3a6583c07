"""Keys of protections that need one."""

from __future__ import annotations

import os
from ctypes import byref, c_void_p
from typing import Any, Union

from ._capi import Handle, call, encoded, integer, json_of

Path = Union[str, "os.PathLike[str]"]


class Key(Handle):
    """A key, by which locked features are compared (docs/keys.md).

    path: its file, which its owner alone may read. Raises Failed for one that others may read, or that is none.
    The bytes stay in the library's locked memory. A process that has held a key writes no core.
    """

    _free = "key_free"

    def __init__(self, path: Path) -> None:
        handle = c_void_p()
        call("key_read", encoded(path, "path"), byref(handle))
        super().__init__(handle)

    @classmethod
    def _made(cls, name: str, argument: Any) -> "Key":
        handle = c_void_p()
        call(name, argument, byref(handle))
        key = cls.__new__(cls)
        Handle.__init__(key, handle)
        return key

    @classmethod
    def new(cls, path: Path) -> "Key":
        """A new key in a new file. Raises Failed where there is a file of that name."""
        return cls._made("key_new", encoded(path, "path"))

    @classmethod
    def from_fd(cls, descriptor: int) -> "Key":
        """From an open descriptor, such as a pipe of a secret store, to its end; it is not closed."""
        return cls._made("key_read_fd", integer(descriptor, "the descriptor"))

    @property
    def info(self) -> dict[str, str]:
        """What is public of it: id, date, check."""
        return json_of("key_describe", self.handle)
