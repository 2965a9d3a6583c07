"""Every class, and every way to use it wrongly."""

import ctypes
import gc
import os
import pickle
import threading

import numpy as np
import pytest
from conftest import unit

import advface


def test_layouts(key):
    lock = advface.Protection("rotation", shape=32, key=key)
    x = unit(7, 32)
    expected = lock.protect(x, records=0)
    assert expected.dtype == np.float32 and expected.shape == (7, 32)
    for same in (
        np.asfortranarray(x),
        np.concatenate([x, x], 1)[:, :32],
        x[::-1].copy()[::-1],
        x.astype(np.float64),
        x.astype(">f4"),
        [list(map(float, row)) for row in x],
    ):
        assert np.array_equal(lock.protect(same, range(7)), expected)
    out = np.zeros((7, 32), np.float32)
    assert lock.protect(x, 0, out=out) is out and np.array_equal(out, expected)
    here = x.copy()
    lock.protect(here, 0, out=here)
    assert np.array_equal(here, expected)
    assert np.array_equal(lock.protect(x[2:], records=np.arange(2, 7)), expected[2:])
    one = lock.protect(np.broadcast_to(x[0], (3, 32)), 0)
    assert np.array_equal(one[0], expected[0]) and not np.array_equal(one[0], one[1])
    half = lock.protect((x / np.linalg.norm(x.astype(np.float16), axis=1, keepdims=True)).astype(np.float16), 0)
    assert np.abs(half - expected).max() < 1e-2

    class Tensor:  # what has DLPack alone
        def __dlpack__(self, **unused):
            return x.__dlpack__()

        def __dlpack_device__(self):
            return x.__dlpack_device__()

    assert np.array_equal(lock.protect(Tensor(), 0), expected)


def test_numbers_of_records(key):
    """Every protection says whether it draws by them, and does so; who counts on never has one twice."""
    x = unit(8, 32)
    lock = advface.Protection("rotation", shape=32, key=key)
    assert lock.info["draws_by_record"] and lock.info["separates_records"]
    whole = lock.protect(x, records=100)
    assert np.array_equal(np.concatenate([lock.protect(x[:3], records=100), lock.protect(x[3:], 103)]), whole)
    assert np.allclose(lock.score(whole, x, records=100), 1, atol=1e-5)
    assert not np.allclose(lock.score(whole, x, records=0), 1, atol=1e-2)
    for easy in (
        advface.Protection("quantise", shape=32),
        advface.Protection("rotation", shape=32, key=key, key_mode="per-set"),
    ):
        assert not easy.info["draws_by_record"]
        stored = easy.protect(x)
        assert np.array_equal(stored, easy.protect(x, records=100))
        assert (easy.score(stored, x) > 0.9).all() and (easy.nearest(stored, x)[0][:, 0] == np.arange(8)).all()
        assert np.array_equal(easy.probe(x), easy.probe(x, records=5))


def test_nothing_is_copied(recogniser, monkeypatch):
    """The library is given the very address of the array, and writes to the very array."""
    seen = []
    from advface import _protection

    describe = _protection.read.__globals__["describe"]
    monkeypatch.setitem(_protection.read.__globals__, "describe", lambda a, w: seen.append(describe(a, w)) or seen[-1])
    x, out = unit(5, 12), np.empty((5, 12), np.float32)
    advface.Protection("noise", recogniser=recogniser).protect(x, 0, out=out)
    assert seen[0].data == x.ctypes.data and seen[0].bytes == x.nbytes and seen[-1].data == out.ctypes.data


def test_reports(recogniser):
    noise = advface.Protection("noise", recogniser=recogniser, noise_length=0.25)
    x = unit(4, 12)
    stored, told = noise.protect(x, 0, reports=True)
    assert list(told["record"]) == [0, 1, 2, 3]
    assert np.allclose(told["cosine"], np.sum(stored * x, 1), atol=1e-5)
    assert np.allclose(told["noise_l2"], 0.25, atol=1e-5)
    assert np.array_equal(noise.probe(x), x)


