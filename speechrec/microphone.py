"""Blocks of sound from a microphone, through PortAudio; the extra ``mic``."""

import queue
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np

from speechrec.errors import AudioError, ConfigError, MissingExtraError
from speechrec.sources import resampled
from speechrec.wav import Samples

_BLOCK_S = 0.02
# So much sound may wait to be looked at before some is lost.
_QUEUE_S = 10.0


class Microphone:
    """An open input device; iterate over its blocks, (any,) float32 in [-1, 1].

    A device that cannot record at the wanted rate records at its own and is resampled.

    Args:
        device: number or part of the name of an input device; the system's default without it.

    Raises:
        MissingExtraError: sounddevice or PortAudio is not installed.
        ConfigError: there is no such device, or more than one.
        AudioError: the device cannot be opened.
    """

    def __init__(self, device: str | None, *, sample_rate_hz: int) -> None:
        self._sounddevice = _sounddevice()
        number = _device_number(self._sounddevice, device)
        self._wanted_hz = sample_rate_hz
        # None ends it.
        self._blocks: queue.Queue[Samples | None] = queue.Queue(round(_QUEUE_S / _BLOCK_S))
        self.overruns = 0
        self._lost_samples = 0
        try:
            self.name = str(self._sounddevice.query_devices(number, "input")["name"])
            self._rate_hz = self._rate(number)
            self._stream = self._sounddevice.InputStream(
                samplerate=self._rate_hz, device=number, channels=1, dtype="float32",
                blocksize=round(_BLOCK_S * self._rate_hz), callback=self._take,
                finished_callback=self._ended,
            )  # fmt: skip
        except (self._sounddevice.PortAudioError, ValueError) as error:
            raise _not_opened(error) from error

    def _rate(self, number: int | None) -> int:
        try:
            self._sounddevice.check_input_settings(
                device=number, channels=1, dtype="float32", samplerate=self._wanted_hz
            )
        except self._sounddevice.PortAudioError:
            own = self._sounddevice.query_devices(number, "input")["default_samplerate"]
            return round(float(own))
        return self._wanted_hz

    def _take(self, samples: Samples, frames: int, time: Any, status: Any) -> None:
        """Called by PortAudio, in a thread of its own: keep the block and go."""
        if status.input_overflow:
            self.overruns += 1
        if self._blocks.full():
            self.overruns += 1
            self._lost_samples += len(samples)
            return
        # PortAudio uses its memory again. What was lost is silence, so that times stay right, of
        # the device's constant offset, since a step of that would be a sound.
        lost = np.full(self._lost_samples, samples.mean(), dtype=np.float32)
        self._blocks.put_nowait(np.concatenate((lost, samples[:, 0])))
        self._lost_samples = 0

    def _ended(self) -> None:
        """Called by PortAudio when the device stops, by itself too."""
        try:
            self._blocks.put_nowait(None)
        except queue.Full:
            self._blocks.get_nowait()
            self._blocks.put_nowait(None)

    def __enter__(self) -> Self:
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self._stream.close()
            raise _not_opened(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Samples]:
        """Blocks until the device stops by itself, as one that is unplugged does.

        Raises:
            AudioError: it has; all that was recorded has come before.
        """
        yield from resampled(self._recorded(), self._rate_hz, self._wanted_hz)
        raise AudioError(
            "unreadable",
            "microphone: expected sound until Ctrl-C, the device stopped; is it still plugged in?",
        )

    def _recorded(self) -> Iterator[Samples]:
        while (block := self._blocks.get()) is not None:
            yield block


def input_devices() -> list[str]:
    """The input devices, numbered as `Microphone` takes them; the default one has a star.

    Raises:
        MissingExtraError: sounddevice or PortAudio is not installed.
    """
    sounddevice = _sounddevice()
    default = sounddevice.default.device[0]
    return [
        f"{'*' if number == default else ' '} {number}  {device['name']}"
        for number, device in _inputs(sounddevice)
    ]


def _inputs(sounddevice: ModuleType) -> list[tuple[int, Any]]:
    devices = enumerate(sounddevice.query_devices())
    return [(number, device) for number, device in devices if device["max_input_channels"] > 0]


def _device_number(sounddevice: ModuleType, device: str | None) -> int | None:
    inputs = _inputs(sounddevice)
    names = "; ".join(f"{number} {each['name']}" for number, each in inputs) or "none"
    if device is None:
        if not inputs:
            raise ConfigError(
                "microphone: expected an input device, found none; raw samples can come from "
                "standard input: speechrec listen -"
            )
        return None
    found = [
        number
        for number, each in inputs
        if device == str(number) or device.lower() in each["name"].lower()
    ]
    exact = [number for number in found if device == str(number)]
    if len(exact or found) != 1:
        raise ConfigError(
            f"--device: expected the number or a part of the name of one input device, got "
            f"{device!r}; there are: {names}"
        )
    return (exact or found)[0]


def _not_opened(error: Exception) -> AudioError:
    return AudioError("unreadable", f"microphone: cannot be opened: {error}")


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise MissingExtraError("speechrec listen", "mic", error.name) from error
    except Exception as error:
        # PortAudio starts as it is imported; where it cannot, there is no class of errors yet.
        if type(error).__name__ == "PortAudioError":
            raise _not_opened(error) from error
        if not isinstance(error, OSError):
            raise
        raise AudioError(
            "unreadable",
            f"microphone: {error}; install PortAudio (Debian, Ubuntu: apt install libportaudio2)",
        ) from error
    module: ModuleType = sounddevice
    return module
