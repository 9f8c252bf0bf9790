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

from speechrec.config import (
    Config,
    DataConfig,
    FeatureConfig,
    ModelConfig,
    TrainConfig,
    check_same_features,
    config_from_dict,
    features_from_dict,
    load_config,
    parse_override,
)
from speechrec.errors import ConfigError, SettingsMismatchError

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
        ({"feature": {}}, "unknown section feature; expected features, data, model, train"),
        ({"train": {"epoch": 1}}, "unknown setting train.epoch; expected one of epochs"),
        ({"features": {"clip_samples": 1}}, "unknown setting features.clip_samples"),
        ({"train": 5}, "train: expected a table, got 5"),
        ({"model": [1]}, "model: expected a table"),
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
    ("features.clip_ms", 1000.0), ("features.log_offset", 0), ("features.log_offset", NAN),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_value_that_does_not_fit_names_its_key(key: str, value: object) -> None:
    """Wrong types (a bool is no number, NaN no size) and ranges are refused by the key's name."""
    section, name = key.split(".")
    with pytest.raises(ConfigError, match=rf"^{section}\.{name}: "):
        config_from_dict({section: {name: value}})


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


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_shipped_configs_load_and_hold_only_differences(path: Path) -> None:
    """Each file in configs/ is valid, and short."""
    load_config(path)
    assert len(path.read_text().splitlines()) < 40


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
def configs(draw: st.DrawFn) -> Config:
    sizes = st.lists(st.integers(1, 600), min_size=1, max_size=4)
    kind = draw(st.sampled_from(["dense", "cnn"]))
    filters = tuple(draw(sizes)) if kind == "cnn" else ()
    widths = tuple(draw(sizes))
    layers = len(filters) + len(widths)
    return Config(
        features=FeatureConfig(log_offset=draw(st.floats(1e-9, 1)), low_hz=draw(st.floats(1, 500))),
        data=DataConfig(
            words=tuple(draw(st.lists(words_of_letters, unique=True, max_size=4))),
            validation_percent=draw(st.floats(0, 40)),
            testing_percent=draw(st.floats(0, 40)),
            speaker_pattern=draw(st.text(max_size=10)),
            split_by=draw(st.sampled_from(["speaker", "clip"])),
        ),
        model=ModelConfig(
            kind=kind,
            filters=filters,
            widths=widths,
            dropout=tuple(draw(st.lists(rates, min_size=layers, max_size=layers))),
            batch_norm=draw(st.booleans()),
        ),
        train=TrainConfig(epochs=draw(st.integers(1, 999)), learning_rate=draw(st.floats(1e-6, 1))),
    )


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
KEYS = [
    (section.name, field.name)
    for section in dataclasses.fields(Config)
    for field in dataclasses.fields(getattr(Config(), section.name))
]


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(KEYS), value=plain)
def test_any_plain_value_fits_or_is_a_config_error(key: tuple[str, str], value: object) -> None:
    """Whatever stands in a file, there is a config or a `ConfigError`."""
    section, name = key
    try:
        config = config_from_dict({section: {name: value}})
    except ConfigError:
        return
    held = getattr(getattr(config, section), name)
    assert held == (tuple(value) if isinstance(value, list) else value)


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
    "high_hz": 7799.0, "log_offset": 2e-6,
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