@pytest.mark.parametrize(
    "spoil, kind, words",
    [
        (lambda x: x[:, :11], advface.InvalidArgument, "[5,11]"),
        (lambda x: x[0], advface.InvalidArgument, "features"),
        (lambda x: x.astype(np.int32), advface.InvalidArgument, "int32"),
        (lambda x: x.astype(complex), advface.InvalidArgument, "complex"),
        (lambda x: x * 2, advface.Failed, "norm"),
        (lambda x: np.where(np.arange(12) == 3, np.nan, x), advface.Failed, "nan"),
        (lambda x: [[1.0], [1.0, 2.0]], (advface.InvalidArgument, ValueError), ""),
        (lambda x: None, advface.InvalidArgument, "features"),
        (lambda x: "features", advface.InvalidArgument, "features"),
    ],
)
def test_no_features(spoil, kind, words):
    noise = advface.Protection("noise", shape=12)
    with pytest.raises(kind) as told:
        noise.protect(spoil(unit(5, 12)), range(5))
    assert words in str(told.value)


def test_wrong_arguments(key, recogniser, tmp_path):
    x = unit(5, 12)
    lock = advface.Protection("rotation", shape=12, key=key)
    for call, kind, words in (
        (lambda: advface.Protection("rotatoin", shape=12, key=key), advface.InvalidArgument, "rotation"),
        (lambda: advface.Protection("rotation", shape=12), advface.InvalidArgument, "--key"),
        (lambda: advface.Protection("rotation", shape=12, key=recogniser), TypeError, "Key"),
        (lambda: advface.Protection("noise"), advface.InvalidArgument, "shape"),
        (lambda: advface.Protection("noise", shape=12, recogniser=recogniser), advface.InvalidArgument, "shape"),
        (lambda: advface.Protection("noise", shape=12, noise_lenght=1), advface.InvalidArgument, "noise_length"),
        (lambda: advface.Protection("noise", shape=12, noise_length=float("nan")), advface.InvalidArgument, "noise"),
        (lambda: advface.Protection("noise", shape=12, noise_length=True), TypeError, "noise_length"),
        (lambda: advface.Protection("noise", shape=12, domain="ball"), advface.InvalidArgument, "ball"),
        (lambda: advface.Protection("noise\0", shape=12), advface.InvalidArgument, "zero"),
        (lambda: lock.protect(x, records=[0, 1, 2, 3, 3]), advface.InvalidArgument, "twice"),
        (lambda: lock.protect(x), advface.InvalidArgument, "a number of its own"),
        (lambda: lock.protect(x, records=-1), advface.InvalidArgument, "records"),
        (lambda: lock.protect(x, records=True), TypeError, "records"),
        (lambda: lock.probe(x), advface.InvalidArgument, "compared with"),
        (lambda: lock.score(x, x), advface.InvalidArgument, "protected with"),
        (lambda: lock.nearest(x, x), advface.InvalidArgument, "protected with"),
        (lambda: lock.protect(x, records=[0, 1]), advface.InvalidArgument, "records"),
        (lambda: lock.protect(x, records=[0.5] * 5), advface.InvalidArgument, "records"),
        (lambda: lock.protect(x, 0, out=np.zeros((5, 11), np.float32)), advface.InvalidArgument, "protected_rows"),
        (lambda: lock.protect(x, 0, out=np.zeros((5, 12))), advface.InvalidArgument, "f64"),
        (lambda: lock.protect(x, 0, out=np.broadcast_to(np.float32(0), (5, 12))), advface.InvalidArgument, "read-only"),
        (lambda: lock.protect(x, 0, out=[0]), advface.InvalidArgument, "out"),
        (lambda: advface.nearest(x, x, k=0), advface.InvalidArgument, "1 to 10000"),
        (lambda: advface.Recogniser(tmp_path / "none.json"), advface.Failed, "none.json"),
        (lambda: advface.Key(tmp_path / "none"), advface.Failed, "none"),
        (lambda: advface.Key.new(tmp_path / "key"), advface.Failed, "key"),
        (lambda: recogniser.extract(np.zeros((2, 8, 8, 3), np.uint8), colours="XYZ"), advface.InvalidArgument, "XYZ"),
        (lambda: recogniser.extract(np.zeros((2, 8, 8, 4), np.uint8)), advface.InvalidArgument, "4 values"),
        (lambda: recogniser.extract(np.zeros((8, 8), np.uint8)), advface.InvalidArgument, "(N, H, W, C)"),
        (lambda: recogniser.extract_pictures([]), advface.InvalidArgument, "detector"),
        (lambda: recogniser.feature_shape("nothing"), advface.Failed, "nothing"),
        (lambda: advface.set_threads(-1), advface.InvalidArgument, "-1"),
        (lambda: pickle.dumps(lock), TypeError, "pickled"),
    ):
        with pytest.raises(kind) as told:
            call()
        assert words in str(told.value), str(told.value)
        assert isinstance(told.value, (advface.AdvFaceError, TypeError))


