"""Every public name says what it is."""

import inspect

import advface


def test_docstrings_and_hints():
    for name in advface.__all__:
        thing = getattr(advface, name)
        assert inspect.getdoc(thing), name
        members = vars(thing).items() if inspect.isclass(thing) else [("", thing)]
        for member, what in members:
            if member.startswith("_"):
                continue
            what = getattr(what, "fget", None) or getattr(what, "__func__", what)
            if not inspect.isfunction(what):
                continue
            if not (name == "Report" and member):
                assert inspect.getdoc(what), f"{name}.{member}"
            hints = {p: q.annotation for p, q in inspect.signature(what).parameters.items()}
            untyped = [p for p, q in hints.items() if q is inspect.Parameter.empty and p not in ("self", "cls")]
            assert not untyped, f"{name}.{member}: {untyped}"
            assert inspect.signature(what).return_annotation is not inspect.Signature.empty, f"{name}.{member}"
