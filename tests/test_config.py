"""Settings are checked at the border, vary only by what a file states, and round-trip."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.config import DataConfig, FeatureConfig, check_same_features
from speechrec.config_toml import config_from_dict, features_from_dict, load_config, parse_override
from speechrec.errors import ConfigError, SettingsMismatchError
from speechrec.train_config import (
    MODEL_PRESETS,
    AugmentConfig,
    Config,
    ModelConfig,
    TeacherConfig,
    TrainConfig,
)

CONFIGS = Path(__file__).parent.parent / "configs"
NAN, INF = float("nan"), float("inf")


def test_no_settings_are_the_defaults() -> None:
    """An empty file, no file and no dictionary entries all mean the defaults."""
    assert config_from_dict({}) == Config() == load_config(None)


def test_the_default_front_end_makes_1024_numbers() -> None:
    """Sixty-four milliseconds every thirty make 32 frames of 32 bands out of one second."""
    config = FeatureConfig()
    assert (config.clip_samples, config.window_samples, config.hop_samples) == (16_000, 1024, 480)
    assert (config.size, config.bins) == (1024, 513)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            {"feature": {}},
            "unknown section feature; "
            "expected features, data, augment, model, train, teacher, export",
        ),
        ({"train": {"epoch": 1}}, "unknown setting train.epoch; expected one of epochs"),
        ({"features": {"clip_samples": 1}}, "unknown setting features.clip_samples"),
        ({"train": 5}, "train: expected a table, got 5"),
        ({"model": [1]}, "model: expected a table"),
        ({"augment": {"copies": 3}}, "unknown setting augment.copies; expected one of views"),
        ({"teacher": {"epochs": 3}}, "unknown setting teacher.epochs; expected one of weight"),
        ({"teacher": {"train": {"epoch": 3}}}, "unknown setting teacher.train.epoch; expected one"),
        ({"teacher": {"model": {"layers": 3}}}, "unknown setting teacher.model.layers"),
        ({"teacher": 5}, "teacher: expected a table, got 5"),
        ({"teacher": {"model": 5}}, "teacher.model: expected a table, got 5"),
        ({"teacher": {"train": None}}, "teacher.train: expected a table, got None"),
    ],
)
def test_unknown_names_are_errors(tree: dict[str, Any], words: str) -> None:
    """A misspelt section or key is refused by its full name, with the known ones."""
    with pytest.raises(ConfigError, match=re.escape(words)):
        config_from_dict(tree)


WRONG = [
    ("train.epochs", True), ("train.epochs", 1.0), ("train.epochs", "5"), ("train.epochs", None),
    ("train.epochs", 0), ("train.epochs", -1), ("train.epochs", 2**63), ("train.batch_size", 0),
    ("train.learning_rate", NAN), ("train.learning_rate", INF), ("train.learning_rate", True),
    ("train.learning_rate", 0), ("train.learning_rate", 10**400), ("train.schedule", "linear"),
    ("train.schedule", ["cosine"]), ("train.keep_best", 1), ("train.keep_best", "yes"),
    ("train.patience", -1), ("train.seed", -1), ("train.seed", 2**31),
    ("train.warmup_share", -0.01), ("train.warmup_share", 1.01), ("train.warmup_share", NAN),
    ("train.weight_decay", -1e-9), ("train.weight_decay", 1.01), ("train.weight_decay", True),
    ("train.label_smoothing", -0.1), ("train.label_smoothing", 1.1),
    ("train.mask_share", -0.1), ("train.mask_share", 1.1), ("train.mask_share", "half"),
    ("train.mirror_share", -0.1), ("train.mirror_share", 1.1),
    ("train.mixup", -0.1), ("train.mixup", 100.1), ("train.mixup", INF),
    ("augment.views", 0), ("augment.views", 1001), ("augment.views", 2.0), ("augment.views", True),
    ("augment.stretch_percent", -1), ("augment.stretch_percent", 50.1),
    ("augment.stretch_percent", NAN),
    ("augment.shift_ms", -1), ("augment.shift_ms", 1000.1),
    ("augment.noise_share", -0.1), ("augment.noise_share", 1.1),
    ("augment.echo_share", -0.1), ("augment.echo_share", 1.1),
    ("augment.least_snr_db", "low"), ("augment.most_gain_db", INF),
    ("teacher.weight", -0.1), ("teacher.weight", 1.1), ("teacher.weight", NAN),
    ("teacher.temperature", 0), ("teacher.temperature", 101), ("teacher.temperature", NAN),
    ("teacher.train.epochs", 1.5), ("teacher.train.schedule", "linear"),
    ("teacher.model.kind", "lstm"), ("teacher.model.batch_norm", 1),
    ("features.align", "middle"), ("features.align", True), ("features.align", None),
    ("export.unknown_refused", -0.1), ("export.unknown_refused", 1.1), ("export.int8", 1),
    ("model.remove_level", 1),
    ("model.kind", "lstm"), ("model.kind", 1), ("model.kind", ["dense"]), ("model.widths", 5),
    ("model.widths", "512"), ("model.widths", [512, "a"]), ("model.widths", [True]),
    ("model.dropout", [0.5, NAN, 0.5, 0.5]), ("model.dropout", [0.5, 1.0, 0.5, 0.5]),
    ("model.dropout", [0.5, -0.1, 0.5, 0.5]), ("model.dropout", [0.5]),
    ("model.batch_norm", 0), ("model.standardise", None),
    ("data.words", "yes"), ("data.words", [1]), ("data.words", ["yes", "yes"]),
    ("data.words", [" "]), ("data.words", ["_silence_"]), ("data.words", ["_unknown_"]),
    ("data.split_by", "word"), ("data.store_dtype", "float64"), ("data.attribution", 5),
    ("data.silence_percent", -1), ("data.silence_percent", 1001), ("data.unknown_ratio", -0.5),
    ("data.unknown_ratio", NAN),
    ("features.sample_rate_hz", 7999), ("features.sample_rate_hz", 48_001),
    ("features.sample_rate_hz", 16_000.0), ("features.window_ms", 0), ("features.window_ms", -64),
    ("features.window_ms", 1e305), ("features.hop_ms", 0.01), ("features.clip_ms", 10**400),
    ("features.clip_ms", 1000.0), ("features.log_offset", 0), ("features.log_offset", 1e-50),
    ("features.log_offset", NAN),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_value_that_does_not_fit_names_its_key(key: str, value: object) -> None:
    """Wrong types (a bool is no number, NaN no size) and ranges are refused by the key's name."""
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)}: "):
        config_from_dict(nested(tuple(key.split(".")), value))


