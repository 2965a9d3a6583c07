"""The same bits as the programs."""

import json

import numpy as np
import pytest
from conftest import unit

import advface


def program_features(world, tmp_path):
    advface.run("extract", "--recogniser", world / "toy.json", "--images", world / "faces", "--out", tmp_path / "z.npy")
    return np.load(tmp_path / "z.npy")


def test_extract(world, tmp_path, recogniser, frames):
    expected = program_features(world, tmp_path)
    assert np.array_equal(recogniser.extract(frames), expected)
    assert np.array_equal(recogniser.extract(frames[..., ::-1], colours="BGR"), expected)
    assert np.array_equal(recogniser.extract(frames.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)), expected)
    assert not np.array_equal(recogniser.extract(frames, colours="BGR"), expected)


@pytest.mark.parametrize(
    "names, settings",
    [
        (["noise"], {"noise_length": 0.3, "seed": 5}),
        (["noise", "quantise"], {"noise_length": 0.3, "bits": 4}),
        (["rotation"], {"key_set": "00112233445566778899aabbccddeeff"}),
        (["rotation"], {"key_set": "00112233445566778899aabbccddeeff", "key_mode": "per-set"}),
        ([], {"epsilon": 0.2, "steps": 3}),
    ],
)
def test_protect(world, tmp_path, recogniser, names, settings):
    features = program_features(world, tmp_path)
    key = None
    files = {}
    if names == ["rotation"]:
        advface.run("key", "new", tmp_path / "key")
        key = advface.Key(tmp_path / "key")
        files = {"key": tmp_path / "key"}
    if not names:
        settings = {**settings, "shadow": world / "e.safetensors"}
    arguments = [x for n in names for x in ("--protect", n)]
    for name, value in {**settings, **files}.items():
        arguments += ["--" + name.replace("_", "-"), value]
    advface.run("protect", "--in", tmp_path / "z.npy", "--out", tmp_path / "p.npy", *arguments)
    expected = np.load(tmp_path / "p.npy")
    made = advface.Protection(names or None, recogniser=recogniser, key=key, **settings)
    assert np.array_equal(made.protect(features, records=0), expected)
    # From what the program has written beside its file.
    described = (tmp_path / "p.npy.json").read_text()
    again = advface.Protection(
        recogniser=recogniser, key=key, description=described, shadow=settings.get("shadow")
    )
    assert np.array_equal(again.protect(features, records=0), expected)
    assert json.loads(described)["protection"] == again.info["protection"]


def test_store(world, tmp_path, recogniser, key):
    """What the one has stored the other finds."""
    people = unit(6, 12)
    store = advface.Store.create(tmp_path / "s.db", "rotation", recogniser=recogniser, key=key)
    store.add(people[:3], ["a", "b", "c"])
    np.save(tmp_path / "more.npy", people[3:])
    (tmp_path / "names").write_text("d\ne\nf\n")
    lock = ["--key", tmp_path / "key"]
    advface.run("store", "add", tmp_path / "s.db", "--in", tmp_path / "more.npy", "--subjects", tmp_path / "names", *lock)
    found = store.identify(people, k=2)
    assert [f[0].subject for f in found] == list("abcdef")
    np.save(tmp_path / "probe.npy", people[1:2])
    advface.run(
        "store", "verify", tmp_path / "s.db", "--in", tmp_path / "probe.npy", "--subject", "b", "--threshold", "0.5",
        "--json", tmp_path / "j", *lock,
    )  # fmt: skip
    decision = json.loads((tmp_path / "j").read_text())["decisions"][0]
    assert decision["score"] == store.scores("b", people[1])[0]
