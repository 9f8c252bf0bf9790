"""Labelled recordings as a recogniser hears them: for measuring one on recordings of one's own."""

from pathlib import Path

import numpy as np

from speechrec.audio import read_audio
from speechrec.config import UNKNOWN
from speechrec.errors import AudioError, DatasetError
from speechrec.features import Array
from speechrec.limits import check_regular
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault, Recording
from speechrec.recordings import Corpus
from speechrec.store import FeatureSet, StoredClip


def read_testset(
    source: Path, recognizer: Recognizer, *, speaker_pattern: str = ""
) -> tuple[FeatureSet, list[Fault]]:
    """Every recording of a corpus through the recogniser's own front end, whatever its part.

    Words that the recogniser does not know count as unknown words.

    Returns:
        The features with their answers, and the files that could not be read.

    Raises:
        DatasetError: nothing can be used, or there is a word that has no label to go to.
    """
    vectors: list[Array] = []
    clips: list[StoredClip] = []
    faults: list[Fault] = []
    for item in Corpus(source, speaker_pattern=speaker_pattern):
        if isinstance(item, Fault):
            faults.append(item)
            continue
        label = _label_of(item, recognizer)
        try:
            wave = _read(item, recognizer.config.sample_rate_hz)
        except AudioError as error:
            faults.append(Fault.of(item.path, error))
            continue
        vectors.append(recognizer.features(wave))
        seconds = len(wave) / recognizer.config.sample_rate_hz
        clips.append(
            StoredClip(
                shard=0, row=len(clips), path=item.path, label=label, word=item.word,
                speaker=item.speaker, part="testing", offset_s=item.offset_s,
                duration_s=seconds, gain_db=0.0, sha256="", whole=True,
            )
        )  # fmt: skip
    if not clips:
        reason = f" (first reason: {faults[0].message})" if faults else ""
        raise DatasetError(f"{source}: no recording can be used{reason}")
    index = {label: number for number, label in enumerate(recognizer.labels)}
    y = np.array([index[clip.label] for clip in clips], dtype=np.int64)
    return FeatureSet(
        np.stack(vectors), y, recognizer.labels, tuple(clips), recognizer.config
    ), faults


def _label_of(item: Recording, recognizer: Recognizer) -> str:
    label = item.word if item.word in recognizer.labels else UNKNOWN
    if label not in recognizer.labels:
        raise DatasetError(
            f"{item.path}: the recogniser knows neither the word {item.word!r} nor unknown "
            f"words; it knows {', '.join(recognizer.labels)}"
        )
    return label


def _read(item: Recording, rate_hz: int) -> Array:
    check_regular(item.path)
    return read_audio(
        Path(item.path), sample_rate_hz=rate_hz,
        offset_s=item.offset_s, duration_s=item.duration_s,
    )  # fmt: skip