def nested(key: tuple[str, ...], value: object) -> dict[str, Any]:
    """{"a": {"b": value}} for ("a", "b")."""
    for name in reversed(key):
        value = {name: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("teacher.train.epochs", 0),
        ("teacher.train.mixup", -1.0),
        ("teacher.model.dropout", [0.1, 0.1]),
    ],
)
def test_a_bound_inside_the_teacher_names_the_teacher(key: str, value: object) -> None:
    """Where [train] and [teacher.train] are both stated, the message says which one is wrong."""
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)}: "):
        config_from_dict(nested(tuple(key.split(".")), value))


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"features": {"low_hz": 8000}}, "0 < low_hz < high_hz"),
        ({"features": {"low_hz": 0}}, "0 < low_hz"),
        ({"features": {"high_hz": 8001}}, "half the sample rate"),
        ({"features": {"sample_rate_hz": 8000}}, "half the sample rate"),
        ({"features": {"bands": 40}}, "bands * frames is 1024 in this project, got 40 * 32"),
        ({"features": {"hop_ms": 31}}, "shorten window_ms or hop_ms"),
        ({"features": {"clip_ms": 900}}, "span 15904 samples, but the clip has only 14400"),
        ({"data": {"validation_percent": 60, "testing_percent": 40}}, "leave room for training"),
        ({"data": {"validation_percent": -1}}, "percentages from 0"),
        ({"model": {"widths": [10]}}, "expected 1 rates, one a layer, got 4"),
        ({"model": {"widths": [10, 0, 10, 10]}}, "layer sizes from 1"),
        ({"model": {"kind": "dense", "filters": [8], "widths": [8, 8, 8]}}, "a dense network got"),
        ({"model": {"kind": "cnn", "filters": [], "widths": [8, 8, 8]}}, "a cnn network got ()"),
        ({"model": {"kind": "resnet", "filters": []}}, "a resnet network got ()"),
        ({"model": {"kind": "resnet", "widths": [8]}}, "a resnet network got (8,)"),
        ({"model": {"kind": "resnet", "dropout": [0.1, 0.1]}}, "expected 1 rates, one a layer"),
        ({"model": {"kind": "resnet", "stem_strides": [2]}}, "expected two numbers from 1 to 8"),
        ({"model": {"kind": "resnet", "stem_strides": [2, 0]}}, "from 1 to 8, got (2, 0)"),
        ({"model": {"stem_strides": [2, 1]}}, "a dense network got (2, 1)"),
        ({"augment": {"least_snr_db": 31}}, "expected least_snr_db and most_snr_db from -200"),
        ({"augment": {"most_snr_db": 201}}, "least_snr_db and most_snr_db from -200 to 200"),
        ({"augment": {"least_gain_db": -201}}, "least_gain_db and most_gain_db from -200 to 200"),
        ({"augment": {"least_gain_db": 1, "most_gain_db": 0}}, "in order, got (1.0, 0.0)"),
    ],
)
def test_impossible_combinations_are_errors(tree: dict[str, Any], words: str) -> None:
    """Settings that fit alone but not together are refused with both numbers."""
    with pytest.raises(ConfigError, match=re.escape(words)):
        config_from_dict(tree)


