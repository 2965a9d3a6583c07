"""Long calls: what asks whether they go on, and what handlers of signals raise meanwhile."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from ctypes import byref, c_void_p
from typing import Any, Callable, Optional

from ._capi import ControlStruct, GoOn, Interrupted, WrongType, close_all, functions, lib, raise_for, text_made_by

Stop = Optional[Callable[[], Any]]  # asked by a long call, which ends where it says so


class _Control:
    """One long call: asks `stop`, and lets the handlers of signals do their work, while the library does its own.

    A handler can run, and raise, wherever Python code does, also before the first line of _go_on, from where no exception
    finds its way out of the library. Its errors are therefore kept, and raised when the library has returned."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.error: Optional[BaseException] = None
        self.over = self.stopped = False
        self.kept: list[tuple[int, Any, Any]] = []  # number of a signal, its handler, and what stands in for it

    def keep_errors_of_handlers(self) -> None:
        """Also of one that was set since this was called last."""
        ours = {id(instead) for _, _, instead in self.kept}
        for number in _SIGNALS:
            handler = _handler_of(number)
            if not callable(handler) or id(handler) in ours:
                continue
            instead = self._instead_of(handler)
            self.kept.append((number, handler, instead))
            try:
                _set_handler(number, instead)
            except ValueError:  # an interpreter that is not the main one has no signals
                self.kept.pop()
                return

    def give_back_handlers(self) -> None:
        """Whatever is raised on the way: who stands in for a handler is the handler itself from now on."""
        self.over = True
        try:
            while self.kept:
                number, handler, instead = self.kept[-1]
                if _handler_of(number) is instead:  # the handler may have put another one in its place
                    _set_handler(number, handler)
                self.kept.pop()
        finally:
            if self.kept:
                self.give_back_handlers()

    def _instead_of(self, handler: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        def instead(number: int, frame: Any) -> None:
            try:
                handler(number, frame)
                if not self.over:
                    self.keep_errors_of_handlers()  # it may have set another one
            except BaseException as e:
                if self.over:
                    raise
                self.error = e

        return instead


# Those that a handler can be for, and a look at one that makes no enumeration of what it finds.
_SIGNALS = sorted(int(s) for s in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_handler_of: Callable[[int], Any] = getattr(getattr(signal, "_signal", signal), "getsignal")
_sigaction = ctypes.CDLL(None).sigaction


def _set_handler(number: int, handler: Any) -> None:
    """As signal.signal() does it, but system calls go on behind the signal where they did before (SA_RESTART)."""
    before = ctypes.create_string_buffer(256)  # a struct sigaction, of which Python has no other way to tell
    _sigaction(number, None, before)
    signal.signal(number, handler)
    _sigaction(number, before, None)


_controls: dict[int, _Control] = {}
_next_control = iter(range(1, 1 << 62)).__next__


def _asked(user: Optional[int], answer: Any) -> None:
    # What does not come to its last line stops the call.
    control = _controls.get(user or 0)
    try:
        if control is None or control.error:
            return
        if control.stop is not None:
            if control.stop():
                control.stopped = True
                return
            if threading.current_thread() is threading.main_thread():
                control.keep_errors_of_handlers()  # stop() may have set one
        if control.error is None:
            answer[0] = 1
    except BaseException as e:  # of the caller's stop()
        if control is not None:
            control.error = e


_go_on = GoOn(_asked)
# Its machine code stays for as long as the process: no other interpreter of it gets one at the same address.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_go_on))
lib.advface_end_callbacks.argtypes = [GoOn]
lib.advface_end_callbacks.restype = None
_ended = False


def end() -> None:
    """When the interpreter ends: a thread that is ended while it waits to be asked would be ended inside of the
    library. Calls from now on go on to their end."""
    global _ended
    _ended = True
    lib.advface_end_callbacks(_go_on)
    close_all()


def _forked() -> None:
    """A process that is forked beside a call has handlers of its own again: the call stays where it was."""
    for control in list(_controls.values()):
        control.give_back_handlers()
    _controls.clear()


os.register_at_fork(after_in_child=_forked)


def long_call(name: str, before: tuple[Any, ...], after: tuple[Any, ...], stop: Stop = None) -> None:
    """A call with an advface_control between these arguments. A handler of a signal that raises, as that of Ctrl-C does,
    ends it with what it raises, where this is the main thread; one that returns lets it go on."""
    if stop is not None and not callable(stop):
        raise WrongType(f"stop is a function, not {stop!r}")
    control = _Control(stop)
    token = _next_control()
    error = c_void_p()
    status = 0
    _controls[token] = control
    try:
        if threading.current_thread() is threading.main_thread():
            control.keep_errors_of_handlers()
        if _ended or (stop is None and not control.kept):
            status = functions[name](*before, None, *after, byref(error))
        else:
            struct = ControlStruct(ctypes.sizeof(ControlStruct), _go_on, token)
            status = functions[name](*before, byref(struct), *after, byref(error))
    finally:
        _controls.pop(token, None)
        control.give_back_handlers()
    if control.error is not None:
        if status:
            lib.advface_error_free(error)
        raise control.error
    if status:
        try:
            raise_for(status, error)
        except Interrupted:
            if control.stopped:
                raise
            # Something raised where no exception can be caught: PyThreadState_SetAsyncExc() does.
            raise Interrupted("interrupted: something was raised in this thread during the call") from None


def long_text_of(name: str, *arguments: Any) -> str:
    """The same as text_of() of a call with an advface_control, which Ctrl-C ends."""
    return text_made_by(lambda to: long_call(name, arguments, to))
