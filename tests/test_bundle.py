"""The recogniser file is read whole or not at all, and never surprises its reader."""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechrec.bundle import (
    MANIFEST,
    MEL,
    MODEL,
    STREAM,
    Bundle,
    read_bundle,
    update_bundle,
    write_bundle,
)
from speechrec.config import FeatureConfig, sha256_json
from speechrec.errors import BundleError

CONFIG = FeatureConfig()
NETWORK = b"\x1c\x00\x00\x00TFL3" + bytes(range(200))
FILTERBANK = np.linspace(0, 1, CONFIG.bands * CONFIG.bins, dtype=np.float32).reshape(
    CONFIG.bands, CONFIG.bins
)
PLAIN: dict[str, Any] = {
    "labels": ["yes", "no", "_unknown_"],
    "features": dataclasses.asdict(CONFIG),
    "features_hash": CONFIG.hash,
    "dropout": [{"rate": 0.5, "shape": [512]}, {"rate": 0.25, "shape": [16, 16, 32]}],
    "temperature": 1.5,
    "threshold": 0.25,
    "name": "größe",
}

# The files of a property test are overwritten by the next example.
same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def members(
    manifest: Mapping[str, Any] = PLAIN, *, model: bytes = NETWORK, mel: bytes | None = None
) -> dict[str, bytes]:
    """What the format asks for, built by hand, so that every hash in it fits."""
    parts = {MODEL: model, MEL: npy(FILTERBANK) if mel is None else mel}
    complete = {
        "format": 1,
        **manifest,
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
        },
    }
    complete["sha256"] = sha256_json(complete)
    return {MANIFEST: json.dumps(complete).encode(), **parts}


