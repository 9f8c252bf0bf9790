"""A file that was cut is told, in every format whose header says how long it ought to be."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechrec.audio import read_audio
from speechrec.containers import stated_end
from speechrec.errors import AudioError
from speechrec.sources import file_blocks

RATE = 16_000
KINDS = {
    "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_24"), "aiff": ("AIFF", "PCM_16"),
    "aifc": ("AIFF", "ULAW"), "au": ("AU", "PCM_16"), "au little": ("AU", "FLOAT"),
    "svx": ("SVX", "PCM_16"), "sph": ("NIST", "PCM_16"), "sph ulaw": ("NIST", "ULAW"),
    "ogg": ("OGG", "VORBIS"), "rifx big": ("WAV", "PCM_16"),
    "avr": ("AVR", "PCM_16"), "voc": ("VOC", "PCM_16"),
}  # fmt: skip


def content(kind: str) -> bytes:
    """A second of sound, an odd number of samples."""
    buffer = io.BytesIO()
    container, subtype = KINDS[kind]
    wave = 0.1 * np.sin(np.arange(RATE - 1, dtype=np.float32))
    endian = {"au little": "LITTLE", "rifx big": "BIG"}.get(kind, "FILE")
    soundfile.write(buffer, wave, RATE, format=container, subtype=subtype, endian=endian)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_whole_is_read(kind: str, tmp_path: Path) -> None:
    """The sound is all there, from bytes and from a file, and with something behind it."""
    whole = content(kind)
    path = tmp_path / "a"
    for data in (whole, whole + b"behind it"):
        path.write_bytes(data)
        assert 0 < stated_end(data) <= len(data)
        wave = read_audio(data, sample_rate_hz=RATE)
        assert len(wave) >= RATE - 1
        blocks = list(file_blocks(path, sample_rate_hz=RATE))
        assert np.array_equal(np.concatenate(blocks), wave)


@pytest.mark.parametrize("lost", [2, 10_000])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_cut_is_truncated(kind: str, lost: int, tmp_path: Path) -> None:
    """However little is missing: from bytes, from a file, a segment of it, and in blocks."""
    whole = content(kind)
    cut = whole[: max(100, stated_end(whole) - lost)]
    path = tmp_path / "a"
    path.write_bytes(cut)
    for read in (
        lambda: read_audio(cut, sample_rate_hz=RATE),
        lambda: read_audio(path, sample_rate_hz=RATE),
        lambda: read_audio(path, sample_rate_hz=RATE, offset_s=0.1, duration_s=0.1),
        lambda: list(file_blocks(path, sample_rate_hz=RATE)),
    ):
        with pytest.raises(AudioError, match=f"{len(cut)}; copy or record it again") as caught:
            read()
        assert caught.value.kind == "truncated"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ogg"])
def test_no_beginning_of_a_header_is_too_short(kind: str) -> None:
    """Whatever is there of a file, it is looked at without an error."""
    whole = content(kind)
    ends = {stated_end(whole[:size]) for size in range(1200)}
    assert ends <= {0, stated_end(whole)}


def test_of_compressed_sound_nobody_knows_the_length() -> None:
    """As much of what the linguistic data are that people have."""
    data = content("sph").replace(b"sample_coding -s3 pcm", b"sample_coding -s5 pcm,x")
    assert data != content("sph")
    assert stated_end(data) == 0


@pytest.mark.parametrize("kind", ["aiff", "rf64", "w64"])
@pytest.mark.parametrize("size", [5, 8])
def test_what_stands_before_the_sound_is_passed_over(kind: str, size: int) -> None:
    """Chunks of odd lengths too, with what pads them."""
    whole = content(kind)
    at = whole.index({"aiff": b"SSND", "rf64": b"data", "w64": b"data"}[kind])
    text = bytes(size)
    if kind == "w64":
        head = b"note" + whole[at + 4 : at + 16] + (24 + size).to_bytes(8, "little")
        chunk = head + text + bytes(-size % 8)
    else:
        order: Any = "big" if kind == "aiff" else "little"
        chunk = b"NOTE" + size.to_bytes(4, order) + text + bytes(size % 2)
    longer = whole[:at] + chunk + whole[at:]
    assert stated_end(longer) == stated_end(whole) + len(chunk)


@pytest.mark.parametrize(("kind", "at"), [("au", 8), ("aiff", content("aiff").index(b"SSND") + 4)])
@pytest.mark.parametrize(
    "size", [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x7f\x00\x00\x24", b"\x7e\xff\xff\xfe"]
)
def test_what_came_through_a_pipe_has_no_length(kind: str, at: int, size: bytes) -> None:
    """A length that was not known when it was written down does not count."""
    data = content(kind)
    assert stated_end(data[:at] + size + data[at + 4 :]) == 0
