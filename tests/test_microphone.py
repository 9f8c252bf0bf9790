"""A microphone, played by a module that behaves as sounddevice does."""

import builtins
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from typer.testing import CliRunner

from speechrec.cli import app
from speechrec.errors import AudioError, ConfigError, MissingExtraError
from speechrec.microphone import Microphone, input_devices

DEVICES = [
    {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48_000.0},
    {"name": "Built-in Microphone", "max_input_channels": 2, "default_samplerate": 44_100.0},
    {"name": "USB Microphone", "max_input_channels": 1, "default_samplerate": 16_000.0},
]
NOISE = (0.1 * np.random.default_rng(2).standard_normal(20_000)).astype(np.float32)


class FakeStream:
    """Plays ``wave`` into the callback from a thread of its own, reusing its memory."""

    wave = NOISE
    overflow_at: int | None = None
    last: "FakeStream | None" = None

    def __init__(
        self, *, samplerate: int, device: int | None, blocksize: int, callback: Callable[..., None],
        finished_callback: Callable[[], None], **_: Any,
    ) -> None:  # fmt: skip
        self.samplerate, self.device, self.blocksize = samplerate, device, blocksize
        self._callback, self._finished = callback, finished_callback
        FakeStream.last = self

    def start(self) -> None:
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        memory = np.empty((self.blocksize, 1), np.float32)
        for number, start in enumerate(range(0, len(self.wave), self.blocksize)):
            piece = self.wave[start : start + self.blocksize]
            memory[: len(piece), 0] = piece
            status = SimpleNamespace(input_overflow=number == FakeStream.overflow_at)
            self._callback(memory[: len(piece)], len(piece), None, status)
        self._finished()

    def close(self) -> None:
        self._thread.join()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """sounddevice with three devices, of which number 1 only records at 44,100 Hz."""
    module = ModuleType("sounddevice")

    class PortAudioError(Exception):
        pass

    def query_devices(device: int | None = None, kind: str | None = None) -> Any:
        if device is None and kind is None:
            return DEVICES
        return DEVICES[2 if device is None else device]

    def check_input_settings(*, device: int | None, samplerate: int, **_: Any) -> None:
        if samplerate != query_devices(device, "input")["default_samplerate"]:
            raise PortAudioError("Invalid sample rate")

    module.PortAudioError = PortAudioError  # type: ignore[attr-defined]
    module.query_devices = query_devices  # type: ignore[attr-defined]
    module.check_input_settings = check_input_settings  # type: ignore[attr-defined]
    module.InputStream = FakeStream  # type: ignore[attr-defined]
    module.default = SimpleNamespace(device=[2, 0])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(FakeStream, "overflow_at", None)
    return module


def heard(name: str | None) -> tuple[np.ndarray, Microphone]:
    with Microphone(name, sample_rate_hz=16_000) as microphone:
        return np.concatenate(recorded(microphone)), microphone


def recorded(microphone: Microphone) -> list[np.ndarray]:
    """All blocks until the device stops, which is an error."""
    blocks = []
    with pytest.raises(AudioError, match="the device stopped"):
        blocks.extend(microphone)
    return blocks


def test_every_sample_arrives(device: ModuleType) -> None:
    """A device at the wanted rate gives the samples themselves, though it reuses its memory."""
    wave, microphone = heard(None)
    assert np.array_equal(wave, NOISE)
    assert (microphone.name, microphone.overruns) == ("USB Microphone", 0)


def test_another_rate_is_resampled(device: ModuleType) -> None:
    """A device that cannot record at the wanted rate is resampled as files are."""
    wave, _ = heard("built")
    assert FakeStream.last is not None
    assert (FakeStream.last.samplerate, FakeStream.last.device) == (44_100, 1)
    assert np.array_equal(wave, soxr.resample(NOISE, 44_100, 16_000, quality="HQ"))