def zipped(
    path: Path, content: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def same(left: Bundle, right: Bundle) -> bool:
    one, other = (
        {f.name: getattr(b, f.name) for f in dataclasses.fields(b)} for b in (left, right)
    )
    return np.array_equal(one.pop("mel"), other.pop("mel")) and one == other


def refused(path: Path, *words: str) -> None:
    """Reading gives a `BundleError` that names the file and says ``words``."""
    with pytest.raises(BundleError) as caught:
        read_bundle(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message


def read_if_possible(path: Path) -> Bundle | None:
    """The content, or None where it was refused by a `BundleError` that names the file."""
    try:
        return read_bundle(path)
    except BundleError as error:
        message = str(error)
    assert str(path) in message
    return None


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.speechrec"
    write_bundle(path, manifest=PLAIN, model=NETWORK, mel=FILTERBANK)
    return path


def test_round_trip(good: Path) -> None:
    """What is written is what is read."""
    read = read_bundle(good)
    assert read.labels == ("yes", "no", "_unknown_")
    assert read.config == CONFIG
    assert read.model == NETWORK
    np.testing.assert_array_equal(read.mel, FILTERBANK)
    assert (read.temperature, read.threshold) == (1.5, 0.25)
    assert read.dropout == ((0.5, (512,)), (0.25, (16, 16, 32)))
    assert read.manifest["name"] == "größe"


def test_is_a_plain_zip_whose_manifest_states_size_and_hash(good: Path) -> None:
    """Anyone can look inside with standard tools, and every stated hash is the real one."""
    with zipfile.ZipFile(good) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        content = {name: archive.read(name) for name in archive.namelist()}
    assert set(content) == {"manifest.json", "model.tflite", "mel.npy"}
    manifest = json.loads(content["manifest.json"])
    for name in ("model.tflite", "mel.npy"):
        digest = hashlib.sha256(content[name]).hexdigest()
        assert manifest["members"][name] == {"bytes": len(content[name]), "sha256": digest}
    np.testing.assert_array_equal(np.load(io.BytesIO(content["mel.npy"])), FILTERBANK)


def test_the_documented_layout_is_enough(tmp_path: Path, good: Path) -> None:
    """A file put together by another program after the description reads the same."""
    assert same(read_bundle(zipped(tmp_path / "other.speechrec", members())), read_bundle(good))


def test_equal_content_gives_an_equal_file(tmp_path: Path, good: Path) -> None:
    """Two writings of the same content do not differ in a byte, whenever they happen."""
    again = tmp_path / "again.speechrec"
    write_bundle(again, manifest=dict(PLAIN), model=NETWORK, mel=FILTERBANK.copy())
    assert again.read_bytes() == good.read_bytes()
    with zipfile.ZipFile(good) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_writing_replaces_an_older_file(good: Path) -> None:
    """Writing over a recogniser file leaves the new one, alone."""
    write_bundle(good, manifest={**PLAIN, "threshold": 0.5}, model=NETWORK, mel=FILTERBANK)
    assert read_bundle(good).threshold == 0.5
    assert list(good.parent.iterdir()) == [good]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_interrupted_writing_keeps_the_old_file(
    good: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    """A writing stopped half-way leaves the old file as it was and nothing beside it."""
    before, write = good.read_bytes(), zipfile.ZipFile.writestr

    def failing(archive: Any, info: Any, data: Any) -> None:
        if info.filename == MEL:
            raise error
        write(archive, info, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", failing)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_bundle(good, manifest=PLAIN, model=b"another", mel=FILTERBANK)
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_nothing_unreadable_is_ever_written(good: Path) -> None:
    """Content that reading would refuse is refused at writing, and the old file stays."""
    before = good.read_bytes()
    with pytest.raises(BundleError, match="TensorFlow Lite"):
        write_bundle(good, manifest=PLAIN, model=b"no network", mel=FILTERBANK)
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


@same_folder
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated(good: Path, share: float) -> None:
    """A file cut short at any length is refused by name."""
    whole = good.read_bytes()
    cut = good.with_name("cut.speechrec")
    cut.write_bytes(whole[: int(share * len(whole))])
    refused(cut)


@pytest.mark.parametrize("length", [0, 1, 4, 21, 22, 30, 46, -1, -2, -22, -23, -100, -300])
def test_truncated_at_an_edge(good: Path, length: int) -> None:
    """A file cut inside or at the edge of one of zip's own records is refused by name."""
    cut = good.with_name("cut.speechrec")
    cut.write_bytes(good.read_bytes()[:length])
    refused(cut)


def check_flipped(good: Path, position: int, change: int) -> None:
    damaged = bytearray(good.read_bytes())
    damaged[position] ^= change
    path = good.with_name("flipped.speechrec")
    path.write_bytes(damaged)
    read = read_if_possible(path)
    assert read is None or same(read, read_bundle(good))


@same_folder
@given(share=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_flipped_anywhere(good: Path, share: float, change: int) -> None:
    """With any one byte changed, the file reads the same or is refused; nothing else happens."""
    check_flipped(good, int(share * good.stat().st_size), change)


@pytest.mark.parametrize("change", [0x01, 0x08, 0x80, 0xFF])
def test_flipped_in_the_zip_records(good: Path, change: int) -> None:
    """The same for every byte that belongs to zip itself and not to a member."""
    with zipfile.ZipFile(good) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    headers = [range(i.header_offset, i.header_offset + 30 + len(i.filename)) for i in infos]
    for records in (*headers, range(directory, good.stat().st_size)):
        for position in records:
            check_flipped(good, position, change)


@pytest.mark.parametrize("name", [MANIFEST, MODEL, MEL])
def test_changed_member(tmp_path: Path, name: str) -> None:
    """A member changed and zipped again, so that the zip is in order, is refused."""
    content = members()
    content[name] = content[name].replace(b"0", b"1", 1).replace(b"\x03", b"\x04", 1)
    refused(zipped(tmp_path / "a.speechrec", content))


@pytest.mark.parametrize(
    "change",
    [{"labels": ["no", "yes", "_unknown_"]}, {"temperature": 1.0}, {"threshold": 0.0},
     {"dropout": []}, {"name": "another"}, {"surplus": 1}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_altered_manifest(tmp_path: Path, change: dict[str, Any]) -> None:
    """A manifest edited by hand (labels swapped, another temperature) is refused."""
    content = members()
    manifest = {**json.loads(content[MANIFEST]), **change}
    content[MANIFEST] = json.dumps(manifest).encode()
    refused(zipped(tmp_path / "a.speechrec", content), "altered")


def test_compressed(tmp_path: Path) -> None:
    """Members are stored as they are, so that their sizes can be trusted; others are refused."""
    path = zipped(tmp_path / "a.speechrec", members(), compression=zipfile.ZIP_DEFLATED)
    refused(path, "compressed")


@pytest.mark.parametrize(
    "extra", ["readme.txt", "../evil.py", "/etc/passwd", "sub/", "model.tflite.bak"]
)
def test_extra_member(tmp_path: Path, extra: str) -> None:
    """Any further member, and first of all one that points out of the file, is refused."""
    refused(zipped(tmp_path / "a.speechrec", {**members(), extra: b"x"}), "expected the members")


@pytest.mark.parametrize("name", [MANIFEST, MODEL, MEL])
def test_missing_member(tmp_path: Path, name: str) -> None:
    """A file without one of its members is refused."""
    content = members()
    del content[name]
    refused(zipped(tmp_path / "a.speechrec", content), "expected the members")


@pytest.mark.parametrize("name", [MANIFEST, MODEL, MEL])
def test_renamed_member(tmp_path: Path, name: str) -> None:
    """A member that points into the parent folder does not stand in for the real one."""
    content = members()
    content[f"../{name}"] = content.pop(name)
    refused(zipped(tmp_path / "a.speechrec", content), "expected the members")


@pytest.mark.parametrize("name", [MANIFEST, MODEL, MEL])
def test_duplicate_member(tmp_path: Path, name: str) -> None:
    """Two members of one name, of which readers may take either, are refused."""
    path = zipped(tmp_path / "a.speechrec", members())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, members()[name])
    refused(path, "expected the members")


@pytest.mark.parametrize(("name", "mebibytes"), [(MANIFEST, 4), (MEL, 16)])
def test_oversized_member(tmp_path: Path, name: str, mebibytes: int) -> None:
    """A member larger than its limit is refused before it is read."""
    content = {**members(), name: bytes((mebibytes << 20) + 1)}
    refused(zipped(tmp_path / "a.speechrec", content), name, "more than allowed")


def test_newer_format(tmp_path: Path) -> None:
    """A file of a later version tells its reader to upgrade."""
    refused(
        zipped(tmp_path / "a.speechrec", members({**PLAIN, "format": 2})), "format 2", "upgrade"
    )


@pytest.mark.parametrize("number", [0, -1, "1", None, 1.5, [1]])
def test_other_format(tmp_path: Path, number: Any) -> None:
    """A format number that never existed is refused."""
    refused(zipped(tmp_path / "a.speechrec", members({**PLAIN, "format": number})), "format")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features_hash": "0" * 64}, "hash"),
        ({"features": {**PLAIN["features"], "hop_ms": 20.0}}, "hash"),
        ({"features": {**PLAIN["features"], "tempo": 3}}, "unknown setting"),
        ({"features": {**PLAIN["features"], "bands": 33}}, "1024"),
        ({"features": {**PLAIN["features"], "window_ms": 1e308}}, ""),
        ({"features": None}, "features"),
        ({"labels": []}, "expected labels"),
        ({"labels": ["yes", "yes"]}, "twice"),
        ({"labels": ["yes", ""]}, "labels must be words"),
        ({"labels": ["yes", 3]}, "labels must be words"),
        ({"labels": ["yes", ["no"]]}, "labels must be words"),
        ({"labels": "yes"}, "labels must be words"),
        ({"labels": ["yes", "\x1b[2J"]}, "labels must be words"),
        ({"labels": ["yes", "no\nup"]}, "labels must be words"),
        ({"labels": ["_silence_", "_unknown_"]}, "no command"),
        ({"labels": None}, "manifest"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 10**400}, ""),
        ({"temperature": "hot"}, ""),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": None}, ""),
        ({"dropout": [{"rate": 1.0, "shape": [4]}]}, "rates"),
        ({"dropout": [{"rate": float("nan"), "shape": [4]}]}, "rates"),
        ({"dropout": [{"rate": 0.5}]}, "shape"),
        ({"dropout": [0.5]}, ""),
        ({"dropout": None}, ""),
        ({"stream": {"thresholds": {"yes": 1.01}}}, "stream thresholds"),
        ({"stream": {"thresholds": {"yes": -0.01}}}, "stream thresholds"),
        ({"stream": {"thresholds": {"yes": float("nan")}}}, "stream thresholds"),
        ({"stream": {"thresholds": {"maybe": 0.5}}}, "maybe"),
        ({"stream": {"thresholds": {"yes": "high"}}}, ""),
        ({"stream": {"thresholds": {"yes": None}}}, ""),
        ({"stream": {"thresholds": [0.5]}}, ""),
        ({"stream": {"thresholds": None}}, ""),
        ({"stream": [0.5]}, ""),
        ({"stream": None}, ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_at_odds_with_itself(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """A manifest whose hashes fit but whose values make no sense is refused."""
    refused(zipped(tmp_path / "a.speechrec", members({**PLAIN, **change})), words)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = (
    "labels", "features", "features_hash", "dropout", "temperature", "threshold", "format",
    "stream",
)  # fmt: skip


@same_folder
@given(key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_in_the_manifest(tmp_path: Path, key: str, value: Any) -> None:
    """Whatever JSON a manifest holds, reading gives a bundle or a `BundleError`."""
    path = zipped(tmp_path / "a.speechrec", members({**PLAIN, key: value}))
    if (read := read_if_possible(path)) is not None:
        assert all(isinstance(label, str) for label in read.labels)
        assert 0.01 <= read.temperature <= 100


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}']
)
def test_manifest_that_is_none(tmp_path: Path, text: bytes) -> None:
    """A manifest that is no JSON object, or lacks what each has, is refused."""
    refused(zipped(tmp_path / "a.speechrec", {**members(), MANIFEST: text}), "manifest")


@pytest.mark.parametrize("key", [key for key in PLAIN if key != "name"])
def test_manifest_that_lacks_a_key(tmp_path: Path, key: str) -> None:
    """A manifest without one of the keys that prediction needs is refused, and the key named."""
    manifest = {name: value for name, value in PLAIN.items() if name != key}
    refused(zipped(tmp_path / "a.speechrec", members(manifest)), key)


def huge_npy() -> bytes:
    """A header that claims 4 PB of numbers, with none behind it."""
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 25, 1 << 25)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, mel=FILTERBANK)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "mel",
    [
        npy(FILTERBANK[:, :-1]),
        npy(FILTERBANK[:-1]),
        npy(FILTERBANK.T),
        npy(FILTERBANK.ravel()),
        npy(FILTERBANK.astype(np.float64)),
        npy(np.full_like(FILTERBANK, np.nan)),
        npy(np.where(FILTERBANK > 0.5, np.float32(np.inf), FILTERBANK)),
        npy(-FILTERBANK),
        npy(np.array([{"a": 1}], dtype=object)),
        npy(np.array(["a", "b"])),
        npy(FILTERBANK)[:1000],
        b"",
        b"no array",
        huge_npy(),
        npz(),
    ],
    ids=[
        "bins",
        "bands",
        "turned",
        "flat",
        "float64",
        "nan",
        "inf",
        "negative",
        "pickle",
        "words",
        "cut",
        "empty",
        "text",
        "huge",
        "npz",
    ],
)
def test_filterbank_that_does_not_fit(tmp_path: Path, mel: bytes) -> None:
    """A filterbank of another shape, type or format than the settings imply is refused."""
    refused(zipped(tmp_path / "a.speechrec", members(mel=mel)))


@pytest.mark.parametrize("model", [b"", b"TFL3", b"\x1c\x00\x00\x00ONNX" + bytes(50)])
def test_network_that_is_no_tflite(tmp_path: Path, model: bytes) -> None:
    """A network without the mark of TensorFlow Lite is refused without being loaded."""
    refused(zipped(tmp_path / "a.speechrec", members(model=model)), "TensorFlow Lite")


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"PK\x03\x04", b"\x00" * 100])
def test_not_a_zip(tmp_path: Path, content: bytes) -> None:
    """Any other file is refused."""
    path = tmp_path / "a.speechrec"
    path.write_bytes(content)
    refused(path, "expected a recogniser file")


def test_empty_zip(tmp_path: Path) -> None:
    """A zip with nothing in it is refused."""
    refused(zipped(tmp_path / "a.speechrec", {}), "found none")


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is said not to be there."""
    refused(tmp_path / "none.speechrec", "no such recogniser file")


def test_folder(tmp_path: Path) -> None:
    """A folder is refused as something that cannot be read."""
    refused(tmp_path, "cannot be read")


def test_a_filterbank_whose_header_is_no_python_is_refused(tmp_path: Path) -> None:
    """numpy reads a header as Python does, which stumbles over open braces in its own way."""
    mel = npy(FILTERBANK)
    refused(zipped(tmp_path / "a.speechrec", members(mel=mel[:10] + b"{" * 117 + b"\n")))


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would never end, and a device neither."""
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "got a device, pipe or giant")


