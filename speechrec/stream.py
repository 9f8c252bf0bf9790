"""The streaming detector: samples in, commands with their times out."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from speechrec.errors import ConfigError
from speechrec.event import Event
from speechrec.events import EventFinder
from speechrec.features import Array
from speechrec.keyword_score import KeywordScore, passes
from speechrec.recognizer import Recognizer

# Words whose middles are closer together than this are one.
_REFRACTORY_MS = 600


@dataclass(frozen=True, slots=True)
class Detection:
    """A command that was heard; times in seconds from the beginning of the stream.

    ``confidence`` is that this command was said rather than none, see `keyword_score`; ``known_s``
    is how much of the stream had come in when it was certain.
    """

    label: str
    start_s: float
    end_s: float
    confidence: float
    known_s: float = 0.0

    def record(self) -> dict[str, Any]:
        """The JSON object of a detection."""
        return {
            "label": self.label,
            "start_s": round(self.start_s, 6),
            "end_s": round(self.end_s, 6),
            "confidence": self.confidence,
        }


class Decider:
    """Events to commands: at or above its command's threshold, and not twice in a moment.

    Args:
        thresholds: for every keyword among the labels; 1 mutes it.
    """

    def __init__(
        self, labels: Sequence[str], thresholds: Mapping[str, float], *, rate_hz: int
    ) -> None:
        self._score = KeywordScore(labels)
        self._thresholds, self._rate_hz = thresholds, rate_hz
        self._refractory = _REFRACTORY_MS * rate_hz // 1000
        # A few, as events do not come in the order in which they were said.
        self._reported = deque[Event](maxlen=4)

    def __call__(self, event: Event) -> Detection | None:
        """What an event is, or None if it is no command.

        Events come in the order of their answers, so one in doubt may lie before the last command.
        """
        if not self._score.is_clear(event.posteriors):
            return None
        label, confidence = self._score(event.posteriors)
        if not passes(confidence, self._thresholds[label]):
            return None
        if any(self._is_same(event, other) for other in self._reported):
            return None
        self._reported.append(event)
        start_s, end_s, known_s = (
            sample / self._rate_hz for sample in (event.start, event.stop, event.known)
        )
        return Detection(label, start_s, end_s, confidence, known_s)

    def _is_same(self, event: Event, other: Event) -> bool:
        """Whether both are about one utterance.

        Sounds on both sides of it may pull its middle to one of them first, then to the other.
        """
        overlaps = event.start < other.stop and other.start < event.stop
        return overlaps or abs(event.centre - other.centre) < self._refractory

    def all_of(self, events: Iterable[Event]) -> list[Detection]:
        """The commands among events."""
        return [found for event in events if (found := self(event))]


class Detector:
    """Samples to commands. Not to be shared between threads.

    Args:
        thresholds: the confidence from which on a command counts, by label; where it has none, the
            recogniser's own.

    Raises:
        ConfigError: a threshold is for no keyword, or not between 0 and 1.
    """

    def __init__(
        self, recognizer: Recognizer, *, thresholds: Mapping[str, float] | None = None
    ) -> None:
        keywords = recognizer.keywords
        for label, value in (thresholds or {}).items():
            if label not in keywords or not (isinstance(value, Real) and 0 <= value <= 1):
                raise ConfigError(
                    f"expected thresholds from 0 to 1 for {', '.join(keywords)}, "
                    f"got {value!r} for {label!r}"
                )
        self.rate_hz = recognizer.config.sample_rate_hz
        self._finder = EventFinder(recognizer)
        self._decide = Decider(
            recognizer.labels,
            {**recognizer.stream_thresholds, **(thresholds or {})},
            rate_hz=self.rate_hz,
        )

    def push(self, samples: Array) -> list[Detection]:
        """The commands that are certain after these samples.

        Args:
            samples: (any,) float32 in [-1, 1] at the recogniser's sample rate.

        Raises:
            AudioError: a sample is NaN or infinite.
            BundleError: the network for streams is damaged, or gives no numbers.
            ValueError: they are not floats, or `finish` has been called.
        """
        return self._decide.all_of(self._finder.push(samples))

    def finish(self) -> list[Detection]:
        """The commands that were waiting for the end of the stream; no push afterwards.

        Once more, there are none.
        """
        return self._decide.all_of(self._finder.finish())
