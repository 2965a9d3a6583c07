"""Protections, and scores of what they store."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int32, c_int64, c_void_p
from typing import Any, Literal, Optional, Sequence, Union, overload

import numpy as np
from numpy.typing import NDArray

from ._arrays import Records, read, records_of, rows, written
from ._capi import (
    MAX_RANK,
    Handle,
    InvalidArgument,
    Space,
    WrongType,
    chosen,
    call,
    encoded,
    handle_or_none,
    integer,
    json_of,
    listed,
    setting_array,
    text_of,
)
from ._faces import Recogniser
from ._key import Key, KeyOrPath, key_of
from ._long_calls import Stop, long_call

_DOMAINS = {"real": 0, "sphere": 1, "non-negative": 2}

REPORT = np.dtype(
    [(name, np.int64 if name == "record" else np.float64)
     for name in ("record", "noise_l2", "noise_linf", "cosine", "loss_before", "loss_after", "noise_kept",
                  "recognition_cosine")]
)  # fmt: skip


MOST_NEIGHBOURS = 10000  # as advface_nearest() has it


def protections_of(protect: Union[None, str, Sequence[str]]) -> list[str]:
    """Their names, in order."""
    if protect is None or isinstance(protect, str):
        return [] if protect is None else [protect]
    if isinstance(protect, bytes):
        raise WrongType("protect is a text, or several, not bytes")
    return listed(protect, "protect")


def space_of(
    recogniser: Optional[Recogniser], cut: Optional[str], shape: Union[None, int, Sequence[int]], domain: str
) -> Space:
    """Whose features: a recogniser's at a cut, or any of this shape."""
    if (recogniser is None) == (shape is None):
        raise InvalidArgument("say whose features they are: a recogniser, or the shape of one feature, such as 512")
    space = Space(size=ctypes.sizeof(Space))
    if recogniser is not None:
        space.recogniser = handle_or_none(recogniser, Recogniser)
        space.cut = None if cut is None else encoded(cut, "cut")
        return space
    if cut is not None:
        raise InvalidArgument("a cut is that of a recogniser")
    chosen(domain, _DOMAINS, "domain")
    if isinstance(shape, (str, bytes)):
        raise WrongType(f"shape is a whole number, or several, not the text {shape!r}")
    whole = (shape,) if isinstance(shape, (int, np.integer)) else tuple(listed(shape, "shape"))
    if not 1 <= len(whole) <= MAX_RANK:
        raise InvalidArgument(f"shape: {shape!r} is none of one feature")
    space.domain, space.rank = _DOMAINS[domain], len(whole)
    space.shape[: len(whole)] = [integer(n, "shape", 0, 2**48) for n in whole]
    return space