def test_stream_thresholds_are_optional(tmp_path: Path, good: Path) -> None:
    """A recogniser file without them is whole; with them they are read by keyword."""
    assert read_bundle(good).stream_thresholds == {}
    stream = {"thresholds": {"yes": 0.9, "no": 0}, "target_fa_per_hour": 0.5}
    path = tmp_path / "b.speechrec"
    write_bundle(path, manifest={**PLAIN, "stream": stream}, model=NETWORK, mel=FILTERBANK)
    assert read_bundle(path).stream_thresholds == {"yes": 0.9, "no": 0.0}
    assert read_bundle(path).manifest["stream"] == stream


@pytest.mark.parametrize("same_file", [True, False])
def test_updating_keeps_everything_else(tmp_path: Path, good: Path, same_file: bool) -> None:
    """Only what was changed is another, and the file it was read from stays unless it is it."""
    before, content = read_bundle(good), good.read_bytes()
    out = good if same_file else tmp_path / "new.speechrec"
    stream = {"thresholds": {"yes": 0.75}}
    update_bundle(good, out, {"stream": stream, "name": "other"})
    after = read_bundle(out)
    assert after.stream_thresholds == {"yes": 0.75}
    assert after.manifest == {**before.manifest, "stream": stream, "name": "other"}
    unchanged = dataclasses.replace(after, stream_thresholds={}, manifest=before.manifest)
    assert same(unchanged, before)
    assert same_file or good.read_bytes() == content


