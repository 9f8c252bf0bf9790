from typing import Any

from numpy.typing import NDArray

def mel_energies(
    wave: NDArray[Any],
    hop: int,
    window: NDArray[Any],
    twiddles: NDArray[Any],
    bins: NDArray[Any],
    bands: NDArray[Any],
    weights: NDArray[Any],
    scratch: NDArray[Any],
    out: NDArray[Any],
    /,
) -> None: ...
def excess_energy(
    wave: NDArray[Any], block: int, scratch: NDArray[Any], out: NDArray[Any], /
) -> float: ...
def decode_16_bit(
    data: bytes, start: int, level: int, out: NDArray[Any], /
) -> tuple[int, int, int]: ...
