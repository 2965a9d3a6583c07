"""Who holds what, how long: handlers that raise, the interpreter's end, other interpreters, pipes."""

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import unit

import advface


class Alarm(Exception):
    pass


def raise_alarm(number, frame):
    raise Alarm


def test_a_handler_that_raises_leaves_nothing_open(tmp_path):
    """Wherever it raises, also between the call that opens a store and the object that holds it."""
    key = advface.Key.new(tmp_path / "key")
    path = tmp_path / "people.db"
    advface.Store.create(path, "rotation", shape=16, key=key).close()
    before, open_before = signal.signal(signal.SIGALRM, raise_alarm), len(os.listdir("/proc/self/fd"))
    raised = ignored = 0

    def count(_):
        nonlocal ignored
        ignored += 1

    hook, sys.unraisablehook = sys.unraisablehook, count
    chance = random.Random(1)
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.003))
                try:
                    advface.Store(path, key=key).close()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Alarm:
                raised += 1
    finally:
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = hook
    gc.collect()
    # One that is raised within a finalizer is ignored by Python, and may cost a store that is open until the end: three files.
    assert raised > 10 and len(os.listdir("/proc/self/fd")) <= open_before + 3 * ignored


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)


def test_what_a_host_does_at_its_end(tmp_path):
    """Functions that it has registered find its objects as they were, and the store is closed behind them."""
    done = python(
        f"""
        import atexit, os
        import advface, numpy as np
        os.chdir({os.fspath(tmp_path)!r})
        x = np.eye(8, 512, dtype=np.float32)
        def save():
            print(lock.protect(x, 0).shape, store.add(x, list("abcdefgh")).tolist())
        atexit.register(save)
        key = advface.Key.new("key")
        lock = advface.Protection("rotation", shape=512, key=key)
        store = advface.Store.create("people.db", "rotation", shape=512, key=key)
        """
    )
    assert done.stdout == "(8, 512) [0, 1, 2, 3, 4, 5, 6, 7]\n", done.stderr
    assert sorted(os.listdir(tmp_path)) == ["key", "people.db"]
    assert len(advface.Store(tmp_path / "people.db", key=tmp_path / "key")) == 8


def test_long_calls_behind_the_end(tmp_path):
    """A function that was registered before the import runs when nobody is asked any more: its calls go on to their end."""
    done = python(
        f"""
        import atexit
        def late():
            key = advface.Key.new({os.fspath(tmp_path / "key")!r})
            print(advface.Protection("rotation", shape=512, key=key).protect(x, 0).shape)
            try:
                early.protect(x, 0)
            except advface.InvalidHandle:
                print("closed")
        atexit.register(late)
        import advface, numpy as np
        early = advface.Protection("noise", shape=512)
        x = np.tile(np.eye(512, dtype=np.float32), (4, 1))
        """
    )
    assert done.stdout == "(2048, 512)\nclosed\n", done.stderr


def test_another_interpreter_that_ends(tmp_path):
    """It cannot import the package, as numpy is for one alone; this one's long calls stay as they were."""
    pytest.importorskip("_xxsubinterpreters")
    done = python(
        f"""
        import _xxsubinterpreters as interpreters, sys
        import advface, numpy as np
        lock = advface.Protection("rotation", shape=512, key=advface.Key.new({os.fspath(tmp_path / "key")!r}))
        x = np.tile(np.eye(512, dtype=np.float32), (4, 1))
        for _ in range(2):
            other = interpreters.create()
            interpreters.run_string(other, "import sys\\nsys.path[:] = " + repr(sys.path) +
                                    "\\ntry: import advface\\nexcept BaseException: pass")
            interpreters.destroy(other)
        asked = []
        print(lock.protect(x, 0, stop=lambda: asked.append(1)).shape, len(asked) > 0)
        """
    )
    assert done.stdout == "(2048, 512) True\n", done.stderr


def test_a_pipe_with_a_name(tmp_path):
    """A handler that returns lets the wait go on; Ctrl-C ends it."""
    advface.Key.new(tmp_path / "key").close()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)

    def feed():
        time.sleep(0.3)
        with open(fifo, "wb") as out:
            out.write((tmp_path / "key").read_bytes())

    before = signal.signal(signal.SIGALRM, lambda *_: None)
    writer = threading.Thread(target=feed)
    writer.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        assert advface.Key(fifo).info == advface.Key(tmp_path / "key").info
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        writer.join()
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        advface.Key(fifo)
    timer.join()


