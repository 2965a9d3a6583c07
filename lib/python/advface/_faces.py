"""From pixels to features, and back: recognisers, detectors, decoders."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int32, c_int64, c_uint64
from dataclasses import dataclass
from typing import Any, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from ._arrays import as_array, read, rows, written
from ._capi import (
    MAX_RANK,
    Array,
    Cut,
    FoundFace,
    Handle,
    InvalidArgument,
    call,
    chosen,
    encoded,
    handle_or_none,
    integer,
    json_of,
    listed,
    number,
)
from ._key import Path
from ._long_calls import Stop, long_call

_COLOURS = {"RGB": 1, "BGR": 2, "RGBA": 3, "BGRA": 4, "GREY": 5}
_CHOICES = {"largest": 0, "central": 1, "only": 2}
_REASONS = ("", "no feature", "no face", "several faces", "small", "turned", "outside")


def _colours(name: str) -> int:
    return _COLOURS[chosen(name, _COLOURS, "colours")]


def _picture(value: Any, colours: str, what: str) -> NDArray[Any]:
    a = as_array(value, what)
    return a[..., np.newaxis] if colours == "GREY" and a.ndim == 2 else a


@dataclass(frozen=True)
class Face:
    """A face in a picture: places in pixels, angles in degrees (estimates).

    reason: "" of one that can be used, else why not: "no face", "several faces", "small", "turned", "outside",
    "no feature". box: x, y, width, height. landmarks: (points, 2), eyes, tip of the nose, corners of the mouth.
    """

    reason: str
    number: int
    of: int
    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float64]
    roll: float
    yaw: float
    pitch: float
    sharpness: float
    exposure: float
    outside: float


def _face(f: FoundFace) -> Face:
    points = np.array(f.landmarks[: 2 * f.points]).reshape(f.points, 2)
    return Face(
        _REASONS[f.reason], f.number, f.of, tuple(f.box), f.score, points,
        f.roll, f.yaw, f.pitch, f.sharpness, f.exposure, f.outside,
    )  # fmt: skip


class Detector(Handle):
    """Finds faces in pictures.

    card: its card (.json beside its network). least_score: of a face; 0: what the card says.
    """

    _free = "detector_free"

    def __init__(self, card: Path, least_score: float = 0) -> None:
        super().__init__()
        call("detector_load", encoded(card, "card"), number(least_score, "least_score"), self.to)

    def find(self, picture: Any, colours: str = "RGB", longer_side: int = 640) -> list[Face]:
        """The faces of a picture (H, W, C) uint8, by falling score.

        longer_side: of the picture as the detector sees it, in pixels.
        """
        a, struct = read(_picture(picture, colours, "picture"), "picture")
        side = integer(longer_side, "longer_side")
        room = 64
        while True:
            faces = (FoundFace * room)()
            count = c_uint64()
            call("detector_find", self.handle, byref(struct), _colours(colours), side, faces, room, byref(count))
            if count.value <= room:
                return [_face(f) for f in faces[: count.value]]
            room = count.value


class Recogniser(Handle):
    """A face recogniser: pixels to features.

    card: its card (.json beside its ONNX file, docs/formats.md). Raises Failed for one that does not fit its network.
    """

    _free = "recogniser_free"

    def __init__(self, card: Path) -> None:
        super().__init__()
        call("recogniser_load", encoded(card, "card"), self.to)

    @property
    def info(self) -> dict[str, Any]:
        """card, fingerprint, default_cut, embedding, input, cuts (name, op, shape, domain, macs)."""
        return json_of("recogniser_describe", self.handle)

    def feature_shape(self, cut: Optional[str] = None) -> tuple[int, ...]:
        """Of one feature at the cut (None: the card's default)."""
        shape, rank = (c_int64 * MAX_RANK)(), c_int32()
        call("recogniser_feature_shape", self.handle, _cut_name(cut), shape, byref(rank))
        return tuple(shape[: rank.value])

    def extract(
        self, faces: Any, colours: str = "RGB", cut: Optional[str] = None,
        out: Optional[NDArray[np.float32]] = None, stop: Stop = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Features (N, shape of the cut) of faces that are cut out already, as the card wants them.

        faces: (N, H, W, C), or one (H, W, C), uint8, or float32 from 0 to 1. What advface-extract makes of such
        pictures, bit for bit. Raises Failed for one without a finite feature.
        """
        a = as_array(faces, "faces")
        if colours == "GREY" and a.ndim == 3 and a.shape[-1] != 1:
            a = a[..., np.newaxis]
        a, struct = read(a[np.newaxis] if a.ndim == 3 else a, "faces")
        made, to = written(out, (len(a), *self.feature_shape(cut)))
        long_call(
            "extract_faces", (self.handle, _cut_name(cut), byref(struct), _colours(colours)), (byref(to),), stop
        )
        return made

    def extract_pictures(
        self, pictures: Sequence[Any], detector: Optional[Detector] = None,
        eyes: Optional[Sequence[float]] = None, colours: str = "RGB", cut: Optional[str] = None,
        choice: str = "largest", least_side: float = 20, most_angle: float = 90, longer_side: int = 640,
        stop: Stop = None,
    ) -> tuple[NDArray[np.float32], list[Face]]:  # fmt: skip
        """Features of whole pictures, such as a camera's frames, and the face of each.

        pictures: each (H, W, C) uint8, of its own size. detector finds the faces; or eyes says where they are in all:
        x1, y1, x2, y2. choice: of several faces "largest", "central" or "only" (several are refused). A picture
        without a usable face, or in which the eyes' place does not fit, has a reason, and a row of NaN, which nothing
        takes for a feature.
        """
        if (detector is None) == (eyes is None):
            raise InvalidArgument("give either a detector or the places of the eyes")
        chosen(choice, _CHOICES, "choice")
        kept = [read(_picture(p, colours, f"picture {i}"), f"picture {i}") for i, p in enumerate(listed(pictures, "pictures"))]
        structs = (Array * max(len(kept), 1))(*[s for _, s in kept])
        how = Cut(
            size=ctypes.sizeof(Cut), detector=handle_or_none(detector, Detector), choice=_CHOICES[choice],
            longer_side=integer(longer_side, "longer_side"), least_side=number(least_side, "least_side"),
            most_angle=number(most_angle, "most_angle"),
        )  # fmt: skip
        if eyes is not None:
            places = [number(v, "a place of eyes") for v in listed(eyes, "eyes")]
            if len(places) != 4:
                raise InvalidArgument("eyes: x1, y1, x2, y2")
            how.eyes[:] = places
        found = (FoundFace * max(len(kept), 1))()
        made, to = written(None, (len(kept), *self.feature_shape(cut)))
        long_call(
            "extract_pictures",
            (self.handle, _cut_name(cut), structs, len(kept), _colours(colours), byref(how)),
            (byref(to), found),
            stop,
        )
        return made, [_face(f) for f in found[: len(kept)]]


def _cut_name(cut: Optional[str]) -> Optional[bytes]:
    return None if cut is None else encoded(cut, "cut")


class Decoder(Handle):
    """A network from features to images: a shadow, or an attacker that advface-train has made.

    path: its file (.safetensors).
    """

    _free = "decoder_free"

    def __init__(self, path: Path) -> None:
        super().__init__()
        call("decoder_load", encoded(path, "path"), self.to)
        self.path = str(path)

    @property
    def info(self) -> dict[str, Any]:
        """feature (a shape), image_size, cut, recogniser, domain, protection that it was trained on, loss."""
        return json_of("decoder_describe", self.handle)

    def reconstruct(self, features: Any, stop: Stop = None) -> NDArray[np.float32]:
        """Images (N, 3, S, S), RGB from 0 to 1, of features (N, shape)."""
        info = self.info
        side = info["image_size"]
        a, struct = (rows if len(info["feature"]) == 1 else read)(features, "features")
        made, to = written(None, (len(a), 3, side, side))
        long_call("decoder_reconstruct", (self.handle, byref(struct)), (byref(to),), stop)
        return made
