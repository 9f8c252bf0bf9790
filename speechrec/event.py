"""A sound in a stream, and what the network made of it."""

from dataclasses import dataclass, replace

from speechrec.features import Array
from speechrec.talk import with_prior


@dataclass(frozen=True, slots=True)
class Event:
    """Something that stood in the middle of a window, word or not, and the network's answer.

    ``centre``, ``start``, ``stop`` are samples of the stream: where its energy has its centre of
    gravity and where it begins and ends. ``known`` is how many samples had come in when it was
    answered, for the last time. ``power`` is that of its loudest 30 ms above the background, see
    `placing.excess_energy`; it compares sounds of one stream.
    ``posteriors`` is (labels,) float32, with the talk before it taken into account; ``clip``
    (clip_samples,) float32 is what the network was asked about.
    """

    centre: int
    start: int
    stop: int
    known: int
    power: float
    posteriors: Array
    clip: Array

    def weighed(self, prior: Array) -> "Event":
        """This event where labels are so many times as likely, see `talk`; ``prior`` (labels,)."""
        return replace(self, posteriors=with_prior(self.posteriors, prior))
