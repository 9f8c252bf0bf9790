"""Settings of training: copies, networks, schedules, teacher, recogniser file, and all together."""

from dataclasses import dataclass, field
from typing import Literal

from speechrec.config import DataConfig, FeatureConfig, require


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Altered copies of the training clips, made from the waveform before the first training."""

    # Vectors of each training clip: the clip itself and ``views - 1`` altered copies.
    views: int = 1
    # Speed and pitch together, up and down.
    stretch_percent: float = 15.0
    shift_ms: float = 100.0
    # Share of copies with background noise, and how far it may be below the word.
    noise_share: float = 0.7
    least_snr_db: float = 0.0
    most_snr_db: float = 30.0
    # Share of drawn noises that are interference: others who talk, pulses, tones.
    interference_share: float = 0.0
    # Share of interference that is others who talk.
    talk_share: float = 0.5
    # Share of copies of unknown words that stand in running speech: others right before and after.
    neighbour_share: float = 0.0
    # Share of copies of keywords that stand close after another word, before one, or both.
    sequence_share: float = 0.0
    # Share of copies with a room's echo.
    echo_share: float = 0.3
    least_gain_db: float = -20.0
    most_gain_db: float = 6.0

    def __post_init__(self) -> None:
        require(1 <= self.views <= 1000, f"augment.views: expected 1 to 1000, got {self.views}")
        require(
            0 <= self.stretch_percent <= 50,
            f"augment.stretch_percent: expected 0 to 50, got {self.stretch_percent}",
        )
        require(
            0 <= self.shift_ms <= 1000,
            f"augment.shift_ms: expected 0 to 1000, got {self.shift_ms}",
        )
        for name in (
            "noise_share", "interference_share", "talk_share", "neighbour_share", "sequence_share",
            "echo_share",
        ):  # fmt: skip
            value = getattr(self, name)
            require(0 <= value <= 1, f"augment.{name}: expected 0 to 1, got {value}")
        for low, high in (("least_snr_db", "most_snr_db"), ("least_gain_db", "most_gain_db")):
            bounds = getattr(self, low), getattr(self, high)
            require(
                -200 <= bounds[0] <= bounds[1] <= 200,
                f"augment: expected {low} and {high} from -200 to 200 in order, got {bounds}",
            )


_STEM_STRIDES = (2, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The network between 1024 numbers and the posteriors.

    ``dropout`` has one rate for each layer that is followed by one: the dense network's hidden
    layers, or the convolutional network's convolutions and then its hidden dense layers. A residual
    network has one rate, before its last layer.
    """

    kind: Literal["dense", "cnn", "resnet"] = "dense"
    filters: tuple[int, ...] = ()
    widths: tuple[int, ...] = (512, 256, 128, 64)
    dropout: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5)
    # Bands and frames from one place of a residual network's first convolution to the next.
    stem_strides: tuple[int, int] = _STEM_STRIDES
    batch_norm: bool = False
    # The mean of the vector, which is how loud the clip is, as the first thing taken away.
    remove_level: bool = False
    # Mean and deviation of each mel band, from the training part, as the network's next step.
    standardise: bool = True

    def __post_init__(self) -> None:
        layers = 1 if self.kind == "resnet" else len(self.filters) + len(self.widths)
        require(
            len(self.dropout) == layers,
            f"model.dropout: expected {layers} rates, one a layer, got {len(self.dropout)}",
        )
        require(
            all(0 <= rate < 1 for rate in self.dropout),
            f"model.dropout: expected rates from 0 to below 1, got {self.dropout}",
        )
        require(
            all(0 < size <= 8192 for size in (*self.filters, *self.widths)),
            f"model: expected layer sizes from 1 to 8192, got {self.filters} and {self.widths}",
        )
        require(
            (self.kind != "dense") == bool(self.filters),
            f"model.filters: a {self.kind} network got {self.filters}",
        )
        require(
            self.kind != "resnet" or not self.widths,
            f"model.widths: a {self.kind} network got {self.widths}",
        )
        require(
            len(self.stem_strides) == 2 and all(1 <= stride <= 8 for stride in self.stem_strides),
            f"model.stem_strides: expected two numbers from 1 to 8, got {self.stem_strides}",
        )
        require(
            self.kind == "resnet" or self.stem_strides == _STEM_STRIDES,
            f"model.stem_strides: a {self.kind} network got {self.stem_strides}",
        )


