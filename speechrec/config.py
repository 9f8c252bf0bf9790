"""Settings of features and data: frozen dataclasses that check their bounds.

`train_config` has those of training, `config_toml` reads all of them.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from speechrec.errors import ConfigError, SettingsMismatchError

UNKNOWN = "_unknown_"
SILENCE = "_silence_"

Part = Literal["training", "validation", "testing"]
PARTS: tuple[Part, ...] = ("training", "validation", "testing")


def is_keyword(label: str) -> bool:
    """Whether a label is a word to act on."""
    return label not in (UNKNOWN, SILENCE)


def require(ok: bool, message: str) -> None:
    """Raise `ConfigError` with the message where ``ok`` is false."""
    if not ok:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureConfig:
    """The front end: one second of sound becomes ``bands * frames`` log-mel numbers.

    Window and hop are chosen so that the frames lie wholly inside the clip: no padding, so a frame
    is the same number whether its clip was cut out of a stream or read from a file.
    """

    sample_rate_hz: int = 16_000
    clip_ms: int = 1000
    window_ms: float = 64.0
    hop_ms: float = 30.0
    bands: int = 32
    frames: int = 32
    low_hz: float = 60.0
    high_hz: float = 7800.0
    # Added to the mel energy before the logarithm: about the noise of 16-bit recordings in a band.
    log_offset: float = 1e-6
    # Where the word stands in its second: its energy's centre of gravity in the middle, or as cut.
    align: Literal["energy", "none"] = "energy"

    def __post_init__(self) -> None:
        require(
            8000 <= self.sample_rate_hz <= 48_000,
            f"features.sample_rate_hz: expected 8000 to 48000, got {self.sample_rate_hz}",
        )
        require(
            0 < self.low_hz < self.high_hz <= self.sample_rate_hz / 2,
            "features: expected 0 < low_hz < high_hz <= half the sample rate, "
            f"got {self.low_hz}, {self.high_hz} at {self.sample_rate_hz} Hz",
        )
        require(
            100 <= self.clip_ms <= 10_000,
            f"features.clip_ms: expected 100 to 10000, got {self.clip_ms}",
        )
        for name in ("clip_ms", "window_ms", "hop_ms", "bands", "frames", "log_offset"):
            value = getattr(self, name)
            require(0 < value < 1e6, f"features.{name}: expected 0 < value < 1e6, got {value}")
        # Anything near the smallest float32 would be none, and silence without a logarithm.
        require(
            self.log_offset >= 1e-30,
            f"features.log_offset: expected 1e-30 or more, got {self.log_offset}",
        )
        require(
            self.bands * self.frames == 1024,
            f"features: bands * frames is 1024 in this project, got {self.bands} * {self.frames}",
        )
        for name in ("window_ms", "hop_ms", "clip_ms"):
            exact = getattr(self, name) * self.sample_rate_hz / 1000
            require(
                exact.is_integer(),
                f"features.{name}: expected a whole number of samples at "
                f"{self.sample_rate_hz} Hz, got {exact}",
            )
        span = self.window_samples + (self.frames - 1) * self.hop_samples
        require(
            span <= self.clip_samples,
            f"features: {self.frames} frames span {span} samples, but the clip has only "
            f"{self.clip_samples}; shorten window_ms or hop_ms",
        )

    @property
    def clip_samples(self) -> int:
        return self.clip_ms * self.sample_rate_hz // 1000

    @property
    def window_samples(self) -> int:
        return int(self.window_ms * self.sample_rate_hz / 1000)

    @property
    def hop_samples(self) -> int:
        return int(self.hop_ms * self.sample_rate_hz / 1000)

    @property
    def size(self) -> int:
        """Numbers in one feature vector."""
        return self.bands * self.frames

    @property
    def bins(self) -> int:
        """FFT bins of one window, 0 Hz and half the sample rate included."""
        return self.window_samples // 2 + 1

    @property
    def hash(self) -> str:
        """SHA-256 of the settings; written into every file made from them."""
        return sha256_json(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which clips become which label, and which part their speaker goes to."""

    # Keywords. Empty: the standard ten of Speech Commands where the folder is laid out like it,
    # else every word found.
    words: tuple[str, ...] = ()
    # Regular expression; its group "speaker" (or first group) is searched in the file name.
    speaker_pattern: str = ""
    # "clip" lets a speaker stand in several parts; figures are then optimistic for new voices.
    split_by: Literal["speaker", "clip"] = "speaker"
    validation_percent: float = 10.0
    testing_percent: float = 10.0
    # Clips of `_silence_` per hundred other clips of the same part.
    silence_percent: float = 10.0
    # At most this many unknown clips of the corpus per clip of the average keyword; 0 keeps all.
    unknown_ratio: float = 4.0
    store_dtype: Literal["float32", "float16"] = "float32"
    # Credit that the recordings' licence asks for; carried into the recogniser file.
    attribution: str = ""

    def __post_init__(self) -> None:
        require(
            len(set(self.words)) == len(self.words),
            f"data.words: expected each word once, got {', '.join(self.words)}",
        )
        for word in self.words:
            require(
                bool(word.strip()) and is_keyword(word),
                f"data.words: {word!r} is not a word to recognise",
            )
        shares = (self.validation_percent, self.testing_percent)
        require(
            all(0 <= share < 100 for share in shares) and sum(shares) < 100,
            f"data: expected percentages from 0 that leave room for training, got {shares}",
        )
        for name in ("silence_percent", "unknown_ratio"):
            value = getattr(self, name)
            require(0 <= value <= 1000, f"data.{name}: expected 0 to 1000, got {value}")


def check_same_features(made_with: FeatureConfig, wanted: FeatureConfig, *, what: str) -> None:
    """Refuse to bring things of different front ends together, naming the settings that differ.

    Raises:
        SettingsMismatchError: ``what`` was made with settings other than ``wanted``.
    """
    if made_with == wanted:
        return
    theirs, ours = dataclasses.asdict(made_with), dataclasses.asdict(wanted)
    differing = "; ".join(
        f"{name} is {theirs[name]} there and {ours[name]} here"
        for name in ours
        if theirs[name] != ours[name]
    )
    raise SettingsMismatchError(
        f"{what} was made with other front-end settings: {differing}; "
        "extract again with the wanted settings, or use the settings it was made with"
    )


def sha256_json(value: object) -> str:
    """SHA-256 of a plain value's canonical JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
