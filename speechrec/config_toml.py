"""Settings from TOML, the command line and the files that carry them, each value checked."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from speechrec.config import DataConfig, FeatureConfig, require
from speechrec.errors import ConfigError
from speechrec.train_config import (
    MODEL_PRESETS,
    AugmentConfig,
    Config,
    ExportConfig,
    ModelConfig,
    TeacherConfig,
    TrainConfig,
)


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
            tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot read this config: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{path}: expected TOML: {error}") from error
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        require(
            bool(sections and name), f"expected SECTION.NAME, for example train.epochs, got {key!r}"
        )
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
            require(isinstance(table, dict), f"{section}: expected a table, got {table!r}")
        table[name] = value
    return config_from_dict(tree, features=features)


def parse_override(pair: str) -> tuple[str, Any]:
    """``train.epochs=5`` to ("train.epochs", 5): the value is TOML, or else a plain string."""
    key, equals, text = pair.partition("=")
    require(bool(equals), f"--set: expected SECTION.NAME=VALUE, got {pair!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return key.strip(), text


def config_from_dict(tree: Mapping[str, Any], *, features: FeatureConfig | None = None) -> Config:
    """A `Config` from nested plain values; ``model.kind`` picks the preset the rest builds on."""
    teacher = tree.get("teacher", {})
    require(isinstance(teacher, Mapping), f"teacher: expected a table, got {teacher!r}")
    bases: dict[str, Any] = {
        "features": features or FeatureConfig(), "data": DataConfig(), "augment": AugmentConfig(),
        "model": _preset(tree, "dense"), "train": TrainConfig(), "teacher": TeacherConfig(),
        "export": ExportConfig(),
    }  # fmt: skip
    unknown = sorted(set(tree) - set(bases))
    require(not unknown, f"unknown section {', '.join(unknown)}; expected {', '.join(bases)}")
    sections = {name: tree.get(name, {}) for name in bases}
    # The two tables inside [teacher] are sections of their own.
    inner = {"model": _preset(teacher, "resnet"), "train": TrainConfig()}
    sections["teacher"] = {
        name: _replaced(inner[name], value, f"teacher.{name}") if name in inner else value
        for name, value in teacher.items()
    }
    return Config(**{name: _replaced(bases[name], sections[name], name) for name in bases})


def _preset(tree: Mapping[str, Any], default: str) -> ModelConfig:
    model = tree.get("model", {})
    kind = model.get("kind", default) if isinstance(model, Mapping) else default
    return MODEL_PRESETS.get(kind if isinstance(kind, str) else default, MODEL_PRESETS[default])


def features_from_dict(tree: object) -> FeatureConfig:
    """The front-end settings that a file carries."""
    config: FeatureConfig = _replaced(FeatureConfig(), tree, "features")
    return config


def _replaced(base: Any, values: object, section: str) -> Any:
    """``base`` with ``values`` put in, each checked against the type its field declares."""
    require(isinstance(values, Mapping), f"{section}: expected a table, got {values!r}")
    assert isinstance(values, Mapping)
    hints = typing.get_type_hints(type(base))
    unknown = sorted(map(str, set(values) - set(hints)))
    require(
        not unknown,
        f"unknown setting {', '.join(f'{section}.{name}' for name in unknown)}; "
        f"expected one of {', '.join(hints)}",
    )
    checked = {
        name: _checked(value, hints[name], f"{section}.{name}") for name, value in values.items()
    }
    try:
        return dataclasses.replace(base, **checked)
    except ConfigError as error:
        # Bounds know their own section, not the table around it.
        table = section.rpartition(".")[0]
        raise ConfigError(f"{table}.{error}" if table else str(error)) from None


def _checked(value: Any, hint: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, hint):  # type: ignore[arg-type]
        return value
    if origin is Literal:
        choices = typing.get_args(hint)
        require(value in choices, f"{name}: expected one of {choices}, got {value!r}")
        return value
    if origin is tuple:
        require(isinstance(value, list | tuple), f"{name}: expected a list, got {value!r}")
        return tuple(_checked(item, typing.get_args(hint)[0], name) for item in value)
    assert isinstance(hint, type) and not isinstance(hint, types.UnionType)
    # As in TOML; beyond it an integer may have no float.
    require(not isinstance(value, int) or abs(value) < 2**63, f"{name}: expected a 64-bit integer")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    finite = not isinstance(value, float) or abs(value) < float("inf")
    require(fits and finite, f"{name}: expected {hint.__name__}, got {value!r}")
    return value
