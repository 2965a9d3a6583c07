"""numpy's arrays as the library takes them: where they lie, without a copy."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from ._capi import MAX_RANK, Array, InvalidArgument, integer

_TYPES = {"f4": 1, "f8": 2, "f2": 3, "u1": 4, "i8": 5}


def as_array(value: Any, what: str) -> NDArray[Any]:
    """numpy's view of an array of any library that has one: by __array__ or, in memory of the CPU, DLPack."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmaskarray(value).any():
            raise InvalidArgument(f"{what}: some values are masked, and there is nothing to take for them")
        return np.asarray(value.data)
    if isinstance(value, np.ndarray):
        return value
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        if hasattr(value, "detach"):  # a tensor that records its gradient gives no array
            value = value.detach()
        made = np.asarray(value)
    except (TypeError, ValueError, BufferError, RuntimeError) as e:
        raise InvalidArgument(f"{what}: no array of numbers in memory of the CPU can be made of it: {e}") from None
    if made.dtype == object:
        raise InvalidArgument(f"{what} is no array of numbers, or one whose rows are not of one length")
    return made


def describe(a: NDArray[Any], what: str) -> Array:
    """The struct for this array, which must live as long as the struct is used."""
    code = _TYPES.get(a.dtype.str[1:])
    if code is None:
        raise InvalidArgument(f"{what}: arrays of {a.dtype} cannot be used; float32, float64, float16, uint8 and int64 can")
    if not 1 <= a.ndim <= MAX_RANK:
        raise InvalidArgument(f"{what}: an array of {a.ndim} dimensions; 1 to {MAX_RANK} can be used")
    low = high = 0
    for n, stride in zip(a.shape, a.strides):
        if n > 1:
            low, high = low + min(0, (n - 1) * stride), high + max(0, (n - 1) * stride)
    first = a.__array_interface__["data"][0]
    empty = a.size == 0
    array = Array(first + low, 0 if empty else high - low + a.itemsize, -low, code, a.ndim)
    array.read_only = not a.flags.writeable
    array.shape[: a.ndim] = a.shape
    array.strides[: a.ndim] = a.strides
    return array


def read(value: Any, what: str) -> tuple[NDArray[Any], Array]:
    """What is read: copied only where bytes are in another order, or one element stands for several."""
    a = as_array(value, what)
    if not a.dtype.isnative:
        a = a.astype(a.dtype.newbyteorder("="))
    if any(n > 1 and stride == 0 for n, stride in zip(a.shape, a.strides)):
        a = np.ascontiguousarray(a)
    return a, describe(a, what)


def rows(value: Any, what: str) -> tuple[NDArray[Any], Array]:
    """The same of rows; a single vector is one row."""
    a = as_array(value, what)
    return read(a[np.newaxis] if a.ndim == 1 else a, what)


Records = Any  # whole numbers, one for each row; or one, that of the first; or None


def records_of(records: Records, n: int) -> tuple[Optional[NDArray[np.int64]], Any]:
    """The numbers of n records, and where the library finds them. A single one is that of the first, from which they are
    counted on."""
    if records is None:
        return None, None
    if isinstance(records, (int, np.integer)):
        first = integer(records, "records", 0, 2**62)
        a = np.arange(first, first + n, dtype=np.int64)
    else:
        a = as_array(records, "records")
    if a.ndim != 1 or (a.size and a.dtype.kind not in "iu"):
        raise InvalidArgument(f"records: whole numbers are wanted, one for each of {n} rows, not {a.dtype} of shape {a.shape}")
    if a.size and a.dtype.kind == "u" and int(a.max()) > 2**63 - 1:
        raise InvalidArgument(f"records: the number {int(a.max())} is more than {2**63 - 1}")
    a = np.ascontiguousarray(a, dtype=np.int64)
    return a, ctypes.byref(describe(a, "records"))


def written(out: Optional[Any], shape: Sequence[int], dtype: Any = np.float32) -> tuple[NDArray[Any], Array]:
    """Where results go: `out`, which must be of this shape and type, or a new array."""
    if out is None:
        out = np.empty(tuple(shape), dtype)
    elif not isinstance(out, np.ndarray):
        raise InvalidArgument(f"out: a numpy array is wanted, not {type(out).__name__}")
    elif not out.flags.writeable:
        raise InvalidArgument("out: the array is read-only")
    elif not out.dtype.isnative:
        raise InvalidArgument(f"out: the bytes of {out.dtype.str} are in another order than this machine's")
    return out, describe(out, "out")