def test_the_kind_picks_the_preset() -> None:
    """``model.kind`` alone is a whole network; what else is stated varies that network."""
    cnn = config_from_dict({"model": {"kind": "cnn"}}).model
    assert (cnn.filters, cnn.widths, cnn.dropout) == ((32, 64), (128,), (0.25, 0.25, 0.5))
    varied = config_from_dict({"model": {"kind": "cnn", "widths": [64]}}).model
    assert varied == dataclasses.replace(cnn, widths=(64,))
    assert config_from_dict({"model": {"kind": "dense"}}).model == ModelConfig()
    resnet = config_from_dict({"model": {"kind": "resnet"}}).model
    assert (resnet.filters, resnet.widths, resnet.dropout) == ((32, 64, 128), (), (0.2,))


def test_the_teacher_is_a_section_with_two_tables_of_its_own() -> None:
    """[teacher.model] builds on the residual network or its kind, [teacher.train] on the schedule.

    Neither takes anything from [model] and [train].
    """
    tree = {
        "model": {"kind": "cnn"}, "train": {"epochs": 2, "mixup": 0.5},
        "teacher": {"weight": 0.5, "model": {"filters": [4, 8]}, "train": {"batch_size": 9}},
    }  # fmt: skip
    config = config_from_dict(tree)
    assert config.teacher == TeacherConfig(
        weight=0.5,
        model=dataclasses.replace(MODEL_PRESETS["resnet"], filters=(4, 8)),
        train=TrainConfig(batch_size=9),
    )
    assert config.model == MODEL_PRESETS["cnn"]
    dense = config_from_dict({"teacher": {"model": {"kind": "dense", "widths": [8] * 4}}}).teacher
    assert dense.model == ModelConfig(widths=(8, 8, 8, 8))
    assert config_from_dict({}).teacher == TeacherConfig()
    assert TeacherConfig().weight == 0


@pytest.mark.parametrize("low_and_high", [(0.0, 1.0)])
@pytest.mark.parametrize(
    "name", ["train.weight_decay", "train.label_smoothing", "train.mask_share",
             "train.mirror_share", "augment.noise_share", "augment.echo_share",
             "teacher.weight", "export.unknown_refused"],
)  # fmt: skip
def test_the_bounds_themselves_are_allowed(name: str, low_and_high: tuple[float, float]) -> None:
    """A share may be nothing and all."""
    section, setting = name.split(".")
    for value in low_and_high:
        held = getattr(config_from_dict({section: {setting: value}}), section)
        assert getattr(held, setting) == value


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_shipped_configs_load_and_hold_only_differences(path: Path) -> None:
    """Each file in configs/ is valid, and short."""
    load_config(path)
    # The recipes vary four sections and two tables of a fifth.
    assert len(path.read_text().splitlines()) < 50


@pytest.mark.parametrize("name", ["commands", "commands-cnn"])
def test_recipes_are_what_their_comments_promise(name: str) -> None:
    """The recipes teach the plain network's layers with a residual network on many copies."""
    config = load_config(CONFIGS / f"{name}.toml")
    plain = load_config(CONFIGS / ("cnn.toml" if name.endswith("cnn") else "dense.toml")).model
    assert config.augment.views > 1
    assert config.teacher.weight > 0
    assert config.teacher.model.kind == "resnet"
    for setting in ("kind", "filters", "widths"):
        assert getattr(config.model, setting) == getattr(plain, setting)