class Protection(Handle):
    """What is done to features before they are stored.

    protect: a name, or several in order, as --protect of the programs takes them ("rotation", "noise", "default");
    None with shadow=FILE means AdvFace. Features are those of `recogniser` at `cut`, or of this `shape` (512) and
    `domain`: "sphere" (unit vectors: embeddings), "real", "non-negative". key: for a protection that needs one; a
    Key, or the path of its file.
    settings: the programs' options without their dashes, epsilon=0.02, noise_length=0.4, seed=1.
    description: what another one said of itself (`description`, or the text of a FILE.npy.json), to make it again;
    then settings name files alone.
    """

    _free = "protection_free"

    def __init__(
        self, protect: Union[None, str, Sequence[str]] = None, *, shape: Union[None, int, Sequence[int]] = None,
        domain: str = "sphere", recogniser: Optional[Recogniser] = None, cut: Optional[str] = None,
        key: KeyOrPath = None, description: Optional[str] = None, stop: Stop = None,
        **settings: Any,
    ) -> None:  # fmt: skip
        space = space_of(recogniser, cut, shape, domain)
        names = protections_of(protect)
        array, count = setting_array({"protect": names, **settings})
        key = key_of(key)
        super().__init__()
        long_call(
            "protection_make",
            (
                byref(space), array, count, handle_or_none(key, Key),
                None if description is None else encoded(description, "description"),
            ),
            (self.to,),
            stop,
        )  # fmt: skip
        rank, whole = c_int32(), (c_int64 * MAX_RANK)()
        call("protection_out_shape", self.handle, whole, byref(rank))
        self._out_shape = tuple(whole[: rank.value])

    @property
    def description(self) -> str:
        """JSON with which it is made again. Holds no key; but the seed that noise is drawn from, so that who reads it can
        take the noise off. Belongs beside what is stored."""
        return text_of("protection_describe", self.handle)

    @property
    def info(self) -> dict[str, Any]:
        """The description as a dictionary: protection, recogniser, cut, proved, changes_probe, draws_by_record,
        separates_records, needs_key, in, out."""
        return json_of("protection_describe", self.handle)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of one protected feature."""
        return self._out_shape

    @overload
    def protect(
        self, features: Any, records: Records = None, out: Optional[NDArray[np.float32]] = None,
        reports: Literal[False] = False, stop: Stop = None,
    ) -> NDArray[np.float32]: ...  # fmt: skip
    @overload
    def protect(
        self, features: Any, records: Records = None, out: Optional[NDArray[np.float32]] = None, *,
        reports: Literal[True], stop: Stop = None,
    ) -> tuple[NDArray[np.float32], NDArray[Any]]: ...  # fmt: skip
    def protect(
        self, features: Any, records: Records = None, out: Optional[NDArray[np.float32]] = None,
        reports: bool = False, stop: Stop = None,
    ) -> Any:  # fmt: skip
        """Protected features (N, *out_shape), the same bits as advface-protect makes of them.

        features: (N, shape), float32 (float64 and float16 are copied). records: (N) whole numbers, that of each record
        in its set, never twice in a set; or one, that of the first, from which they are counted on. A protection that
        draws something for each record (info["draws_by_record"]: a rotation each, noise) needs them; None is for others.
        out: where they go; `features` itself is possible. reports: a structured array beside it, a row for each record
        (record, noise_l2, noise_linf, cosine, ...). Raises Failed, naming the row, for what is no feature; Interrupted
        where stop() returned true.
        """
        a, struct = read(features, "features")
        numbers, pointer = records_of(records, len(a))
        made, to = written(out, (len(a), *self.out_shape))
        told = np.zeros(len(a), REPORT) if reports else None
        long_call(
            "protect", (self.handle, byref(struct), pointer),
            (byref(to), None if told is None else told.ctypes.data_as(c_void_p)), stop,
        )  # fmt: skip
        return made if told is None else (made, told)

    def probe(self, features: Any, records: Records = None, stop: Stop = None) -> NDArray[np.float32]:
        """Raw features (N, shape) as they are compared with the records of these numbers.

        records: as protect() has them; None where a probe looks the same to all (info["separates_records"] is false)."""
        a, struct = read(features, "features")
        numbers, pointer = records_of(records, len(a))
        info = self.info
        made, to = written(None, (len(a), *(info["out" if info["changes_probe"] else "in"]["shape"])))
        long_call("turn_probe", (self.handle, byref(struct), pointer), (byref(to),), stop)
        return made

    def score(self, stored: Any, probes: Any, records: Records = None, stop: Stop = None) -> NDArray[np.float64]:
        """1:1: cosines (N) of raw probes (N, D) to stored rows (N, D'), which are records of these numbers, as probe()
        has them."""
        return _score(self, stored, probes, records, stop)

    def nearest(
        self, stored: Any, probes: Any, k: int = 1, records: Records = None, stop: Stop = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """1:N: of each raw probe (M, D) the k stored rows with the largest cosine: rows (M, k) and scores (M, k).

        records: the numbers of the stored rows, as probe() has them."""
        return _nearest(self, stored, probes, k, records, stop)


def _score(
    p: Optional[Protection], stored: Any, probes: Any, records: Records, stop: Stop
) -> NDArray[np.float64]:
    a, left = rows(stored, "stored")
    b, right = rows(probes, "probes")
    numbers, pointer = records_of(records, len(a))
    made, to = written(None, (len(a),), np.float64)
    long_call("score", (p.handle if p else None, byref(left), pointer, byref(right)), (byref(to),), stop)
    return made


def _nearest(
    p: Optional[Protection], stored: Any, probes: Any, k: int, records: Records, stop: Stop
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    a, left = rows(stored, "stored")
    b, right = rows(probes, "probes")
    numbers, pointer = records_of(records, len(a))
    k = integer(k, "k", 1, MOST_NEIGHBOURS)
    found, to = written(None, (len(b), k), np.int64)
    scores, at = written(None, (len(b), k))
    long_call(
        "nearest", (p.handle if p else None, byref(left), pointer, byref(right)), (byref(to), byref(at)), stop
    )
    return found, scores


def score(stored: Any, probes: Any, stop: Stop = None) -> NDArray[np.float64]:
    """Cosines (N) of rows (N, D) as they are, one by one."""
    return _score(None, stored, probes, None, stop)


def nearest(
    stored: Any, probes: Any, k: int = 1, stop: Stop = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each probe (M, D) the k stored rows (N, D) with the largest cosine: rows (M, k), -1 where there are fewer,
    and scores (M, k)."""
    return _nearest(None, stored, probes, k, None, stop)
