"""Samples of a stream to events: where something was said, and what the network makes of it.

A window of one second slides over the sound in steps of the front end's hop. Where the centre of
gravity of its energy passes through its middle, the window stands on a word as training clips do,
and the network is asked; everywhere else nothing but energies is computed. Where its answer leaves
a doubt, it is asked again when more has come in, at most twice. The same steps are made whatever
the size of the blocks that come in, so the events are the same to the last bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from speechrec.doubt import Doubts
from speechrec.event import Event
from speechrec.features import Array
from speechrec.frame_ring import FrameRing
from speechrec.gate import is_audible, word_extent
from speechrec.high_pass import HighPass
from speechrec.limits import checked_samples
from speechrec.placing import awaited_frames, block_samples, excess_energy, off_centre
from speechrec.recognizer import Recognizer
from speechrec.sources import file_blocks
from speechrec.talk import TalkPrior

# A window is on a word while its centre of gravity is within so many hops of the middle; that is
# for three hops, and the mean of the three posteriors counts, or of the first two if that will do.
_ALIGNED_HOPS = 1.5
_EARLY, _AVERAGED = 2, 3
_LEAST_POWER = float(np.finfo(np.float32).tiny)


class _Window(NamedTuple):
    """A window that stood on something."""

    number: int
    shift: int
    excess: Array


class _First(NamedTuple):
    """An event by its first answer, its window, and what its posteriors were multiplied by."""

    event: Event
    window: _Window
    prior: Array


class EventFinder:
    """Samples to events, in the order of their answers. Not to be shared between threads.

    Every log-mel frame is computed at most once, and only where the network is asked.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        config = recognizer.config
        self._recognizer, self._config = recognizer, config
        self._hop = config.hop_samples
        # Frames and samples of a window that must have come in.
        self._awaited = awaited_frames(config)
        self._heard = config.clip_samples - (config.frames - self._awaited) * self._hop
        self._prior = TalkPrior(recognizer.labels, sample_rate_hz=config.sample_rate_hz)
        # A network for single clips wants the word in the middle, so it is asked once.
        self._doubts: Doubts[_First] = Doubts(
            recognizer.labels, hop_ms=config.hop_ms, asks_again=recognizer.has_stream_network
        )
        # An answer looks back at the windows it is about, the second one over both its sides and
        # what had not come in at the first.
        reach = self._doubts.reach
        windows = _AVERAGED + 2 * reach
        self._look_back = windows + config.frames - self._awaited
        self._frames = FrameRing(recognizer.front_end, config.frames + windows)
        # So far before the first window on a sound may be the first that it is asked about again.
        self._before = reach + round(_ALIGNED_HOPS) if reach else 0
        # Before the first sample and after the last there is nothing but the offset of the sound,
        # since a step of it would be as loud as a word; half a window of it lets a first word be in
        # the middle of one.
        self._lead = config.clip_samples // 2
        self._buffer: Array = np.zeros(self._lead, dtype=np.float32)
        self._high_pass = HighPass(sample_rate_hz=config.sample_rate_hz)
        self._above: Array = np.zeros(self._heard, dtype=np.float32)
        # Windows looked at, and samples of the stream before the buffer (the lead counts too).
        self._steps = 0
        self._dropped = 0
        self._run: list[_Window] = []
        self._answered = False
        self._finished = False

    def push(self, samples: Array) -> list[Event]:
        """The events that are certain after these samples.

        Args:
            samples: (any,) float32 in [-1, 1] at the recogniser's sample rate.

        Raises:
            AudioError: a sample is NaN or infinite.
            BundleError: the network for streams is damaged, or gives no numbers.
            ValueError: they are not floats, or `finish` has been called.
        """
        if self._finished:
            raise ValueError(
                "expected no sound after finish(); each sound has a detector of its own"
            )
        samples = checked_samples(samples)
        events: list[Event] = []
        piece = self._config.clip_samples
        for start in range(0, len(samples), piece):
            self._buffer = np.concatenate((self._buffer, samples[start : start + piece]))
            while (begin := self._begin()) + self._heard <= len(self._buffer):
                events += self._step(begin)
            used = max(0, begin - self._look_back * self._hop)
            self._buffer = self._buffer[used:]
            self._dropped += used
        return events

    def finish(self) -> list[Event]:
        """The events that were waiting for the end of the stream; nothing can be pushed after.

        Once more, there are none.
        """
        if self._finished:
            return []
        total = self._dropped + len(self._buffer) - self._lead
        beyond = self._heard - self._lead
        ending = self._buffer[max(self._lead - self._dropped, len(self._buffer) - beyond) :]
        events = self.push(np.full(beyond, _offset(ending), dtype=np.float32)) + self._answer()
        self._finished = True
        # Where no more comes in, the first answer stands.
        events += [first.event for first in self._doubts.left()]
        # What was put behind the stream is no part of it.
        last = max(0, total - block_samples(self._config))
        return [
            replace(
                event, start=min(event.start, last), stop=min(event.stop, total),
                known=min(event.known, total),
            )
            for event in events
        ]  # fmt: skip

    def _begin(self, number: int | None = None) -> int:
        """Where a window, as a rule the next one, begins in the buffer."""
        return (self._steps if number is None else number) * self._hop - self._dropped

    def _step(self, begin: int) -> list[Event]:
        """Look at one window; the events that it completes."""
        excess, background = excess_energy(self._loud_part(begin), self._config)
        shift = off_centre(excess, self._config)
        number, self._steps = self._steps, self._steps + 1
        events = self._answer_again()
        is_aligned = abs(shift) <= _ALIGNED_HOPS * self._hop
        if not is_aligned or not is_audible(excess, background, self._config):
            events += self._answer()
            self._answered = False
        elif not self._answered:
            self._run.append(_Window(number, shift, excess))
            if len(self._run) == _AVERAGED:
                events += self._answer()
            elif len(self._run) == _EARLY and self._doubts.asks_again:
                events += self._answer(early=True)
        return events

    def _loud_part(self, begin: int) -> Array:
        """(clip_samples,) what of a window counts as loudness; the stream is filtered once."""
        if not self._steps:
            offset = _offset(self._buffer[self._lead : self._heard])
            self._buffer[: self._lead] = offset
            self._high_pass.settle(offset)
            self._above[self._lead :] = self._high_pass(self._buffer[self._lead : self._heard])
        else:
            new = self._buffer[: begin + self._heard][-self._hop :]
            self._above = np.concatenate((self._above[self._hop :], self._high_pass(new)))
        return self._mirrored(self._above)

    def _clip(self, begin: int, heard: int) -> Array:
        """The second that begins there in the buffer, as far as it has been heard."""
        return self._mirrored(self._buffer[begin : begin + heard])

    def _mirrored(self, clip: Array) -> Array:
        """The second that begins so, mirrored where it has not been heard."""
        return np.concatenate((clip, clip[::-1][: self._config.clip_samples - len(clip)]))

    def _answer(self, *, early: bool = False) -> list[Event]:
        """What the windows since the last answer have been about, unless it is in doubt.

        They are not asked about one by one, since with every step more of the first has been heard.
        An early answer in doubt waits for the next window.
        """
        if not self._run:
            return []
        run = self._run
        numbers = np.array([window.number for window in run])
        # With every step a window has been heard a frame further.
        heard = np.minimum(self._awaited + self._steps - 1 - numbers, self._config.frames)
        posteriors = self._posteriors(numbers, heard, since=max(0, run[0].number - self._before))
        in_doubt = self._doubts.has(posteriors, early=early)
        if early and in_doubt:
            return []
        self._run, self._answered = [], True
        best = min(run, key=lambda window: abs(window.shift))
        alone = self._event(best, posteriors)
        prior = self._prior(alone.centre, alone.power, posteriors)
        event = alone.weighed(prior)
        if not in_doubt:
            return [event]
        middle = best.number + round(best.shift / self._hop)
        self._doubts.add(_First(event, best, prior), self._doubts.around(middle))
        return []

    def _answer_again(self) -> list[Event]:
        """The events in doubt of whose windows the last has just come in as a whole."""
        whole = self._steps - 1 - (self._config.frames - self._awaited)
        heard, events = np.array(self._config.frames), list[Event]()
        for first, again in self._doubts.due(whole):
            posteriors = self._posteriors(again, heard, since=int(again[0]))
            events.append(self._event(first.window, posteriors).weighed(first.prior))
        return events

    def _event(self, window: _Window, posteriors: Array) -> Event:
        """What stands in the middle of a window, as far as that has come in by now."""
        start, block = window.number * self._hop - self._lead, block_samples(self._config)
        middle = self._config.clip_samples // 2 + window.shift
        # Before the stream there is nothing, however much of an edge its beginning is.
        before = min(max(0, -(start // block)), len(window.excess) - 1)
        first, last = word_extent(window.excess[before:], middle - before * block, self._config)
        first, last = first + before, last + before
        known = (self._steps - 1) * self._hop - self._lead + self._heard
        return Event(
            centre=start + middle,
            start=max(0, start + first * block),
            stop=start + min(last * block, self._heard),
            known=known,
            # Of what stands out before the stream alone, none is left.
            power=max(float(window.excess[first:last].max()), _LEAST_POWER),
            posteriors=posteriors,
            clip=self._clip(
                self._begin(window.number), min(known - start, self._config.clip_samples)
            ),
        )

    def _posteriors(
        self, numbers: npt.NDArray[np.intp], heard: npt.NDArray[np.intp], *, since: int
    ) -> Array:
        """(labels,) mean over windows of which so many frames have been heard.

        Frames from ``since`` on are kept for a second answer.
        """
        stop = int((numbers + heard).max())
        self._frames.fill(self._buffer[self._begin(since) :], first=since, stop=stop)
        vectors = self._frames.windows(numbers, heard)
        mean: Array = self._recognizer.stream_scores(vectors).mean(axis=0)
        return mean


def _offset(samples: Array) -> float:
    """The constant part of a sound, which is no sound."""
    return float(samples.mean(dtype=np.float64)) if len(samples) else 0.0


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


def file_events(recognizer: Recognizer, path: Path) -> Iterator[tuple[list[Event], float]]:
    """The events of a recording, block by block, each with the seconds of the block.

    Raises:
        AudioError: the recording cannot be read.
    """
    rate = recognizer.config.sample_rate_hz
    for events, samples in find_events(recognizer, file_blocks(path, sample_rate_hz=rate)):
        yield events, samples / rate