def test_a_key_by_descriptor(tmp_path):
    """As a setting of what needs one: read, or waited for until stop() or Ctrl-C ends it."""
    text = (advface.Key.new(tmp_path / "key") and (tmp_path / "key")).read_bytes()
    x = unit(3, 16)
    path = tmp_path / "people.db"
    makers = (
        lambda fd, **more: advface.Protection("rotation", shape=16, key_fd=fd, **more),
        lambda fd, **more: advface.Store.create(path, "rotation", shape=16, key_fd=fd, **more),
        lambda fd, **more: advface.Store(path, key_fd=fd, **more),
    )
    for make in makers:
        come, go = os.pipe()
        with pytest.raises(advface.Interrupted):
            make(come, stop=lambda: True)
        timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            make(come)
        timer.join()
        os.write(go, text)
        os.close(go)
        made = make(come)
        os.close(come)
        if isinstance(made, advface.Store) and len(made) == 0:
            made.add(x, list("abc"))
        made.close()
    assert advface.Store(path, key=tmp_path / "key").identify(x[2])[0][0].subject == "c"


def test_what_is_raised_where_nothing_can_be_caught():
    """Such an exception ends the call, whose error says so; it is not said that the caller asked for it."""
    import ctypes

    noise = advface.Protection("noise", shape=512)
    x = unit(4000, 512)
    told = []

    def work():
        try:
            while True:
                noise.protect(x, 0, stop=lambda: False)
        except (advface.Interrupted, Alarm) as e:
            told.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Alarm))
    thread.join(30)
    assert isinstance(told[0], Alarm) or "was raised in this thread" in str(told[0])


def test_arguments_of_other_types(key, tmp_path):
    """Every one is a WrongType, or says what can be."""
    x = unit(3, 12)
    store = advface.Store.create(tmp_path / "a.db", "none", shape=12)
    store.add(x, list("abc"))
    wrong = advface.WrongType
    for call, kind, words in (
        (lambda: advface.nearest(x, x, k="a"), wrong, "k is"),
        (lambda: advface.nearest(x, x, k=2.5), wrong, "k is"),
        (lambda: advface.nearest(x, x, k=2**40), advface.InvalidArgument, "10000"),
        (lambda: store.nearest(x, None), wrong, "k is"),
        (lambda: store.identify(x, threshold="x"), wrong, "threshold"),
        (lambda: store.verify("a", x[0], threshold="x"), wrong, "threshold"),
        (lambda: store.calibrate(x, list("abc"), rate="x"), wrong, "rate"),
        (lambda: store.calibrate(x, None), wrong, "people"),
        (lambda: store.add(x, None), wrong, "subjects"),
        (lambda: advface.Detector(tmp_path / "d.json", "x"), wrong, "least_score"),
        (lambda: advface.has(5), wrong, "feature"),
        (lambda: advface.has("keys\0x"), advface.InvalidArgument, "zero"),
        (lambda: advface.Protection("noise", shape=512.0), wrong, "shape"),
        (lambda: advface.Protection("noise", shape=12, domain=[]), wrong, "domain"),
        (lambda: advface.Protection(5, shape=12), wrong, "protect"),
        (lambda: advface.Protection(b"noise", shape=12), wrong, "protect"),
        (lambda: advface.Protection("noise", shape=12).protect([[1.0], [1.0, 2.0]], 0), advface.InvalidArgument, "features"),
        (lambda: advface.Protection("noise", shape=12).protect(x, np.uint64([2**63, 1, 2])), advface.InvalidArgument, str(2**63)),
        (lambda: advface.Protection("noise", shape=12).protect(x, 0, stop=5), wrong, "stop"),
        (lambda: advface.read_report(5), wrong, "path"),
        (lambda: advface.run("key", "a\0b"), advface.InvalidArgument, "zero"),
    ):
        with pytest.raises(advface.AdvFaceError) as told:
            call()
        assert isinstance(told.value, kind) and words in str(told.value), repr(told.value)
