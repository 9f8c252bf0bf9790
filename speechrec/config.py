"""Settings: frozen dataclasses, read from TOML, written as TOML or JSON, checked once here."""

import dataclasses
import hashlib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from speechrec.errors import ConfigError, SettingsMismatchError

UNKNOWN = "_unknown_"
SILENCE = "_silence_"

Part = Literal["training", "validation", "testing"]
PARTS: tuple[Part, ...] = ("training", "validation", "testing")


def _require(ok: bool, message: str) -> None:
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

    def __post_init__(self) -> None:
        _require(
            8000 <= self.sample_rate_hz <= 48_000,
            f"features.sample_rate_hz: expected 8000 to 48000, got {self.sample_rate_hz}",
        )
        _require(
            0 < self.low_hz < self.high_hz <= self.sample_rate_hz / 2,
            "features: expected 0 < low_hz < high_hz <= half the sample rate, "
            f"got {self.low_hz}, {self.high_hz} at {self.sample_rate_hz} Hz",
        )
        _require(
            100 <= self.clip_ms <= 10_000,
            f"features.clip_ms: expected 100 to 10000, got {self.clip_ms}",
        )
        for name in ("clip_ms", "window_ms", "hop_ms", "bands", "frames", "log_offset"):
            value = getattr(self, name)
            _require(value > 0, f"features.{name}: expected a positive number, got {value}")
        _require(
            self.bands * self.frames == 1024,
            f"features: bands * frames is 1024 in this project, got {self.bands} * {self.frames}",
        )
        for name in ("window_ms", "hop_ms", "clip_ms"):
            exact = getattr(self, name) * self.sample_rate_hz / 1000
            _require(
                exact.is_integer(),
                f"features.{name}: expected a whole number of samples at "
                f"{self.sample_rate_hz} Hz, got {exact}",
            )
        span = self.window_samples + (self.frames - 1) * self.hop_samples
        _require(
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
    # At most this many unknown clips per clip of the average keyword; 0 keeps all of them.
    unknown_ratio: float = 4.0
    store_dtype: Literal["float32", "float16"] = "float32"
    # Credit that the recordings' licence asks for; carried into the recogniser file.
    attribution: str = ""

    def __post_init__(self) -> None:
        _require(
            len(set(self.words)) == len(self.words),
            f"data.words: expected each word once, got {', '.join(self.words)}",
        )
        for word in self.words:
            _require(
                bool(word.strip()) and word not in (UNKNOWN, SILENCE),
                f"data.words: {word!r} is not a word to recognise",
            )
        shares = (self.validation_percent, self.testing_percent)
        _require(
            all(0 <= share < 100 for share in shares) and sum(shares) < 100,
            f"data: expected percentages from 0 that leave room for training, got {shares}",
        )
        for name in ("silence_percent", "unknown_ratio"):
            value = getattr(self, name)
            _require(0 <= value <= 1000, f"data.{name}: expected 0 to 1000, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The network between 1024 numbers and the posteriors.

    ``dropout`` has one rate for each layer that is followed by one: the dense network's hidden
    layers, or the convolutional network's convolutions and then its hidden dense layers.
    """

    kind: Literal["dense", "cnn"] = "dense"
    filters: tuple[int, ...] = ()
    widths: tuple[int, ...] = (512, 256, 128, 64)
    dropout: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5)
    batch_norm: bool = False
    # Mean and deviation of each mel band, from the training part, as the network's first step.
    standardise: bool = True

    def __post_init__(self) -> None:
        layers = len(self.filters) + len(self.widths)
        _require(
            len(self.dropout) == layers,
            f"model.dropout: expected {layers} rates, one a layer, got {len(self.dropout)}",
        )
        _require(
            all(0 <= rate < 1 for rate in self.dropout),
            f"model.dropout: expected rates from 0 to below 1, got {self.dropout}",
        )
        _require(
            all(0 < size <= 8192 for size in (*self.filters, *self.widths)),
            f"model: expected layer sizes from 1 to 8192, got {self.filters} and {self.widths}",
        )
        _require(
            (self.kind == "cnn") == bool(self.filters),
            f"model.filters: a {self.kind} network got {self.filters}",
        )


MODEL_PRESETS = {
    "dense": ModelConfig(),
    "cnn": ModelConfig(kind="cnn", filters=(32, 64), widths=(128,), dropout=(0.25, 0.25, 0.5)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The schedule. Adam on categorical cross-entropy throughout."""

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    # Stop after this many epochs without a better validation accuracy; 0 never stops early.
    patience: int = 20
    # Keep the epoch of best validation accuracy (ties: lower loss) instead of the last one.
    keep_best: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            _require(value > 0, f"train.{name}: expected a positive number, got {value}")
        _require(self.patience >= 0, f"train.patience: expected 0 or more, got {self.patience}")
        _require(0 <= self.seed < 2**31, f"train.seed: expected 0 to 2147483647, got {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All stages' settings; the file of a run holds only what differs from these defaults."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def load_config(
    path: Path | None,
    overrides: Mapping[str, Any] | None = None,
    *,
    features: FeatureConfig | None = None,
) -> Config:
    """Read TOML and put ``overrides`` ({"train.epochs": 5}) on top.

    Args:
        features: front-end settings that hold where the file does not state them (those of a
            feature store).

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown, a value does not fit.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot read this config: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: expected TOML: {error}") from error
    for key, value in (overrides or {}).items():
        section, _, name = key.partition(".")
        _require(bool(name), f"expected SECTION.NAME, for example train.epochs, got {key!r}")
        existing = tree.setdefault(section, {})
        _require(isinstance(existing, dict), f"{section}: expected a table, got {existing!r}")
        existing[name] = value
    return config_from_dict(tree, features=features)


def parse_override(pair: str) -> tuple[str, Any]:
    """``train.epochs=5`` to ("train.epochs", 5): the value is TOML, or else a plain string."""
    key, equals, text = pair.partition("=")
    _require(bool(equals), f"--set: expected SECTION.NAME=VALUE, got {pair!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), text


def config_from_dict(tree: Mapping[str, Any], *, features: FeatureConfig | None = None) -> Config:
    """A `Config` from nested plain values; ``model.kind`` picks the preset the rest builds on."""
    model = tree.get("model", {})
    kind = model.get("kind", "dense") if isinstance(model, Mapping) else "dense"
    preset = MODEL_PRESETS.get(kind, ModelConfig()) if isinstance(kind, str) else ModelConfig()
    bases: dict[str, Any] = {
        "features": features or FeatureConfig(), "data": DataConfig(),
        "model": preset, "train": TrainConfig(),
    }  # fmt: skip
    unknown = sorted(set(tree) - set(bases))
    _require(not unknown, f"unknown section {', '.join(unknown)}; expected {', '.join(bases)}")
    return Config(
        **{name: _replaced(base, tree.get(name, {}), name) for name, base in bases.items()}
    )


def features_from_dict(tree: object) -> FeatureConfig:
    """The front-end settings that a file carries."""
    config: FeatureConfig = _replaced(FeatureConfig(), tree, "features")
    return config


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


def _replaced(base: Any, values: object, section: str) -> Any:
    """``base`` with ``values`` put in, each checked against the type its field declares."""
    _require(isinstance(values, Mapping), f"{section}: expected a table, got {values!r}")
    assert isinstance(values, Mapping)
    hints = typing.get_type_hints(type(base))
    unknown = sorted(map(str, set(values) - set(hints)))
    _require(
        not unknown,
        f"unknown setting {', '.join(f'{section}.{name}' for name in unknown)}; "
        f"expected one of {', '.join(hints)}",
    )
    checked = {
        name: _checked(value, hints[name], f"{section}.{name}") for name, value in values.items()
    }
    return dataclasses.replace(base, **checked)


def _checked(value: Any, hint: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        _require(value in choices, f"{name}: expected one of {choices}, got {value!r}")
        return value
    if origin is tuple:
        _require(isinstance(value, list | tuple), f"{name}: expected a list, got {value!r}")
        return tuple(_checked(item, typing.get_args(hint)[0], name) for item in value)
    assert isinstance(hint, type) and not isinstance(hint, types.UnionType)
    # As in TOML; beyond it an integer may have no float.
    _require(not isinstance(value, int) or abs(value) < 2**63, f"{name}: expected a 64-bit integer")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    finite = not isinstance(value, float) or abs(value) < float("inf")
    _require(fits and finite, f"{name}: expected {hint.__name__}, got {value!r}")
    return value