def test_dense_toml_is_the_network_its_comment_promises() -> None:
    """configs/dense.toml: 512, 256, 128, 64, dropout one half after each layer."""
    model = load_config(CONFIGS / "dense.toml").model
    assert model.kind == "dense"
    assert model.widths == (512, 256, 128, 64)
    assert model.dropout == (0.5, 0.5, 0.5, 0.5)
    assert not model.filters


def test_seed_toml_is_the_run_its_comment_promises() -> None:
    """configs/seed.toml: the dense network, 10 epochs at a constant rate, the last weights."""
    config = load_config(CONFIGS / "seed.toml")
    assert config.model == load_config(CONFIGS / "dense.toml").model
    assert config.train.epochs == 10
    assert config.train.schedule == "constant"
    assert config.train.patience == 0
    assert not config.train.keep_best


def test_cnn_toml_is_the_network_its_comment_promises() -> None:
    """configs/cnn.toml: two convolutions."""
    model = load_config(CONFIGS / "cnn.toml").model
    assert model.kind == "cnn"
    assert len(model.filters) == 2


words_of_letters = st.text("abcdefgxyzäß0123", min_size=1, max_size=8)
rates = st.floats(0, 0.9)


@st.composite
def models(draw: st.DrawFn) -> ModelConfig:
    sizes = st.lists(st.integers(1, 600), min_size=1, max_size=4)
    kind = draw(st.sampled_from(["dense", "cnn", "resnet"]))
    filters = tuple(draw(sizes)) if kind != "dense" else ()
    widths = tuple(draw(sizes)) if kind != "resnet" else ()
    layers = 1 if kind == "resnet" else len(filters) + len(widths)
    return ModelConfig(
        kind=kind,
        filters=filters,
        widths=widths,
        dropout=tuple(draw(st.lists(rates, min_size=layers, max_size=layers))),
        batch_norm=draw(st.booleans()),
        remove_level=draw(st.booleans()),
    )


shares = st.floats(0, 1)
schedules = st.builds(
    TrainConfig,
    epochs=st.integers(1, 999), learning_rate=st.floats(1e-6, 1), warmup_share=shares,
    weight_decay=shares, label_smoothing=shares, mask_share=shares, mirror_share=shares,
    mixup=st.floats(0, 100),
)  # fmt: skip
augments = st.builds(
    AugmentConfig,
    views=st.integers(1, 1000), stretch_percent=st.floats(0, 50), shift_ms=st.floats(0, 1000),
    noise_share=shares, echo_share=shares,
    least_snr_db=st.floats(-200, 0), most_snr_db=st.floats(0, 200),
    least_gain_db=st.floats(-200, 0), most_gain_db=st.floats(0, 200),
)  # fmt: skip


