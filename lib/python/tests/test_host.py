"""What the host process does meanwhile: callbacks that fail, Ctrl-C, fork, the interpreter's end."""

import os
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
        long.protect(unit(200, 12), stop=lambda: asked.append(threading.current_thread()) or len(asked) > 2)
    assert len(asked) == 3 and set(asked) == {threading.main_thread()}


def test_a_callback_that_raises(long):
    def stop():
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        long.protect(unit(200, 12), stop=stop)


def test_a_callback_that_calls_the_library(long):
    with pytest.raises(advface.InvalidArgument, match="within"):
        long.protect(unit(200, 12), stop=lambda: long.protect(unit(2, 12)))


@pytest.mark.parametrize("with_stop", [False, True])
def test_ctrl_c(long, with_stop):
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        long.protect(unit(200, 12), stop=(lambda: False) if with_stop else None)
    assert time.monotonic() - start < 10
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
        long.protect(unit(200, 12), stop=lambda: time.monotonic() - start > 0.3)
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
        noise.protect(x)
        child = os.fork()
        if child == 0:
            try:
                noise.protect(x)
            except advface.Forked as e:
                os._exit(0 if "spawn" in str(e) else 2)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        noise.protect(x)
        """
    )
    assert done.returncode == 0, done.stderr


def test_fork_before_the_first_call():
    done = python(
        """
        import os, sys, advface, numpy as np
        child = os.fork()
        advface.Protection("noise", shape=4).protect(np.eye(4, dtype=np.float32))
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
        threading.Thread(target=lambda: noise.protect(x), daemon=True).start()
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
                lock.protect(x, stop=lambda: False)
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
                noise.protect(x)
        except KeyboardInterrupt:
            raised += 1
        timer.join()
    assert raised == 20


def test_no_library():
    done = python("import advface", env={**os.environ, "ADVFACE_LIBRARY": "/nowhere/libadvface.so"})
    assert done.returncode != 0 and "ADVFACE_LIBRARY" in done.stderr