def test_updating_back_gives_the_same_file(tmp_path: Path, good: Path) -> None:
    """No trace of an earlier value stays, and no update changes the bytes by itself."""
    update_bundle(good, tmp_path / "one.speechrec", {"threshold": 0.5})
    update_bundle(tmp_path / "one.speechrec", tmp_path / "two.speechrec", {"threshold": 0.25})
    assert (tmp_path / "two.speechrec").read_bytes() == good.read_bytes()


@pytest.mark.parametrize(
    "changes", [{"threshold": 2}, {"stream": {"thresholds": {"maybe": 0.5}}}, {"labels": []}]
)
def test_an_update_of_no_use_changes_nothing(good: Path, changes: dict[str, Any]) -> None:
    """What reading would refuse is refused, and the old file stays with nothing beside it."""
    before = good.read_bytes()
    with pytest.raises(BundleError):
        update_bundle(good, good, changes)
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_a_file_that_was_replaced_meanwhile_is_left_alone(tmp_path: Path, good: Path) -> None:
    """What was measured of one recogniser does not get into another one."""
    read = read_bundle(good).manifest
    update_bundle(good, good, {"threshold": 0.75}, read=read)
    trained_anew = good.read_bytes()
    for out in (good, tmp_path / "new.speechrec"):
        with pytest.raises(BundleError, match="was replaced meanwhile"):
            update_bundle(good, out, {"stream": {"thresholds": {}}}, read=read)
    assert good.read_bytes() == trained_anew
    assert not (tmp_path / "new.speechrec").exists()


