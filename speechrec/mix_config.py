"""How long test recordings are put together; light, so that the command line shows the defaults."""

from dataclasses import dataclass

from speechrec.errors import ConfigError

RATE_HZ = 16_000


def condition_name(snr_db: float | None) -> str:
    """The noise in a name: clean, 10dB."""
    # Minus zero is zero.
    return "clean" if snr_db is None else f"{snr_db + 0:g}dB"


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(f"mix.{message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MixConfig:
    """How recordings are put together."""

    # At each signal-to-noise ratio; the same words at the same times in all of them.
    recordings: int = 6
    # Of each recording.
    minutes: float = 10.0
    # None is clean: only a noise floor at -65 dBFS, which is under every recording.
    snrs_db: tuple[float | None, ...] = (None, 20.0, 10.0, 5.0, 0.0)
    # Between clips. A pause that holds other speech is longer by that.
    least_pause_s: float = 0.5
    most_pause_s: float = 3.0
    # Speed and pitch together, up and down.
    stretch_percent: float = 0.0
    # Each clip, sentences included, is first brought to one level: where a corpus came in over many
    # microphones, how loud clips are says little about how loud people were.
    equal_level: bool = False
    # Change of the level of each clip, sentences included.
    least_gain_db: float = -12.0
    most_gain_db: float = 0.0
    # Share of pauses in which a sentence without commands is said.
    negative_share: float = 0.3
    # Share of clips that are unknown words.
    unknown_share: float = 0.2
    # Share of commands that are said while somebody else speaks, 10 dB softer.
    overlap_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.recordings > 0, f"recordings: expected 1 or more, got {self.recordings}")
        _require(0 < self.minutes <= 120, f"minutes: expected above 0 to 120, got {self.minutes}")
        conditions = self.conditions
        _require(
            bool(conditions) and len(set(conditions)) == len(conditions),
            "snrs_db (--snr): expected one or more, each once, got "
            f"{', '.join(conditions) or 'none'}",
        )
        for snr_db in self.snrs_db:
            _require(
                snr_db is None or -100 <= snr_db <= 100,
                f"snrs_db (--snr): expected -100 to 100 or clean, got {snr_db}",
            )
        for low, high, option, bounds in (
            ("least_pause_s", "most_pause_s", "--pause", (0, 600)),
            ("least_gain_db", "most_gain_db", "--level", (-60, 20)),
        ):
            least, most = getattr(self, low), getattr(self, high)
            _require(
                bounds[0] <= least <= most <= bounds[1],
                f"{low} ({option}): expected {low} and {high} from {bounds[0]} to {bounds[1]} in "
                f"order, got {least:g} and {most:g}",
            )
        _require(
            0 <= self.stretch_percent <= 50,
            f"stretch_percent (--speed): expected 0 to 50, got {self.stretch_percent}",
        )
        for name in ("negative_share", "unknown_share", "overlap_share"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"{name}: expected 0 to 1, got {value}")
        _require(self.seed >= 0, f"seed: expected 0 or more, got {self.seed}")

    @property
    def samples(self) -> int:
        """Length of a recording."""
        return round(self.minutes * 60 * RATE_HZ)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the signal-to-noise ratios."""
        return tuple(map(condition_name, self.snrs_db))
