"""The recogniser file: an uncompressed zip that holds everything prediction needs.

    manifest.json   labels, front end, network, calibration, training data, metrics, versions, and
                    the size and SHA-256 of every other member
    model.tflite    1024 numbers -> posteriors; signatures "predict" and, where the network has
                    dropout, "dropout", whose masks are inputs
    stream.tflite   a stronger network from the same numbers to the same labels, which is asked in
                    streams; only where the recipe has one
    mel.npy         the mel filterbank, so that prediction needs no librosa

Nothing in it is ever executed or unpickled. The hashes find damage; they are no signature: only
open recogniser files from people you would take a model from.
"""

import hashlib
import io
import json
import os
import stat
import tokenize
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speechrec.config import FeatureConfig, is_keyword, sha256_json
from speechrec.config_toml import features_from_dict
from speechrec.errors import BundleError, ConfigError
from speechrec.features import Array
from speechrec.files import replacing

FORMAT = 1
SUFFIX = ".speechrec"
MANIFEST, MODEL, STREAM, MEL = "manifest.json", "model.tflite", "stream.tflite", "mel.npy"
_LIMITS = {MANIFEST: 4 << 20, MODEL: 256 << 20, STREAM: 256 << 20, MEL: 16 << 20}
_NEEDED = {MANIFEST, MODEL, MEL}
_MAX_LABELS = 10_000
# Entries of a manifest that come about when it is written.
_WRITTEN = ("format", "members", "sha256")
# Zip keeps a time for each member; a fixed one makes equal content an equal file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A recogniser file's content, checked."""

    labels: tuple[str, ...]
    config: FeatureConfig
    mel: Array
    model: bytes
    # What streams ask, with a temperature of its own; None: the same network.
    stream_model: bytes | None
    stream_temperature: float
    temperature: float
    threshold: float
    # By keyword, where they were chosen from the false alarms of a stream.
    stream_thresholds: Mapping[str, float]
    # Rate of each dropout layer and the shape of its mask, in the network's order.
    dropout: tuple[tuple[float, tuple[int, ...]], ...]
    manifest: Mapping[str, Any]


def write_bundle(
    path: Path,
    *,
    manifest: Mapping[str, Any],
    model: bytes,
    mel: Array,
    stream_model: bytes | None = None,
) -> None:
    """Write a recogniser file under a temporary name, read it back, and rename it.

    Args:
        manifest: all but ``format``, ``members`` and ``sha256``, which are added here; with
            ``stream_network`` where there is a ``stream_model``.
    """
    buffer = io.BytesIO()
    np.save(buffer, mel, allow_pickle=False)
    members = {MODEL: model, MEL: buffer.getvalue()}
    if stream_model is not None:
        members[STREAM] = stream_model
    complete = {
        "format": FORMAT,
        **manifest,
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        },
    }
    complete["sha256"] = sha256_json(complete)
    text = json.dumps(complete, indent=2, ensure_ascii=False).encode()
    with replacing(path) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name, data in {MANIFEST: text, **members}.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        read_bundle(partial)


def update_bundle(
    path: Path, out: Path, changes: Mapping[str, Any], *, read: Mapping[str, Any] | None = None
) -> None:
    """Write a recogniser file again with some of its manifest's entries replaced.

    Args:
        read: the manifest that the changes belong to.

    Raises:
        BundleError: ``path`` is no recogniser file, or would not be one with the changes, or is
            another one than was read.
    """
    bundle = read_bundle(path)
    if read is not None and bundle.manifest != read:
        raise BundleError(f"{path}: was replaced meanwhile and is left as it is; start again")
    kept = {name: bundle.manifest[name] for name in bundle.manifest if name not in _WRITTEN}
    write_bundle(
        out, manifest={**kept, **changes}, model=bundle.model, mel=bundle.mel,
        stream_model=bundle.stream_model,
    )  # fmt: skip


def read_bundle(path: Path) -> Bundle:
    """Read and check a recogniser file.

    Raises:
        BundleError: it is missing, truncated, altered, of a newer format, or at odds with itself.
    """
    members = _read_members(path)
    manifest = _read_manifest(members[MANIFEST], members.keys() - {MANIFEST}, path)
    for name in members.keys() - {MANIFEST}:
        stated = manifest["members"][name]["sha256"]
        if hashlib.sha256(members[name]).hexdigest() != stated:
            raise BundleError(f"{path}: {name} does not match its SHA-256; get the file again")
    try:
        bundle = _parse(manifest, members)
        features_hash = manifest["features_hash"]
    except (
        ConfigError, KeyError, TypeError, ValueError, EOFError, MemoryError, OverflowError,
        AttributeError, SyntaxError, tokenize.TokenError
    ) as error:  # fmt: skip
        raise BundleError(f"{path}: its manifest is not usable: {error}") from error
    problem = "front-end settings do not match their hash"
    if features_hash != bundle.config.hash or (problem := _problem(bundle)):
        raise BundleError(f"{path}: at odds with itself: {problem}")
    return bundle