def test_closed(key):
    lock = advface.Protection("rotation", shape=12, key=key)
    key.close()  # what was made of it goes on
    with lock:
        lock.protect(unit(2, 12), 0)
    with pytest.raises(advface.InvalidHandle, match="closed"):
        lock.protect(unit(2, 12), 0)
    lock.close()
    with pytest.raises(advface.InvalidHandle):
        key.info
    # A handle of another kind, past this package.
    noise = advface.Protection("noise", shape=12)
    from advface import _capi

    with pytest.raises(advface.InvalidHandle, match="a protection was given where a key belongs"):
        _capi.text_of("key_describe", noise.handle)
    with pytest.raises(advface.InvalidHandle, match="no key of this library"):
        _capi.text_of("key_describe", ctypes.c_void_p(12345))


def test_matching(key):
    x = unit(40, 16)
    y = x + 0.2 * unit(40, 16, 1)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    expected = np.sum(x * y, 1)
    assert np.allclose(advface.score(x, y), expected, atol=1e-6)
    rows, scores = advface.nearest(x, y, k=3)
    assert np.array_equal(rows[:, 0], np.arange(40)) and np.allclose(scores[:, 0], expected, atol=1e-6)
    for mode in ("per-record", "per-set"):
        lock = advface.Protection("rotation", shape=16, key=key, key_mode=mode)
        stored = lock.protect(x, 0)
        assert np.allclose(lock.score(stored, y, 0), expected, atol=1e-5)
        found, at = lock.nearest(stored, y, k=3, records=0)
        assert np.array_equal(found, rows) and np.allclose(at, scores, atol=1e-5)
    rows, scores = advface.nearest(x[:2], y, k=3)
    assert (rows[:, 2] == -1).all() and (scores[:, 2] == -2).all()


def test_store(key, tmp_path):
    x = unit(5, 16)
    with advface.Store.create(tmp_path / "s.db", "rotation", shape=16, key=key) as store:
        assert list(store.add(x, list("abcde"))) == [0, 1, 2, 3, 4]
        with pytest.raises(advface.Failed, match="a is in the set"):
            store.add(x[0], "a")
        with pytest.raises(advface.InvalidArgument, match="subjects"):
            store.add(x, ["f"])
    store = advface.Store(tmp_path / "s.db", key=key)
    assert len(store) == 5 and store.calibrated is None
    with pytest.raises(ValueError, match="calibration"):
        store.verify("a", x[0])
    assert store.verify("a", x[0], threshold=0.9) and not store.verify("a", x[1], threshold=0.9)
    assert [m.subject for m in store.identify(x[3], k=5, threshold=0.99)[0]] == ["d"]
    store.remove("d", "e")
    with pytest.raises(advface.NotFound, match="nobody"):
        store.remove("d")
    with pytest.raises(advface.NotFound):
        store.scores("d", x[3])
    with pytest.raises(advface.NotFound):
        store.subject(3)
    other = advface.Key.new(tmp_path / "other")
    with pytest.raises(advface.Failed, match="wrong key"):
        advface.Store(tmp_path / "s.db", key=other)


