"""Samples of a stream to events: where something was said, and what the network makes of it.

A window of one second slides over the sound in steps of the front end's hop. Where the centre of
gravity of its energy passes through its middle, the window stands on a word as training clips do,
and the network is asked; everywhere else nothing but energies is computed. The same steps are made
whatever the size of the blocks that come in, so the events are the same to the last bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from speechrec.errors import AudioError
from speechrec.features import Array
from speechrec.placing import (
    awaited_frames,
    block_samples,
    excess_energy,
    loud_blocks,
    mirrored_frames,
    off_centre,
)
from speechrec.recognizer import Recognizer

# A window is on a word while its centre of gravity is within so many hops of the middle; that is
# for three hops, and the mean of the three posteriors counts.
_ALIGNED_HOPS = 1.5
_AVERAGED = 3
# The gate: a word is 4 dB above the background, and above the noise of the faintest microphone.
_GATE_RATIO = 10 ** (4 / 10)
_GATE_FLOOR = 10 ** (-75 / 10)
# A word reaches as far as loud blocks follow each other without a gap longer than 0.15 s: a stop,
# like the one in "right", is silent for a tenth of a second.
_LONGEST_GAP_BLOCKS = 15


@dataclass(frozen=True, slots=True)
class Event:
    """Something that stood in the middle of a window, word or not, and the network's answer.

    ``centre``, ``start``, ``stop`` are samples of the stream: where its energy has its centre of
    gravity and where it begins and ends. ``known`` is how many samples had come in when it was
    answered. ``posteriors`` is (labels,) float32; ``clip`` (clip_samples,) float32 is what the
    network was asked about.
    """

    centre: int
    start: int
    stop: int
    known: int
    posteriors: Array
    clip: Array


class _Window(NamedTuple):
    """A window that stood on something."""

    number: int
    shift: int
    excess: Array


class EventFinder:
    """Samples to events. Not to be shared between threads.

    Every log-mel frame is computed at most once, and only where the network is asked.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        config = recognizer.config
        self._recognizer, self._config = recognizer, config
        self._hop = config.hop_samples
        # Frames and samples of a window that must have come in.
        self._awaited = awaited_frames(config)
        self._heard = config.clip_samples - (config.frames - self._awaited) * self._hop
        # Before the first sample there is nothing; half a window of it lets a first word be in the
        # middle of one.
        self._lead = config.clip_samples // 2
        self._buffer: Array = np.zeros(self._lead, dtype=np.float32)
        # Windows looked at, and samples of the stream before the buffer (the lead counts too).
        self._steps = 0
        self._dropped = 0
        # Frame n stands in row n modulo the rows, which hold all windows of one answer.
        self._ring: Array = np.empty((config.frames + _AVERAGED, config.bands), dtype=np.float32)
        self._frames_done = 0
        self._run: list[_Window] = []
        self._answered = False

    def push(self, samples: Array) -> list[Event]:
        """The events that are certain after these samples.

        Args:
            samples: (any,) float32 in [-1, 1] at the recogniser's sample rate.

        Raises:
            AudioError: a sample is NaN or infinite.
        """
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"expected samples (any,), got {samples.shape}")
        if not np.isfinite(samples).all():
            raise AudioError("not_finite", "expected samples from -1 to 1, got NaN or infinity")
        # As all readers of files do: energies far beyond full scale would be no numbers.
        samples = np.clip(samples, -1, 1)
        events: list[Event] = []
        piece = self._config.clip_samples
        for start in range(0, len(samples), piece):
            self._buffer = np.concatenate((self._buffer, samples[start : start + piece]))
            while (begin := self._begin()) + self._heard <= len(self._buffer):
                events += self._step(begin)
            # An answer looks back at the windows it is about.
            used = max(0, begin - _AVERAGED * self._hop)
            self._buffer = self._buffer[used:]
            self._dropped += used
        return events

    def finish(self) -> list[Event]:
        """The events that were waiting for the end of the stream; nothing can be pushed after."""
        total = self._dropped + len(self._buffer) - self._lead
        events = self.push(np.zeros(self._heard - self._lead, dtype=np.float32))
        # What was put behind the stream is no part of it.
        return [
            replace(event, stop=min(event.stop, total), known=min(event.known, total))
            for event in events + self._answer()
        ]

    def _begin(self, number: int | None = None) -> int:
        """Where a window, as a rule the next one, begins in the buffer."""
        return (self._steps if number is None else number) * self._hop - self._dropped

    def _step(self, begin: int) -> list[Event]:
        """Look at one window; the event that it completes, if there is one."""
        excess, background = excess_energy(self._clip(begin, self._heard), self._config)
        shift = off_centre(excess, self._config)
        number, self._steps = self._steps, self._steps + 1
        if not self._audible(excess, background) or abs(shift) > _ALIGNED_HOPS * self._hop:
            events = self._answer()
            self._answered = False
            return events
        if self._answered:
            return []
        self._run.append(_Window(number, shift, excess))
        return self._answer() if len(self._run) == _AVERAGED else []

    def _clip(self, begin: int, heard: int) -> Array:
        """The second that begins there in the buffer, mirrored where it has not been heard."""
        clip = self._buffer[begin : begin + heard]
        return np.concatenate((clip, clip[::-1][: self._config.clip_samples - heard]))

    def _audible(self, excess: Array, background: float) -> bool:
        """Whether the gate lets a window through. ``excess`` is above twice the background."""
        loudest = float(excess.max())
        floor = 3 * block_samples(self._config) * _GATE_FLOOR
        return loudest > max((_GATE_RATIO - 2) * background, floor)

    def _answer(self) -> list[Event]:
        """What the windows since the last answer have been about.

        They are not asked about before, since until now more of the first ones has been heard.
        """
        if not self._run:
            return []
        run, self._run = self._run, []
        self._answered = True
        last_step = self._steps - 1
        # With every step a window has been heard a frame further.
        late = [
            min(last_step - window.number, self._config.frames - self._awaited) for window in run
        ]
        heard = self._awaited + np.array(late)
        vectors = self._vectors(np.array([window.number for window in run]), heard)
        nearest = min(range(len(run)), key=lambda index: abs(run[index].shift))
        best = run[nearest]
        start, block = best.number * self._hop - self._lead, block_samples(self._config)
        middle = self._config.clip_samples // 2 + best.shift
        first, last = _extent(best.excess, middle, block)
        return [
            Event(
                centre=start + middle,
                start=max(0, start + first * block),
                stop=start + min(last * block, self._heard),
                known=last_step * self._hop - self._lead + self._heard,
                posteriors=self._recognizer.stream_scores(vectors).mean(axis=0),
                clip=self._clip(self._begin(best.number), self._heard + late[nearest] * self._hop),
            )
        ]

    def _vectors(self, numbers: npt.NDArray[np.intp], heard: npt.NDArray[np.intp]) -> Array:
        """(windows, 1024) features of windows of which so many frames have been heard."""
        first, stop = max(int(numbers[0]), self._frames_done), int((numbers + heard).max())
        while first < stop:
            new = np.arange(first, min(stop, first + self._config.frames))
            block = np.empty((self._config.bands, len(new)), dtype=np.float32)
            self._recognizer.front_end.log_mel(self._buffer[self._begin(first) :], block)
            self._ring[new % len(self._ring)] = block.T
            first += len(new)
        self._frames_done = stop
        rows = (numbers[:, np.newaxis] + mirrored_frames(self._config, heard)) % len(self._ring)
        vectors: Array = self._ring[rows].transpose(0, 2, 1).reshape(len(numbers), -1)
        return vectors


def _extent(excess: Array, centre: int, block: int) -> tuple[int, int]:
    """First block of the word around a sample of its clip, and the one after its last."""
    loud = loud_blocks(excess)
    words = np.split(loud, np.flatnonzero(np.diff(loud) > _LONGEST_GAP_BLOCKS) + 1)
    middle = centre / block
    word = min(words, key=lambda blocks: max(blocks[0] - middle, middle - blocks[-1] - 1))
    return int(word[0]), int(word[-1]) + 1


def find_events(
    recognizer: Recognizer, blocks: Iterable[Array]
) -> Iterator[tuple[list[Event], int]]:
    """The events of a sound that comes in blocks, with the samples of each block.

    Raises:
        AudioError: a sample is NaN or infinite.
    """
    finder = EventFinder(recognizer)
    for block in blocks:
        yield finder.push(block), len(block)
    yield finder.finish(), 0
