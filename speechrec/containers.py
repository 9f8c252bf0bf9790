"""How long a file of sound ought to be, in formats whose decoder hides that one was cut.

libsndfile takes what a header says for at most what there is. Layouts: EBU Tech 3306 (RF64), Sony's
Wave64, Apple's AIFF-C, Sun's AU, NIST SPHERE, AVR, Creative's VOC, Ogg, and RIFX, which is WAV with
its bytes the other way round. Plain WAV is in `wav`.
"""

import re
import struct
from collections.abc import Iterator
from mmap import mmap

Bytes = bytes | memoryview | mmap

# Programs that write to a pipe cannot go back, and put such a length or none into the header: some
# what is about the most for 31 bits (sox, arecord), others for 32 (ffmpeg).
_UNSTATED = (range(0x7EFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
_W64_HEAD = b"riff\x2e\x91\xcf\x11"
_VOC_HEAD = b"Creative Voice File\x1a"
_AVR_BYTES = 128
_SPHERE_BYTES = 1024
# The longest page: its head, 255 lengths, and so many segments of 255 bytes.
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255


def is_unstated(size: int) -> bool:
    """Whether a length in a header stands for one that was not known."""
    return any(size in sizes for sizes in _UNSTATED)


def stated_end(data: Bytes) -> int:
    """Where the sound ends by the header, in bytes from the start; 0 where that is not known.

    Args:
        data: a file, as far as it goes.
    """
    magic = data[:12]
    try:
        if magic[:4] in (b"RF64", b"BW64"):
            return _rf64_end(data)
        if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
            return _chunk_end(_chunks(data, ">4sI"), (b"SSND", b"BODY"))
        if magic[:4] == b"RIFX":
            return _chunk_end(_chunks(data, ">4sI"), (b"data",))
        if magic[:8] == _W64_HEAD:
            return _chunk_end(_w64_chunks(data), (b"data",))
        if magic[:4] in (b".snd", b"dns."):
            start, size = struct.unpack_from(">II" if magic[:1] == b"." else "<II", data, 4)
            return 0 if is_unstated(size) else int(start + size)
        if magic[:4] == b"2BIT":
            return _avr_end(data)
        if bytes(data[: len(_VOC_HEAD)]) == _VOC_HEAD:
            return _voc_end(data)
        if magic[:4] == b"OggS":
            return _ogg_end(data)
        if magic[:8] == b"NIST_1A\n" and len(data) >= _SPHERE_BYTES:
            return _sphere_end(bytes(data[:_SPHERE_BYTES]))
    except struct.error:
        # Cut in the middle of a header, which libsndfile tells.
        pass
    return 0


# Name, first byte of the content, length of the content.
_Chunk = tuple[bytes, int, int]


def _chunk_end(chunks: Iterator[_Chunk], names: tuple[bytes, ...]) -> int:
    for name, start, size in chunks:
        if name in names:
            return 0 if is_unstated(size) else start + size
    return 0


def _chunks(data: Bytes, layout: str) -> Iterator[_Chunk]:
    start = 12
    while start + 8 <= len(data):
        name, size = struct.unpack_from(layout, data, start)
        yield name, start + 8, size
        start += 8 + size + size % 2


def _w64_chunks(data: Bytes) -> Iterator[_Chunk]:
    """Names are GUIDs, of which the first four bytes are as in WAV; sizes have their own heads."""
    start = 40
    while start + 24 <= len(data):
        name, size = struct.unpack_from("<4s12xQ", data, start)
        if size < 24:
            return
        yield name, start + 24, size - 24
        start += (size + 7) // 8 * 8


def _rf64_end(data: Bytes) -> int:
    long_size = 0
    for name, start, size in _chunks(data, "<4sI"):
        if name == b"ds64":
            (long_size,) = struct.unpack_from("<Q", data, start + 8)
        elif name == b"data":
            stated = long_size if size == 0xFFFFFFFF else size
            return start + stated if stated < 1 << 60 else 0
    return 0


def _avr_end(data: Bytes) -> int:
    stereo, bits, frames = struct.unpack_from(">12xHH10xI", data)
    return _AVR_BYTES + int(frames * (2 if stereo else 1) * (bits // 8))


def _voc_end(data: Bytes) -> int:
    """The end of the first block, which mostly is the only one."""
    (start,) = struct.unpack_from("<H", data, len(_VOC_HEAD))
    low, high = struct.unpack_from("<xHB", data, start)
    return int(start + 4 + low + (high << 16))


def _ogg_end(data: Bytes) -> int:
    """The end of the last page (RFC 3533), or what of it must be there at least."""
    tail = bytes(data[-_OGG_PAGE_BYTES:])
    start = tail.rfind(b"OggS")
    if start < 0:
        return 0
    page = tail[start:]
    segments = page[26] if len(page) > 26 else 1
    lengths = page[27 : 27 + segments]
    return len(data) - len(page) + 27 + segments + (sum(lengths) if len(lengths) == segments else 0)


def _sphere_end(head: bytes) -> int:
    fields = {
        name: int(value) for name, value in re.findall(rb"(?m)^(\w+) -(?:i|s\d+) (\d+)$", head)
    }
    # Of compressed sound nobody knows.
    if re.search(rb"(?m)^sample_coding -s\d+ .*,", head):
        return 0
    samples = fields.get(b"sample_count", 0) * fields.get(b"channel_count", 1)
    return _SPHERE_BYTES + samples * fields.get(b"sample_n_bytes", 0)
