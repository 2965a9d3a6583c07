"""What the host process does meanwhile: callbacks that fail, Ctrl-C, fork, the interpreter's end."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import unit

import advface


@pytest.fixture(scope="module")
def long(recogniser, world):
    """A protection that takes long for 200 features."""
    return advface.Protection(shadow=world / "e.safetensors", epsilon=0.2, steps=100000, recogniser=recogniser)


def test_stop(long):
    asked = []
    with pytest.raises(advface.Interrupted):
        long.protect(unit(200, 12), 0, stop=lambda: asked.append(threading.current_thread()) or len(asked) > 2)
    assert len(asked) == 3 and set(asked) == {threading.main_thread()}


def test_a_callback_that_raises(long):
    def stop():
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        long.protect(unit(200, 12), 0, stop=stop)


def test_a_callback_that_calls_the_library(long):
    with pytest.raises(advface.InvalidArgument, match="within"):
        long.protect(unit(200, 12), 0, stop=lambda: long.protect(unit(2, 12), 0))


@pytest.mark.parametrize("with_stop", [False, True])
def test_ctrl_c(long, with_stop):
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        long.protect(unit(200, 12), 0, stop=(lambda: False) if with_stop else None)
    assert time.monotonic() - start < 10
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Asked(Exception):
    pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGRTMIN + 1])
@pytest.mark.parametrize("with_stop", [False, True])
def test_what_a_handler_raises_comes_out(long, number, with_stop):
    """Wherever the signal finds Python: most often before the first line of the callback."""

    def handler(number, frame):
        raise Asked(number)

    before = signal.signal(number, handler)
    try:
        for i in range(6):
            timer = threading.Timer(0.03 + 0.003 * i, lambda: os.kill(os.getpid(), number))
            timer.start()
            start = time.monotonic()
            with pytest.raises(Asked) as told:
                long.protect(unit(200, 12), 0, stop=(lambda: False) if with_stop else None)
            assert told.value.args == (number,) and time.monotonic() - start < 10
            assert signal.getsignal(number) is handler
            timer.join()
    finally:
        signal.signal(number, before)


def test_a_handler_that_returns_lets_it_go_on(long):
    seen = []

    def second(number, frame):
        seen.append("second")

    def first(number, frame):
        seen.append("first")
        signal.signal(number, second)  # which stays

    before = signal.signal(signal.SIGUSR1, first)
    try:
        start = time.monotonic()
        timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        timer.start()
        with pytest.raises(advface.Interrupted):
            long.protect(unit(200, 12), 0, stop=lambda: time.monotonic() - start > 0.3)
        assert seen == ["first"] and signal.getsignal(signal.SIGUSR1) is second
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_wait_for_another_program(tmp_path):
    """Ctrl-C ends a wait for somebody who writes, and what waited has changed nothing."""
    key = advface.Key.new(tmp_path / "key")
    path = tmp_path / "people.db"
    x = unit(4, 16)
    store = advface.Store.create(path, "rotation", shape=16, key=key)
    store.add(x[:3], list("abc"))
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(
            """
            import sqlite3, sys
            other = sqlite3.connect(sys.argv[1], isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            print("writes", flush=True)
            sys.stdin.read()
            """
        ), path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert other.stdout.readline() == "writes\n"
        for call in (
            lambda: store.add(x[3], "d"),
            lambda: store.remove("a"),
            lambda: advface.Store.create(path, "rotation", shape=16, key=key, set="other"),
        ):
            timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
            timer.start()
            start = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                call()
            assert time.monotonic() - start < 5
            timer.join()
            with pytest.raises(advface.Interrupted):
                store.remove("a", stop=lambda: True)
        assert store.identify(x[0])[0][0].subject == "a"  # who reads does not wait
    finally:
        other.communicate()
    assert len(store) == 3
    with pytest.raises(advface.Failed, match="no set other"):
        advface.Store(path, key=key, set="other")
    store.remove("a")
    assert len(store) == 2


def test_no_more_threads(tmp_path):
    """A thread's stack is larger than the memory that the process may have: none can be made."""
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("stacks are limited here")
    done = python(
        f"""
        import advface, numpy as np
        x = np.eye(64, dtype=np.float32)
        lock = advface.Protection("rotation", shape=64, key=advface.Key.new({str(tmp_path / "key")!r}))
        advface.set_threads(4)
        try:
            lock.protect(x, 0)
        except advface.OutOfMemory as e:
            assert "1 of the 4 threads" in str(e) and "fewer threads" in str(e), e
        else:
            raise SystemExit("there were threads")
        advface.set_threads(1)
        lock.protect(x, 0)
        """,
        preexec_fn=few_threads,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def few_threads() -> None:
    gibibyte = 2**30
    resource.setrlimit(resource.RLIMIT_STACK, (16 * gibibyte, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (8 * gibibyte, 8 * gibibyte))


def test_others_run_meanwhile(long):
    """The interpreter's lock is released: another thread counts on."""
    count = 0
    done = threading.Event()

    def work():
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    start = time.monotonic()
    with pytest.raises(advface.Interrupted):
        long.protect(unit(200, 12), 0, stop=lambda: time.monotonic() - start > 0.3)
    done.set()
    thread.join()
    assert count > 30


def python(code: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, **more
    )


def test_fork():
    done = python(
        """
        import os, advface, numpy as np
        noise = advface.Protection("noise", shape=4)
        x = np.eye(4, dtype=np.float32)
        noise.protect(x, 0)
        child = os.fork()
        if child == 0:
            try:
                noise.protect(x, 0)
            except advface.Forked as e:
                os._exit(0 if "spawn" in str(e) else 2)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        noise.protect(x, 0)
        """
    )
    assert done.returncode == 0, done.stderr


def test_fork_before_the_first_call():
    done = python(
        """
        import os, sys, advface, numpy as np
        child = os.fork()
        advface.Protection("noise", shape=4).protect(np.eye(4, dtype=np.float32), 0)
        if child: sys.exit(os.waitpid(child, 0)[1])
        """
    )
    assert done.returncode == 0, done.stderr


def test_the_interpreter_ends():
    """Objects at large, and a thread that is in a call."""
    done = python(
        """
        import sys, threading, time, advface, numpy as np
        noise = advface.Protection("noise", shape=512)
        sys.modules["kept"] = noise
        x = np.random.default_rng(0).standard_normal((20000, 512)).astype(np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        threading.Thread(target=lambda: noise.protect(x, 0), daemon=True).start()
        time.sleep(0.05)
        """
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize("kind", ["noise", "rotation"])
def test_the_interpreter_ends_while_a_thread_is_asked(kind, tmp_path):
    """A daemon thread in a long call with a stop(): the interpreter ends it, and not the process."""
    script = f"""
        import threading, time
        import numpy as np, advface
        x = np.random.default_rng(0).standard_normal((2000, 256)).astype(np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        key = advface.Key.new({str(tmp_path / "key")!r})
        lock = advface.Protection("rotation", shape=256, key=key) if {kind!r} == "rotation" else advface.Protection(
            "noise", shape=256, noise_length=0.1)
        def work():
            while True:
                lock.protect(x, 0, stop=lambda: False)
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.4)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_signal_before_the_end_is_not_lost():
    """One that comes when the call is all but done is raised after it."""
    noise = advface.Protection("noise", shape=12)
    x = unit(2, 12)
    raised = 0
    for i in range(20):
        timer = threading.Timer(0.002 * i, lambda: os.kill(os.getpid(), signal.SIGINT))
        try:
            timer.start()
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                noise.protect(x, 0)
        except KeyboardInterrupt:
            raised += 1
        timer.join()
    assert raised == 20


def test_no_library():
    done = python("import advface", env={**os.environ, "ADVFACE_LIBRARY": "/nowhere/libadvface.so"})
    assert done.returncode != 0 and "ADVFACE_LIBRARY" in done.stderr


def test_a_handler_that_is_set_during_a_call(long):
    """By stop(), or by another handler: what it raises comes out."""

    def late(number, frame):
        raise Asked(number)

    for by_handler in (False, True):
        asked = []

        def set_it(*_):
            signal.signal(signal.SIGUSR2, late)
            timer.start()

        def stop():
            asked.append(1)
            if len(asked) == 2:
                os.kill(os.getpid(), signal.SIGUSR1) if by_handler else set_it()
            return len(asked) > 200

        timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR2))
        before = signal.signal(signal.SIGUSR1, set_it), signal.getsignal(signal.SIGUSR2)
        try:
            with pytest.raises(Asked):
                long.protect(unit(200, 12), 0, stop=stop)
            assert signal.getsignal(signal.SIGUSR2) is late
            timer.join()
        finally:
            signal.signal(signal.SIGUSR1, before[0])
            signal.signal(signal.SIGUSR2, before[1])


def test_system_calls_go_on_as_before():
    """SA_RESTART, which signal.siginterrupt() sets, is there during a call and after it."""
    from advface._long_calls import _sigaction

    def flags():
        struct = ctypes.create_string_buffer(256)
        _sigaction(signal.SIGUSR1, None, struct)
        return struct.raw[:16] + struct.raw[136:140]  # the handler, the mask that Linux has, the flags

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        signal.siginterrupt(signal.SIGUSR1, False)
        set_before, during = flags(), []
        noise = advface.Protection("noise", shape=512)
        noise.protect(unit(3000, 512), 0, stop=lambda: during.append(flags()))
        assert during and set(during) == {set_before} and flags() == set_before
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_fork_beside_a_call(world):
    """The new process has the handlers that its parent had before the call."""
    done = python(
        f"""
        import os, signal, threading, time, advface, numpy as np
        recogniser = advface.Recogniser({os.fspath(world / "toy.json")!r})
        long = advface.Protection(shadow={os.fspath(world / "e.safetensors")!r}, epsilon=0.2, steps=100000,
                                  recogniser=recogniser)
        x = np.eye(12, dtype=np.float32)
        told = []
        def fork():
            time.sleep(0.2)
            child = os.fork()
            if child == 0:
                try:
                    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(5)
                except KeyboardInterrupt:
                    os._exit(0)
                except BaseException:
                    os._exit(2)
                os._exit(1)
            told.append(os.waitpid(child, 0)[1])
        thread = threading.Thread(target=fork)
        thread.start()
        try:
            long.protect(np.tile(x, (20, 1)), 0, stop=lambda: bool(told))
        except advface.Interrupted:
            pass
        assert told == [0], told
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_fork_that_comes_back_from_a_callback(long):
    children = []

    def stop():
        children.append(os.fork())
        return children[-1] != 0

    with pytest.raises(advface.Interrupted):
        long.protect(unit(200, 12), 0, stop=stop)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 70


def test_a_key_that_does_not_come():
    """Ctrl-C ends the wait for whoever writes into a pipe."""
    ends = os.pipe()
    try:
        timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            advface.Key.from_fd(ends[0])
        assert time.monotonic() - start < 5
        timer.join()
        with pytest.raises(advface.Interrupted):
            advface.Key.from_fd(ends[0], stop=lambda: True)
    finally:
        os.close(ends[0])
        os.close(ends[1])


@pytest.mark.parametrize("kind", ["interrupt", "other", "stubborn"])
def test_a_program_is_told_to_end(kind, tmp_path, monkeypatch):
    """By whatever is raised meanwhile; it saves what it has. One that does not is killed by a second Ctrl-C."""
    fake = tmp_path / "advface-slow"
    on_signal = "" if kind == "stubborn" else "echo saved > saved; exit 130"
    fake.write_text(f"#!/bin/bash\ncd {tmp_path}\ntrap '{on_signal}' INT\ntouch begun\nwhile :; do sleep 0.02; done\n")
    fake.chmod(0o755)
    monkeypatch.setenv("ADVFACE_BIN", os.fspath(tmp_path))

    def handler(number, frame):
        raise Asked(number)

    before = signal.signal(signal.SIGALRM, handler)

    def tell():
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM if kind == "other" else signal.SIGINT)
        if kind == "stubborn":
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        start = time.monotonic()
        with pytest.raises(Asked if kind == "other" else KeyboardInterrupt):
            advface.run("slow")
        assert time.monotonic() - start < 10
        assert (tmp_path / "saved").exists() == (kind != "stubborn")
    finally:
        teller.join()
        signal.signal(signal.SIGALRM, before)
