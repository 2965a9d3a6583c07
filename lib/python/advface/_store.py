"""Stores: protected features of people in one file (docs/operating.md)."""

from __future__ import annotations

import json
import math
from ctypes import byref, c_char_p, c_double
from dataclasses import dataclass
from typing import Any, Optional, Sequence, Union

import numpy as np
from numpy.typing import NDArray

from ._arrays import rows, written
from ._capi import (
    Handle,
    InvalidArgument,
    NotFound,
    encoded,
    handle_or_none,
    integer,
    listed,
    number,
    setting_array,
)
from ._faces import Recogniser
from ._key import Key, KeyOrPath, Path, key_of
from ._long_calls import Stop, long_call, long_text_of
from ._protection import MOST_NEIGHBOURS, protections_of, space_of


@dataclass(frozen=True)
class Match:
    """A record that was found for a probe."""

    record: int
    subject: str
    score: float


class Store(Handle):
    """A set of records in a store's file, which advface-store knows as well.

    path: the file; set: its name in it. key (or its file) and files (shadow=..., projection=...): what the set was
    protected with. Raises Failed for the wrong key. For several threads; other processes may use the file meanwhile, but no other
    SQLite of this process.
    """

    _free = "store_close"

    def __init__(
        self, path: Path, *, key: KeyOrPath = None, set: str = "default",
        recogniser: Optional[Recogniser] = None, stop: Stop = None, **files: Any,
    ) -> None:  # fmt: skip
        array, count = setting_array(files)
        key = key_of(key)
        super().__init__()
        long_call(
            "store_open",
            (
                encoded(path, "path"), encoded(set, "set"), array, count, handle_or_none(key, Key),
                handle_or_none(recogniser, Recogniser),
            ),
            (self.to,),
            stop,
        )  # fmt: skip

    @classmethod
    def create(
        cls, path: Path, protect: Union[None, str, Sequence[str]] = None, *,
        shape: Optional[int] = None, domain: str = "sphere", recogniser: Optional[Recogniser] = None,
        cut: Optional[str] = None, key: KeyOrPath = None, set: str = "default", stop: Stop = None,
        **settings: Any,
    ) -> "Store":  # fmt: skip
        """A new set, in a new file or one that is there. protect "none" stores raw features, of which faces can be
        made again; else as Protection has it."""
        space = space_of(recogniser, cut, shape, domain)
        names = protections_of(protect)
        array, count = setting_array({"protect": names, **settings})
        key = key_of(key)
        store = cls.__new__(cls)
        Handle.__init__(store)
        long_call(
            "store_create",
            (encoded(path, "path"), encoded(set, "set"), byref(space), array, count, handle_or_none(key, Key)),
            (store.to,),
            stop,
        )
        return store

    @property
    def info(self) -> dict[str, Any]:
        """set, records, dimension, raw_dimension, protection, recogniser, cut, created, calibration."""
        values: dict[str, Any] = json.loads(long_text_of("store_describe", self.handle))
        return values

    def __len__(self) -> int:
        return int(self.info["records"])

    def add(
        self, features: Any, subjects: Union[str, Sequence[str]], stop: Stop = None
    ) -> NDArray[np.int64]:
        """Protects raw features (N, D) of N people and stores them, all or none; the numbers of their records (N).

        Raises Failed for somebody who is there already. A Ctrl-C that comes when they are all but stored is raised when
        they are: whoever goes on after it looks who is there."""
        names = [subjects] if isinstance(subjects, str) else listed(subjects, "subjects")
        a, struct = rows(features, "features")
        array = _names(names)
        made, to = written(None, (len(a),), np.int64)
        long_call("store_add", (self.handle, byref(struct), array, len(names)), (byref(to),), stop)
        return made

    def scores(self, subject: str, probes: Any, stop: Stop = None) -> NDArray[np.float64]:
        """1:1: cosines (N) of raw probes (N, D) to that person's record. Raises NotFound where there is none."""
        return self._verify(subject, probes, stop)[0]

    def verify(self, subject: str, probe: Any, threshold: Optional[float] = None, stop: Stop = None) -> bool:
        """Whether a raw probe (D) is that person: by the threshold, or else the set's calibration.

        Raises InvalidArgument where neither says where to decide, and for any number of probes but one."""
        scores, calibrated = self._verify(subject, probe, stop)
        if len(scores) != 1:
            raise InvalidArgument(f"one probe is verified, not {len(scores)}; scores() takes several")
        return bool(scores[0] >= self._threshold(threshold, calibrated))

    def identify(
        self, probes: Any, k: int = 1, threshold: Optional[float] = None, stop: Stop = None
    ) -> list[list[Match]]:
        """1:N: of each raw probe (M, D) up to k records, 1 to 10000, with the largest cosine, the largest first.

        threshold: leaves out what lies below; None: nothing. `calibrated` is that of the set. Who is removed meanwhile
        is left out."""
        least = None if threshold is None else number(threshold, "threshold")
        numbers, scores = self.nearest(probes, k, stop)
        return [
            [
                match
                for n, s in zip(*row)
                if n >= 0 and (least is None or s >= least) and (match := self._match(int(n), float(s)))
            ]
            for row in zip(numbers, scores)
        ]

    def _match(self, record: int, score: float) -> Optional[Match]:
        try:
            return Match(record, self.subject(record), score)
        except NotFound:
            return None

    def nearest(
        self, probes: Any, k: int = 1, stop: Stop = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The same as arrays: numbers of records (M, k), -1 where there are fewer, and scores (M, k)."""
        a, struct = rows(probes, "probes")
        k = integer(k, "k", 1, MOST_NEIGHBOURS)
        numbers, to = written(None, (len(a), k), np.int64)
        scores, at = written(None, (len(a), k))
        long_call("store_identify", (self.handle, byref(struct)), (byref(to), byref(at), None), stop)
        return numbers, scores

    @property
    def calibrated(self) -> Optional[float]:
        """The threshold of the set's calibration; None where nobody has calibrated it."""
        calibration = self.info["calibration"]
        return None if calibration is None else float(calibration["threshold"])

    def calibrate(
        self, features: Any, people: Sequence[str], rate: float = 1e-3, source: Optional[str] = None, stop: Stop = None
    ) -> float:
        """Where the set decides from now on, so that no more than this share of pairs of different people pass.

        features: raw (N, D), of people who are not in the set, N up to 50000, of some of them several; people: (N) names,
        whose each is. They go the way that the set's own go; scores of all pairs are kept, and nothing else. source: where
        they come from, for `info`. Raises Failed where there are too few people to tell such a rate."""
        names = listed(people, "people")
        a, struct = rows(features, "features")
        threshold = c_double()
        where = None if source is None else encoded(source, "source")
        before = (self.handle, byref(struct), _names(names), len(names), number(rate, "rate"), where)
        long_call("store_calibrate", before, (byref(threshold),), stop)
        return threshold.value

    def subject(self, record: int) -> str:
        """Who the record of this number is. Raises NotFound."""
        return long_text_of("store_subject", self.handle, integer(record, "the record", -1, 2**63 - 1))

    def remove(self, *subjects: str, stop: Stop = None) -> None:
        """All of them, or none; the bytes are overwritten. Raises NotFound; Failed where they are removed, but another
        program reads, so that bytes may still lie in the file."""
        long_call("store_remove", (self.handle, _names(list(subjects)), len(subjects)), (), stop)

    def _verify(self, subject: str, probes: Any, stop: Stop) -> tuple[NDArray[np.float64], Optional[float]]:
        a, struct = rows(probes, "probes")
        made, to = written(None, (len(a),), np.float64)
        threshold = c_double()
        long_call(
            "store_verify", (self.handle, encoded(subject, "subject"), byref(struct)), (byref(to), byref(threshold)), stop
        )
        return made, None if math.isnan(threshold.value) else threshold.value

    def _threshold(self, given: Optional[float], calibrated: Optional[float]) -> float:
        if given is not None:
            return number(given, "threshold")
        if calibrated is None:
            raise InvalidArgument("the set has no calibration, so that threshold must say where to decide")
        return calibrated


def _names(names: Sequence[str]) -> Any:
    return (c_char_p * max(len(names), 1))(*[encoded(n, "a name") for n in names])