def test_overruns_are_counted(device: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device lost is counted."""
    monkeypatch.setattr(FakeStream, "overflow_at", 3)
    assert heard(None)[1].overruns == 1


def test_a_full_queue_is_an_overrun_and_the_end_still_comes(
    device: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound that nobody takes in time is counted as lost, and listening still ends."""
    monkeypatch.setattr("speechrec.microphone._QUEUE_S", 0.1)
    with Microphone(None, sample_rate_hz=16_000) as microphone:
        assert FakeStream.last is not None
        FakeStream.last._thread.join()
        blocks = recorded(microphone)
    # Of 63 blocks five are kept, the last of them given up for the end.
    assert microphone.overruns == 58
    assert len(blocks) == 4


def test_what_was_lost_is_silence(device: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times after an overrun are those of the sound, not of what was kept of it."""
    monkeypatch.setattr("speechrec.microphone._QUEUE_S", 0.04)
    monkeypatch.setattr(FakeStream, "start", lambda self: None)
    monkeypatch.setattr(FakeStream, "close", lambda self: None)
    with Microphone(None, sample_rate_hz=16_000) as microphone:
        blocks = [NOISE[n * 320 : (n + 1) * 320, np.newaxis] for n in range(6)]
        for block in blocks[:4]:
            microphone._take(block, 320, None, SimpleNamespace(input_overflow=False))
        listening = iter(microphone)
        kept = [next(listening) for _ in range(2)]
        for block in blocks[4:]:
            microphone._take(block, 320, None, SimpleNamespace(input_overflow=False))
        kept += [next(listening) for _ in range(2)]
    wanted = NOISE[: 6 * 320].copy()
    wanted[2 * 320 : 4 * 320] = NOISE[4 * 320 : 5 * 320].mean()
    assert np.array_equal(np.concatenate(kept), wanted)
    assert microphone.overruns == 2


@pytest.mark.parametrize(("name", "number"), [("usb", 2), ("2", 2), ("1", 1), ("Built-in Mic", 1)])
def test_devices_by_number_and_name(device: ModuleType, name: str, number: int) -> None:
    """A device goes by its number or a part of its name, in any case."""
    heard(name)
    assert FakeStream.last is not None
    assert FakeStream.last.device == number


def test_a_loop_back_gives_what_the_file_gives(
    device: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    recogniser_file: Path,
    stream_file: Path,
) -> None:
    """`listen` on a device that plays a file reports the detections of `predict` on that file."""
    # It plays faster than it would in life, and nothing is to be lost.
    monkeypatch.setattr("speechrec.microphone._QUEUE_S", 60.0)
    model = ["--json", "--model", str(recogniser_file)]
    of_file = CliRunner().invoke(app, ["predict", *model, str(stream_file)])
    monkeypatch.setattr(FakeStream, "wave", soundfile.read(stream_file, dtype="float32")[0])
    live = CliRunner().invoke(app, ["listen", *model, "--device", "usb"])
    assert live.exit_code == 1
    assert isinstance(live.exception, AudioError)
    wanted = json.loads(of_file.stdout)["detections"]
    assert [json.loads(line) for line in live.stdout.splitlines()] == wanted
    assert wanted


@pytest.mark.parametrize("name", ["microphone", "0", "speakers", "radio"])
def test_no_device_or_two(device: ModuleType, name: str) -> None:
    """No input device or more than one by a name is an error that lists them."""
    with pytest.raises(ConfigError, match="1 Built-in Microphone; 2 USB Microphone"):
        Microphone(name, sample_rate_hz=16_000)


def test_list_of_devices(device: ModuleType) -> None:
    """Devices that can record are listed with their numbers, the default with a star."""
    assert input_devices() == ["  1  Built-in Microphone", "* 2  USB Microphone"]


def test_no_microphone_at_all(device: ModuleType) -> None:
    """Without an input device the way through standard input is named."""
    device.query_devices = lambda: DEVICES[:1]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="speechrec listen -"):
        Microphone(None, sample_rate_hz=16_000)


def test_a_device_that_is_in_use(device: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio's complaint becomes one line."""

    def refuse(**_: Any) -> None:
        raise device.PortAudioError("Device unavailable")

    monkeypatch.setattr(device, "InputStream", refuse)
    with pytest.raises(AudioError, match="Device unavailable"):
        Microphone(None, sample_rate_hz=16_000)


def test_a_device_that_does_not_start(device: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens and then refuses is closed, and its complaint is one line."""
    closed = []

    def refuse(self: FakeStream) -> None:
        raise device.PortAudioError("Device or resource busy")

    monkeypatch.setattr(FakeStream, "start", refuse)
    monkeypatch.setattr(FakeStream, "close", lambda self: closed.append(self))
    with (
        pytest.raises(AudioError, match="resource busy"),
        Microphone(None, sample_rate_hz=16_000),
    ):
        pass
    assert closed == [FakeStream.last]


# As sounddevice's own, which no one can import where its module raises it.
PortAudioError = type("PortAudioError", (Exception,), {})


@pytest.mark.parametrize(
    ("problem", "error", "message"),
    [
        (ModuleNotFoundError("none", name="sounddevice"), MissingExtraError, r"speechrec\[mic\]"),
        (OSError("PortAudio library not found"), AudioError, "libportaudio2"),
        (PortAudioError("Error initializing PortAudio"), AudioError, "Error initializing"),
    ],
)
def test_what_to_install(
    monkeypatch: pytest.MonkeyPatch, problem: Exception, error: type[Exception], message: str
) -> None:
    """Without sounddevice, or PortAudio, or sound at all, the message says what is missing."""
    plain = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "sounddevice":
            raise problem
        return plain(name, *rest, **options)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(error, match=message):
        input_devices()