def test_calibration(key, tmp_path):
    """By people who are not in the set; behind a lock the scores are those of the raw features."""
    people, each = 40, 3
    x = np.repeat(unit(people, 64, 8), each, 0) + 0.4 * unit(people * each, 64, 9)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    names = [f"other {i // each}" for i in range(len(x))]
    thresholds = []
    for protect, kept in (("none", None), ("rotation", key)):
        with advface.Store.create(tmp_path / f"{protect}.db", protect, shape=64, key=kept) as store:
            store.add(unit(3, 64), list("abc"))
            thresholds.append(store.calibrate(x, names, rate=0.01, source="volunteers"))
            told = store.info["calibration"]
            assert store.calibrated == told["threshold"] == thresholds[-1] and told["source"] == "volunteers"
            assert told["people"] == people and told["genuine_scores"] == people * 3
            scores = x @ x.T
            others = scores[np.triu(np.ones((len(x), len(x)), bool), 1) & (np.array(names)[:, None] != names)]
            assert told["impostor_scores"] == len(others) and told["false_match_rate"] <= 0.01
            assert abs((others >= thresholds[-1]).mean() - told["false_match_rate"]) < 1e-3
            assert store.verify("a", unit(3, 64)[0]) and not store.verify("a", -unit(3, 64)[0])
            with pytest.raises(advface.Failed, match="more people"):
                store.calibrate(x, names, rate=1e-6)
            with pytest.raises(advface.Failed, match="no two people"):
                store.calibrate(x, ["one"] * len(x))
            with pytest.raises(advface.Interrupted):
                store.calibrate(x, names, rate=0.1, stop=lambda: True)
            for wrong in (lambda: store.calibrate(x, names[1:]), lambda: store.calibrate(x, names, rate=0)):
                with pytest.raises(advface.InvalidArgument):
                    wrong()
            assert store.calibrated == thresholds[-1]
    assert abs(thresholds[0] - thresholds[1]) < 1e-5


def test_detector_and_decoder(world, recogniser):
    lit = np.full((96, 120, 3), 9, np.uint8)
    lit[40:48, 48:56, 0] = 255
    detector = advface.Detector(world / "detector.json")
    face = detector.find(lit)[0]
    assert face.landmarks.shape == (5, 2) and face.score > 0.9 and face.reason == ""
    features, faces = recogniser.extract_pictures([lit, np.zeros((64, 64, 3), np.uint8)], detector, least_side=10)
    assert faces[0].reason == "" and faces[1].reason == "no face"
    assert np.isfinite(features[0]).all() and np.isnan(features[1]).all()
    with pytest.raises(advface.Failed, match="row 1"):
        advface.Protection("noise", recogniser=recogniser).protect(features, 0)
    # Where eyes are in all pictures: one that is too small is told, and the others are what they are.
    eyes = (40, 40, 56, 40)
    features, faces = recogniser.extract_pictures([lit, lit[:20, :20], lit], eyes=eyes)
    assert [f.reason for f in faces] == ["", "outside", ""] and np.isnan(features[1]).all()
    assert np.array_equal(features[0], features[2]) and np.isfinite(features[0]).all()
    assert np.array_equal(recogniser.extract_pictures([lit], eyes=eyes)[0][0], features[0])
    decoder = advface.Decoder(world / "e.safetensors")
    images = decoder.reconstruct(features[:1])
    assert images.shape == (1, 3, 32, 32) and 0 <= images.min() and images.max() <= 1