MODEL_PRESETS = {
    "dense": ModelConfig(),
    "cnn": ModelConfig(kind="cnn", filters=(32, 64), widths=(128,), dropout=(0.25, 0.25, 0.5)),
    "resnet": ModelConfig(
        kind="resnet", filters=(32, 64, 128), widths=(), dropout=(0.2,), batch_norm=True
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The schedule. Adam on categorical cross-entropy throughout, or AdamW with ``weight_decay``.

    An epoch is one pass over all vectors, those of altered copies included.
    """

    epochs: int = 60
    # More epochs where a small corpus would make fewer steps than this.
    least_steps: int = 0
    batch_size: int = 64
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    # Share of all steps over which the rate first rises from nothing (cosine only).
    warmup_share: float = 0.0
    # Pulls weights towards zero, apart from the gradient (AdamW, Loshchilov & Hutter 2019).
    weight_decay: float = 0.0
    # Probability spread over all labels in the answers (Szegedy et al. 2016).
    label_smoothing: float = 0.0
    # Vectors are mixed in pairs by shares from Beta(mixup, mixup); 0 is off (Zhang et al. 2018).
    mixup: float = 0.0
    # Share of vectors in which some frames and some bands are blanked (SpecAugment, Park 2019).
    mask_share: float = 0.0
    # Share of vectors whose last frames are mirrored, like those a stream does not wait for.
    mirror_share: float = 0.0
    # Convolutions and matrix products round to bfloat16: a residual network trains faster where the
    # processor has instructions for it, and only there.
    bfloat16: bool = False
    # Stop after this many epochs without a better validation accuracy; 0 never stops early.
    patience: int = 20
    # Keep the epoch of best validation accuracy (ties: lower loss) instead of the last one.
    keep_best: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            require(value > 0, f"train.{name}: expected a positive number, got {value}")
        for name in (
            "warmup_share",
            "weight_decay",
            "label_smoothing",
            "mask_share",
            "mirror_share",
        ):
            value = getattr(self, name)
            require(0 <= value <= 1, f"train.{name}: expected 0 to 1, got {value}")
        require(0 <= self.mixup <= 100, f"train.mixup: expected 0 to 100, got {self.mixup}")
        for name in ("patience", "least_steps"):
            value = getattr(self, name)
            require(0 <= value < 2**31, f"train.{name}: expected 0 or more, got {value}")
        require(0 <= self.seed < 2**31, f"train.seed: expected 0 to 2147483647, got {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """A stronger network that is trained first, and whose posteriors the network then learns.

    Distillation (Hinton et al. 2015) on altered copies. The recogniser file holds the teacher only
    with ``export.stream_teacher``.
    """

    # Share of the answers that is the teacher's, the rest being the labels; 0 trains no teacher.
    weight: float = 0.0
    # Above 1, the teacher's posteriors are softened, so that lower-ranked labels count more.
    temperature: float = 1.0
    model: ModelConfig = MODEL_PRESETS["resnet"]
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        require(0 <= self.weight <= 1, f"teacher.weight: expected 0 to 1, got {self.weight}")
        require(
            0.1 <= self.temperature <= 100,
            f"teacher.temperature: expected 0.1 to 100, got {self.temperature}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """What is written into the recogniser file."""

    # Weights as 8-bit integers (dynamic range): a quarter of the size, scores a little different.
    # The network for streams too.
    int8: bool = False
    # Temperature scaling on the validation part, and a threshold that refuses a share of
    # its unknown words, ``unknown_refused``.
    calibrate: bool = True
    # Streams are answered by the teacher, where there is one: it hears better, and costs little
    # where it is asked only when something was said.
    stream_teacher: bool = False
    unknown_refused: float = 0.98

    def __post_init__(self) -> None:
        require(
            0 <= self.unknown_refused <= 1,
            f"export.unknown_refused: expected 0 to 1, got {self.unknown_refused}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All stages' settings; a file for `--config` holds only what differs from these defaults."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