def _parse(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> Bundle:
    """What the members say, whether it makes sense or not."""
    if not isinstance(manifest["labels"], list):
        raise TypeError("labels must be words in a list")
    stream_temperature = 1.0
    if STREAM in members:
        stream_temperature = float(manifest["stream_network"]["temperature"])
    return Bundle(
        labels=tuple(manifest["labels"]),
        config=features_from_dict(manifest["features"]),
        # Not np.load, which would also take an archive of arrays.
        mel=np.lib.format.read_array(io.BytesIO(members[MEL]), allow_pickle=False),
        model=members[MODEL],
        stream_model=members.get(STREAM),
        temperature=float(manifest["temperature"]),
        stream_temperature=stream_temperature,
        threshold=float(manifest["threshold"]),
        stream_thresholds={
            str(label): float(value)
            for label, value in manifest.get("stream", {}).get("thresholds", {}).items()
        },
        dropout=tuple(
            (float(layer["rate"]), tuple(map(int, layer["shape"]))) for layer in manifest["dropout"]
        ),
        manifest=manifest,
    )


def _problem(bundle: Bundle) -> str:
    """The first thing that does not make sense, or nothing."""
    labels, mel, mel_shape = bundle.labels, bundle.mel, (bundle.config.bands, bundle.config.bins)
    checks = (
        (0 < len(labels) <= _MAX_LABELS, "expected labels"),
        # Labels are written to terminals; what moves a cursor there is no word.
        (all(isinstance(label, str) and label and label.isprintable() for label in labels),
         "labels must be words"),
        (any(map(is_keyword, map(str, labels))), "no command among the labels"),
        (len(set(map(str, labels))) == len(labels), "a label stands twice"),
        (mel.dtype == np.float32 and mel.shape == mel_shape,
         f"mel filterbank: expected {mel_shape} float32, got {mel.shape} {mel.dtype}"),
        (mel.dtype != np.float32 or bool(((mel >= 0) & (mel < np.inf)).all()),
         "mel filterbank: expected weights from 0"),
        *((0.01 <= value <= 100, f"temperature {value} is out of range")
          for value in (bundle.temperature, bundle.stream_temperature)),
        (0 <= bundle.threshold <= 1, f"threshold {bundle.threshold} is out of range"),
        (all(label in labels and 0 <= value <= 1
             for label, value in bundle.stream_thresholds.items()),
         f"stream thresholds are out of range: {bundle.stream_thresholds}"),
        (all(0 <= rate < 1 for rate, _ in bundle.dropout), "dropout rates are out of range"),
        *((model is None or model[4:8] == b"TFL3", f"{name} is no TensorFlow Lite model")
          for name, model in ((MODEL, bundle.model), (STREAM, bundle.stream_model))),
    )  # fmt: skip
    return next((problem for ok, problem in checks if not ok), "")


def _read_members(path: Path) -> dict[str, bytes]:
    """The members, each within its size limit and stored as is."""
    try:
        status = os.stat(path)
        is_file = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        if not is_file or status.st_size > 2 * sum(_LIMITS.values()):
            raise BundleError(f"{path}: expected a recogniser file, got a device, pipe or giant")
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            names = sorted(info.filename for info in infos)
            if names not in (sorted(_NEEDED), sorted(_LIMITS)):
                raise BundleError(
                    f"{path}: expected the members {', '.join(sorted(_NEEDED))} and perhaps "
                    f"{STREAM}, found {', '.join(names[:8]) or 'none'}"
                )
            for info in infos:
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                    raise BundleError(f"{path}: {info.filename} is compressed or encrypted")
                if info.file_size > _LIMITS[info.filename]:
                    raise BundleError(
                        f"{path}: {info.filename} has {info.file_size} bytes, more than allowed"
                    )
            return {info.filename: archive.read(info) for info in infos}
    except FileNotFoundError as error:
        raise BundleError(f"{path}: no such recogniser file") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise BundleError(
            f"{path}: expected a recogniser file, got a damaged or truncated one ({error}); "
            "get it again"
        ) from error


def _read_manifest(data: bytes, members: Collection[str], path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
        written = manifest["format"]
        if isinstance(written, int) and written > FORMAT:
            raise BundleError(
                f"{path}: written in format {written}, this speechrec reads up to {FORMAT}; "
                "upgrade it with: pip install --upgrade speechrec"
            )
        if written != FORMAT:
            raise BundleError(f"{path}: expected format {FORMAT}, got {written!r}")
        stated = manifest.pop("sha256")
        if stated != sha256_json(manifest):
            raise BundleError(f"{path}: the manifest was altered; get the file again")
        stated_members = manifest["members"]
        for name in members:
            stated_members[name]["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path}: its manifest is not usable: {error!r}") from error
    assert isinstance(manifest, dict)
    return manifest
