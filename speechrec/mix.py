"""Long recordings from clips, pauses, noise and other speech, with the truth beside them.

What a streaming detector is measured on: 10dB-000.wav with 10dB-000.txt, the commands in it as
Audacity labels (start, end, label), and one mix.json that says how the folder was made.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speechrec.config import SILENCE, UNKNOWN, Part
from speechrec.errors import DatasetError
from speechrec.files import Kind, new_folder, refuse_content, write_json
from speechrec.labels import write_labels
from speechrec.mix_config import RATE_HZ, MixConfig, condition_name
from speechrec.mix_noise import Noise, recording_noise
from speechrec.negatives import Negative
from speechrec.scene import NOISE, Scene, scenes, within_full_scale
from speechrec.scene_pieces import MixClip
from speechrec.sndfile import write_wav
from speechrec.store import load_info, stored_clips

INFO_NAME = "mix.json"
FORMAT = 1
_MIX = Kind(
    "an earlier mix", INFO_NAME, re.compile(r"mix\.json|(clean|-?[\d.e+-]+dB)-\d{3,}\.(wav|txt)")
)


@dataclass(frozen=True, slots=True)
class MixSummary:
    """What was made. ``clips_used_again`` are those heard more than once at the same SNR."""

    recordings: int
    commands: int
    clips_used_again: int


def store_clips(folder: Path, part: Part) -> list[MixClip]:
    """The words of one part of a feature store, silence left out.

    Raises:
        DatasetError: there is no finished feature store in ``folder``, or it has no such words.
    """
    load_info(folder)
    clips = [
        MixClip(
            clip.path, None if clip.label == UNKNOWN else clip.label,
            clip.offset_s, None if clip.whole else clip.duration_s,
        )
        for clip in stored_clips(folder)
        if clip.part == part and clip.label != SILENCE
    ]  # fmt: skip
    if not clips:
        raise DatasetError(f"{folder}: expected {part} clips of words, found none; extract again")
    return clips


def mix(
    clips: Sequence[MixClip],
    out: Path,
    config: MixConfig,
    *,
    negatives: Sequence[Negative] = (),
    noises: Sequence[Path] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MixSummary:
    """Write recordings with their truth into a folder of their own.

    Args:
        out: must not exist, be empty, or be a mix, which is then replaced.
        negatives: recordings of speech without commands.
        noises: recordings of noise, in turn from one recording to the next. Without any, the noise
            is in turn a mains hum, pink noise in pulses, and the babble of six of the ``negatives``
            if they have as many speakers.

    Raises:
        ConfigError: the settings do not go together.
        DatasetError: there is no clip of a command, or ``out`` is something else.
        AudioError: a file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    used = Counter[int]()
    read = (*noises, *(item.path for item in negatives))
    refuse_content(out, kind=_MIX, read=read)
    with new_folder(out, kind=_MIX) as folder:
        made = itertools.islice(scenes(clips, config, negatives=negatives), config.recordings)
        for number, scene in enumerate(made):
            used.update(scene.clips)
            rng = np.random.default_rng((config.seed, number, NOISE))
            noise = recording_noise(
                rng, number, config.samples, negatives=negatives, noises=noises
            )  # fmt: skip
            for snr_db in config.snrs_db:
                rows.append(_write(folder, number, scene, noise, snr_db))
                progress(len(rows), config.recordings * len(config.snrs_db))
        again = sum(count > 1 for count in used.values())
        about = {"format": FORMAT, "settings": asdict(config), "clips_used_again": again}
        write_json(folder / INFO_NAME, {**about, "recordings": rows})
    return MixSummary(len(rows), sum(row["commands"] for row in rows), again)


def _write(
    folder: Path, number: int, scene: Scene, noise: Noise, snr_db: float | None
) -> dict[str, Any]:
    """The sound, its labels, and its row in mix.json."""
    name = f"{condition_name(snr_db)}-{number:03d}"
    wave = scene.wave if snr_db is None else scene.with_noise(noise.wave, snr_db)
    write_wav(folder / f"{name}.wav", within_full_scale(wave), RATE_HZ)
    write_labels(folder / f"{name}.txt", scene.truth)
    heard = scene.sources if snr_db is None else [*scene.sources, *noise.sources]
    return {
        "file": f"{name}.wav",
        "duration_s": len(scene.wave) / RATE_HZ,
        "snr_db": snr_db,
        "noise": "none" if snr_db is None else noise.kind,
        "commands": len(scene.truth),
        "sources": list(dict.fromkeys(heard)),
    }
