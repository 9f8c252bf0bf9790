"""Native chatter is hidden, and standard error is what it was afterwards, whatever happens."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechrec.quiet import native_chatter_hidden


def chatter(text: bytes) -> None:
    os.write(2, text)


def chatter_and_fail() -> None:
    chatter(b"cause")
    raise RuntimeError


def fail(*_: Any, **__: Any) -> None:
    raise FileNotFoundError("no usable temporary directory")


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_chatter_is_hidden_but_for_errors(capfd: pytest.CaptureFixture[str]) -> None:
    """What libraries say is shown only where the block raises."""
    with native_chatter_hidden():
        chatter(b"hidden")
    chatter(b"before ")
    with pytest.raises(RuntimeError):
        hide(chatter_and_fail)
    assert capfd.readouterr().err == "before cause"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="expected Linux's list of files")
@pytest.mark.parametrize("broken", ["tempfile.TemporaryFile", "os.dup"])
def test_where_nothing_can_be_held_back_the_block_runs(
    broken: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that is read-only, or full, costs silence and nothing else; no file stays open."""
    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        with native_chatter_hidden():
            chatter(b"shown")
    assert capfd.readouterr().err == "shown"
    assert open_descriptors() == before


def test_threads_take_turns(capfd: pytest.CaptureFixture[str]) -> None:
    """Of two threads at once neither takes the other's stand-in for standard error."""
    entered = threading.Event()
    second = threading.Thread(target=hide, args=(entered.set,))
    with native_chatter_hidden():
        second.start()
        assert not entered.wait(0.1)
    second.join()
    assert entered.is_set()
    chatter(b"still there")
    assert capfd.readouterr().err == "still there"


def hide(then: Callable[[], None]) -> None:
    with native_chatter_hidden():
        then()