@st.composite
def configs(draw: st.DrawFn) -> Config:
    return Config(
        features=FeatureConfig(
            log_offset=draw(st.floats(1e-9, 1)),
            low_hz=draw(st.floats(1, 500)),
            align=draw(st.sampled_from(["energy", "none"])),
        ),
        data=DataConfig(
            words=tuple(draw(st.lists(words_of_letters, unique=True, max_size=4))),
            validation_percent=draw(st.floats(0, 40)),
            testing_percent=draw(st.floats(0, 40)),
            speaker_pattern=draw(st.text(max_size=10)),
            split_by=draw(st.sampled_from(["speaker", "clip"])),
        ),
        augment=draw(augments),
        model=draw(models()),
        train=draw(schedules),
        teacher=TeacherConfig(
            weight=draw(shares), model=draw(models()), train=draw(schedules)
        ),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(config=configs())
def test_plain_values_round_trip(config: Config) -> None:
    """A config written as a dictionary or as JSON reads back equal."""
    tree = dataclasses.asdict(config)
    assert config_from_dict(tree) == config
    assert config_from_dict(json.loads(json.dumps(tree))) == config
    assert features_from_dict(tree["features"]) == config.features


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


def keys(settings_of: object, section: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The place of every setting; tables are walked into."""
    found = []
    for field in dataclasses.fields(settings_of):  # type: ignore[arg-type]
        held, place = getattr(settings_of, field.name), (*section, field.name)
        found += keys(held, place) if dataclasses.is_dataclass(held) else [place]
    return found


KEYS = keys(Config())


@settings(max_examples=400, deadline=None)
@given(key=st.sampled_from(KEYS), value=plain)
def test_any_plain_value_fits_or_is_a_config_error(key: tuple[str, ...], value: object) -> None:
    """Whatever stands in a file, there is a config or a `ConfigError`."""
    try:
        held: Any = config_from_dict(nested(key, value))
    except ConfigError:
        return
    for name in key:
        held = getattr(held, name)
    assert held == (tuple(value) if isinstance(value, list) else value)


@settings(max_examples=100, deadline=None)
@given(section=st.sampled_from(sorted({key[:n] for key in KEYS for n in range(1, len(key))})),
       value=plain)  # fmt: skip
def test_any_plain_value_for_a_section_is_a_config_error_or_changes_nothing(
    section: tuple[str, ...], value: object
) -> None:
    """What stands where a table belongs is refused, unless it is an empty one."""
    try:
        config = config_from_dict(nested(section, value))
    except ConfigError:
        return
    assert value == {}
    assert config == Config()


def test_integers_are_welcome_where_a_float_is_meant() -> None:
    """``dropout = 0`` is as good as ``0.0``, and is kept as a float."""
    train = config_from_dict({"train": {"learning_rate": 1}}).train
    assert isinstance(train.learning_rate, float)


def test_a_file_and_overrides(tmp_path: Path) -> None:
    """Overrides win over the file, the file over the defaults."""
    path = tmp_path / "run.toml"
    path.write_text('[train]\nepochs = 7\nbatch_size = 8\n[data]\nwords = ["ja", "nein"]\n')
    config = load_config(path, {"train.epochs": 9, "model.kind": "cnn"})
    assert (config.train.epochs, config.train.batch_size) == (9, 8)
    assert config.data.words == ("ja", "nein")
    assert config.model.kind == "cnn"


def test_overrides_reach_the_tables_of_the_teacher(tmp_path: Path) -> None:
    """A dotted name goes as deep as the settings do, and leaves its neighbours."""
    path = tmp_path / "run.toml"
    path.write_text("[teacher]\nweight = 1.0\n[teacher.train]\nepochs = 7\nmixup = 0.2\n")
    overrides = dict([
        parse_override("teacher.train.epochs=2"),
        parse_override("teacher.model.kind=cnn"),
        parse_override("augment.views=3"),
    ])  # fmt: skip
    config = load_config(path, overrides)
    assert config.teacher.weight == 1
    assert config.teacher.train == TrainConfig(epochs=2, mixup=0.2)
    assert config.teacher.model == MODEL_PRESETS["cnn"]
    assert config.augment.views == 3
    assert load_config(None, overrides).teacher.train.epochs == 2


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        ("[teacher]\ntrain = 5\n", "teacher.train.epochs", "train: expected a table, got 5"),
        ("teacher = 5\n", "teacher.train.epochs", "teacher: expected a table, got 5"),
        ("", "teacher.train.epochs.more", "unknown|expected"),
        ("", "teacher.train.epoch", r"unknown setting teacher\.train\.epoch"),
        ("", "train.inner.epochs", r"unknown setting train\.inner"),
    ],
)
def test_an_override_that_leads_nowhere(content: str, key: str, words: str, tmp_path: Path) -> None:
    """A dotted name through what is no table, or to no setting, is refused."""
    path = tmp_path / "run.toml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_config(path, {key: 2})


def test_a_store_settings_hold_where_the_file_is_silent(tmp_path: Path) -> None:
    """Given front-end settings are the base; what the file states is put on top."""
    given_features = FeatureConfig(log_offset=1e-3)
    path = tmp_path / "run.toml"
    path.write_text("[train]\nepochs = 1\n")
    assert load_config(path, features=given_features).features == given_features
    path.write_text("[features]\nlow_hz = 50\n")
    features = load_config(path, features=given_features).features
    assert features == dataclasses.replace(given_features, low_hz=50.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read this config: No such file"),
        (b"[train", "expected TOML"),
        (b"a = " + 9000 * b"[", "expected TOML"),
        (b"epochs = ", "expected TOML"),
        (b"\xff\xfe", "expected TOML"),
        (b"train = 5", "train: expected a table"),
    ],
)
def test_an_unreadable_file_is_a_config_error(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    """A missing file, no TOML and no UTF-8 are told with the reason."""
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_config(path, {"train.epochs": 1})


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    """A folder in the place of the file is a `ConfigError` too."""
    with pytest.raises(ConfigError, match="cannot read this config"):
        load_config(tmp_path)


@pytest.mark.parametrize("key", ["epochs", "train.", "", "train"])
def test_an_override_needs_section_and_name(key: str) -> None:
    """A key without a dot is refused with an example."""
    with pytest.raises(ConfigError, match=r"SECTION\.NAME, for example train\.epochs"):
        load_config(None, {key: 1})


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("train.epochs=5", ("train.epochs", 5)),
        ("train.learning_rate = 1e-4", ("train.learning_rate", 1e-4)),
        ("train.keep_best=false", ("train.keep_best", False)),
        ("data.words=['ja', 'nein']", ("data.words", ["ja", "nein"])),
        ("model.kind=cnn", ("model.kind", "cnn")),
        ('model.kind="cnn"', ("model.kind", "cnn")),
        ("data.speaker_pattern=^([a-z]+)=", ("data.speaker_pattern", "^([a-z]+)=")),
        ("data.attribution=", ("data.attribution", "")),
    ],
)  # fmt: skip
def test_an_override_is_toml_or_else_text(pair: str, expected: tuple[str, object]) -> None:
    """The value behind the first = is TOML where it can be, and plain text otherwise."""
    assert parse_override(pair) == expected


def test_an_override_without_a_value_is_an_error() -> None:
    """``--set train.epochs`` is refused."""
    with pytest.raises(ConfigError, match=r"expected SECTION\.NAME=VALUE, got 'train\.epochs'"):
        parse_override("train.epochs")


OTHER_FEATURES = {
    "sample_rate_hz": 22_000, "clip_ms": 1001, "window_ms": 32.0, "hop_ms": 25.0,
    "bands": {"bands": 64, "frames": 16}, "frames": {"bands": 64, "frames": 16}, "low_hz": 61.0,
    "high_hz": 7799.0, "log_offset": 2e-6, "align": "none",
}  # fmt: skip


def varied(name: str) -> FeatureConfig:
    other = OTHER_FEATURES[name]
    changes: dict[str, Any] = other if isinstance(other, dict) else {name: other}
    return dataclasses.replace(FeatureConfig(), **changes)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FeatureConfig)])
def test_the_hash_depends_on_every_setting(name: str) -> None:
    """No front-end setting can change without the hash."""
    assert varied(name).hash != FeatureConfig().hash
    assert varied(name).hash == varied(name).hash


def test_hashes_differ_from_one_another() -> None:
    """Every one of the varied front ends has a hash of its own."""
    different = [varied(name) for name in OTHER_FEATURES if name != "frames"]
    assert len({config.hash for config in different}) == len(different)


def test_the_default_hash_stays() -> None:
    """The hash in files made so far is the hash of the canonical JSON of the settings."""
    text = json.dumps(dataclasses.asdict(FeatureConfig()), sort_keys=True, separators=(",", ":"))
    assert FeatureConfig().hash == hashlib.sha256(text.encode()).hexdigest()


def test_same_features_pass() -> None:
    """Equal front ends go together."""
    check_same_features(FeatureConfig(), FeatureConfig(), what="a.speechrec")


def test_differing_features_are_named_exactly() -> None:
    """The error names what was made otherwise, each other setting with both values."""
    theirs = FeatureConfig(low_hz=50, log_offset=1e-3)
    with pytest.raises(SettingsMismatchError) as caught:
        check_same_features(theirs, FeatureConfig(), what="a.speechrec")
    message = str(caught.value)
    assert message.startswith("a.speechrec was made with other front-end settings: ")
    assert "low_hz is 50 there and 60.0 here" in message
    assert "log_offset is 0.001 there and 1e-06 here" in message
    same = {field.name for field in dataclasses.fields(FeatureConfig)} - {"low_hz", "log_offset"}
    assert not [name for name in same if name in message]


def test_settings_cannot_be_changed() -> None:
    """A config is frozen; variation makes a new one."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.epochs = 3  # type: ignore[misc]


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As editors on Windows write it."""
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[train]\nepochs = 3\n")
    assert load_config(tmp_path / "a.toml").train.epochs == 3