def test_an_interrupted_update_keeps_the_old_file(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recogniser file that is updated in place is never half of one."""
    before, write = good.read_bytes(), zipfile.ZipFile.writestr

    def failing(archive: Any, info: Any, data: Any) -> None:
        if info.filename == MEL:
            raise OSError("disk full")
        write(archive, info, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", failing)
    with pytest.raises(OSError, match="disk full"):
        update_bundle(good, good, {"threshold": 0.75})
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_what_is_no_recogniser_file_is_not_updated(tmp_path: Path) -> None:
    """Updating needs a whole file to start from."""
    (tmp_path / "a.speechrec").write_bytes(b"no zip")
    with pytest.raises(BundleError, match=r"a\.speechrec"):
        update_bundle(tmp_path / "a.speechrec", tmp_path / "b.speechrec", {"threshold": 0.75})
    assert not (tmp_path / "b.speechrec").exists()


SECOND = b"\x1c\x00\x00\x00TFL3" + b"another network"
WITH_SECOND = {**PLAIN, "stream_network": {"temperature": 0.5}}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file with a network for streams."""
    path = tmp_path / "two.speechrec"
    write_bundle(path, manifest=WITH_SECOND, model=NETWORK, mel=FILTERBANK, stream_model=SECOND)
    return path


def test_a_network_for_streams_is_kept(good: Path, two: Path) -> None:
    """It comes back with its temperature, an update keeps it, and a file without it says so."""
    read = read_bundle(two)
    assert (read.model, read.stream_model, read.stream_temperature) == (NETWORK, SECOND, 0.5)
    update_bundle(two, two, {"stream": {"thresholds": {"yes": 0.75}}})
    read = read_bundle(two)
    assert (read.stream_model, read.stream_temperature) == (SECOND, 0.5)
    assert read_bundle(good).stream_model is None


@pytest.mark.parametrize(
    ("stream_model", "about", "word"),
    [
        (SECOND, {"temperature": 0.0}, "temperature 0.0"),
        (SECOND, {"temperature": "warm"}, "not usable"),
        (SECOND, None, "stream_network"),
        (b"something else than a network", {"temperature": 1.0}, "no TensorFlow Lite"),
    ],
)
def test_a_network_for_streams_must_fit(
    tmp_path: Path, stream_model: bytes, about: Any, word: str
) -> None:
    """What cannot be used is not written."""
    manifest = {**PLAIN, "stream_network": about} if about else PLAIN
    with pytest.raises(BundleError, match=word):
        write_bundle(
            tmp_path / "a.speechrec", manifest=manifest, model=NETWORK, mel=FILTERBANK,
            stream_model=stream_model,
        )  # fmt: skip
    assert not (tmp_path / "a.speechrec").exists()


def test_an_altered_network_for_streams_is_refused(tmp_path: Path, two: Path) -> None:
    """Its hash is checked like that of any other member; one that is not stated is refused too."""
    with zipfile.ZipFile(two) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    refused(zipped(tmp_path / "a.speechrec", {**content, STREAM: SECOND + b"!"}), STREAM, "SHA-256")
    refused(zipped(tmp_path / "b.speechrec", {**members(), STREAM: SECOND}), "not usable", STREAM)