def test_threads(key):
    lock = advface.Protection("rotation", shape=64, key=key)
    x = [unit(20, 64, s) for s in range(8)]
    expected = [lock.protect(v, 0) for v in x]
    wrong = []

    def work(i):
        for _ in range(5):
            if not np.array_equal(lock.protect(x[i], 0), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong


def test_what_is_dropped_goes():
    """Nobody keeps an object that is not used any more."""
    from advface import _capi

    noise = advface.Protection("noise", shape=12)
    handle = noise.handle
    del noise
    gc.collect()
    with pytest.raises(advface.InvalidHandle, match="freed"):
        _capi.text_of("protection_describe", handle)


def test_what_is_no_text_or_number(key, tmp_path):
    x = unit(3, 64)
    store = advface.Store.create(tmp_path / "people.db", "rotation", shape=64, key=key)
    for names in ([None], [7], [["bob"]]):
        with pytest.raises(TypeError, match="a name is a text"):
            store.add(x[:1], names)
    with pytest.raises(TypeError, match="path is a text"):
        advface.Key(5)
    with pytest.raises(TypeError, match="set is a text"):
        advface.Store(tmp_path / "people.db", key=key, set=None)
    with pytest.raises(TypeError):
        store.subject(1.9)
    for call in (lambda: store.subject(2**64), lambda: advface.Key.from_fd(2**40), lambda: advface.set_threads(2**33)):
        with pytest.raises(advface.InvalidArgument, match="are possible"):
            call()
    for shape in ("512", True):
        with pytest.raises(TypeError):
            advface.Protection("rotation", shape=shape, key=key)
    with pytest.raises(advface.InvalidArgument, match="another order"):
        advface.Protection("noise", shape=64, noise_length=0.1).protect(x, 0, out=np.zeros((3, 64), ">f4"))
    store.add(x, ["a", "b", "c"])
    for probes in (x[:0], x[:2]):
        with pytest.raises(advface.InvalidArgument, match="one probe"):
            store.verify("a", probes, 0.5)
    store.remove("b", "b")
    assert len(store) == 2


def test_another_file_in_its_place(key, tmp_path, monkeypatch):
    x = unit(6, 64)
    for name, subjects in (("one", ["a", "b"]), ("two", ["c", "d"])):
        (tmp_path / name).mkdir()
        with advface.Store.create(tmp_path / name / "people.db", "rotation", shape=64, key=key) as store:
            store.add(x[:2], subjects)
    monkeypatch.chdir(tmp_path / "one")
    store = advface.Store("people.db", key=key)
    monkeypatch.chdir(tmp_path / "two")
    store.add(x[2:3], ["e"])  # to the file that was opened
    with pytest.raises(advface.NotFound):
        store.remove("c")
    assert store.identify(x[2])[0][0].subject == "e" and len(store) == 3
    os.replace(tmp_path / "two" / "people.db", tmp_path / "one" / "people.db")
    for end in ("-wal", "-shm"):  # as docs/operating.md restores a backup
        (tmp_path / "one" / f"people.db{end}").unlink(missing_ok=True)
    for call in (
        lambda: store.add(x[3:4], ["f"]), lambda: store.remove("c"), lambda: store.identify(x), lambda: len(store),
        lambda: store.scores("a", x),
    ):  # fmt: skip
        with pytest.raises(advface.Failed, match="another file"):
            call()
    with advface.Store(tmp_path / "one" / "people.db", key=key) as again:
        assert len(again) == 2


def test_who_is_removed_meanwhile(key, tmp_path, monkeypatch):
    x = unit(4, 64)
    with advface.Store.create(tmp_path / "people.db", "rotation", shape=64, key=key) as store:
        store.add(x, list("abcd"))
        found = store.nearest(x[:1], 4)
        store.remove("b")
        monkeypatch.setattr(store, "nearest", lambda *_: found)
        assert sorted(m.subject for m in store.identify(x[:1], 4)[0]) == ["a", "c", "d"]


def test_a_search_is_stopped(key, tmp_path):
    x = unit(40, 64)
    with advface.Store.create(tmp_path / "people.db", "rotation", shape=64, key=key) as store:
        store.add(x, [str(i) for i in range(len(x))])
        many = np.tile(x, (4000, 1))
        lock = advface.Protection("rotation", shape=64, key=key)
        for call in (
            lambda: store.identify(many, stop=lambda: True),
            lambda: store.scores("7", many, stop=lambda: True),
            lambda: lock.score(many, many, records=0, stop=lambda: True),
            lambda: lock.probe(many, records=0, stop=lambda: True),
        ):
            with pytest.raises(advface.Interrupted):
                call()
        with pytest.raises(advface.Interrupted):
            store.remove("7", stop=lambda: True)
        assert store.scores("7", x[7])[0] > 0.99


def test_what_numpy_hands_over(key, recogniser):
    """Masks, records as another library's array, numbers that C would cut."""
    lock = advface.Protection("rotation", shape=12, key=key)
    x = unit(4, 12)
    masked = np.ma.masked_array(x, mask=False)
    assert np.array_equal(lock.protect(masked, 0), lock.protect(x, 0))
    masked[1, 2] = np.ma.masked
    with pytest.raises(advface.InvalidArgument, match="masked"):
        lock.protect(masked, 0)

    class Numbers:
        def __init__(self, a):
            self.a = a

        def __dlpack__(self, **more):
            return self.a.__dlpack__(**more)

        def __dlpack_device__(self):
            return self.a.__dlpack_device__()

    assert np.array_equal(lock.protect(x, Numbers(np.arange(3, 7))), lock.protect(x, 3))
    picture = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(advface.InvalidArgument, match="longer_side"):
        recogniser.extract_pictures([picture], eyes=(10, 20, 30, 20), longer_side=2**32 + 640)
    with pytest.raises(advface.InvalidArgument, match="4294967296"):
        advface.set_threads(2**32)


def test_all_errors_are_the_packages(key, tmp_path, monkeypatch):
    """Whatever a call is refused for is an AdvFaceError, and what Python calls it, too."""
    store = advface.Store.create(tmp_path / "a.db", "none", shape=12)
    store.add(unit(1, 12), "a")
    monkeypatch.setenv("ADVFACE_BIN", os.fspath(tmp_path))
    for call, kind in (
        (lambda: store.verify("a", unit(1, 12)), ValueError),
        (lambda: store.subject("0"), TypeError),
        (lambda: advface.Protection("noise", shape="12"), TypeError),
        (lambda: advface.Protection("noise", shape=12, seed=True), TypeError),
        (lambda: advface.Key(7), TypeError),
        (lambda: advface.Protection("noise", shape=12, recogniser=key), ValueError),
        (lambda: advface.run("nothing"), FileNotFoundError),
        (lambda: advface.Store(tmp_path / "a.db", key=tmp_path / "no key"), RuntimeError),
    ):
        with pytest.raises(advface.AdvFaceError) as told:
            call()
        assert isinstance(told.value, kind), told.value
    failed = advface.ProgramFailed("why", 3)
    again = pickle.loads(pickle.dumps(failed))
    assert again.code == 3 and str(again) == "why"


def test_a_key_by_its_file(tmp_path):
    file = tmp_path / "key"
    key = advface.Key.new(file)
    x = unit(3, 12)
    by_key = advface.Protection("rotation", shape=12, key=key)
    again = advface.Protection(shape=12, key=file, description=by_key.description)
    assert np.array_equal(by_key.protect(x, 0), again.protect(x, 0))
    advface.Store.create(tmp_path / "a.db", "rotation", shape=12, key=file).add(x, list("abc"))
    assert advface.Store(tmp_path / "a.db", key=str(file)).identify(x[1])[0][0].subject == "b"
