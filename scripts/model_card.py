"""Copy a run's recogniser into the package and write its card from what it and this run measure.

    make model

ends with this. The card stands beside the recogniser in speechrec/models. Accuracy in noise: every
testing clip that is a word, with the corpus's noise recordings behind it at a given ratio, from
stretches of them that training did not hear. Long recordings: what `speechrec mix` made of testing
clips, and the testing speakers of a folder of speech without commands.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speechrec import audio, augment, store
from speechrec.config import PARTS, SILENCE, UNKNOWN
from speechrec.copies import recording
from speechrec.evaluate import Report, evaluate
from speechrec.files import replacing, write_text
from speechrec.negatives import find_negatives
from speechrec.recognizer import Recognizer
from speechrec.shards import read_clip
from speechrec.stream_evaluate import StreamFigures, evaluate_streams
from speechrec.thresholds import count_false_alarms

RATIOS_DB = (20, 10, 5, 0)
MODELS = Path(__file__).parents[1] / "speechrec" / "models"


def testing_words(features: Path) -> list[store.StoredClip]:
    return [
        clip for clip in store.stored_clips(features)
        if clip.part == "testing" and clip.label != SILENCE
    ]  # fmt: skip


def testing_noise(features: Path, rate: int, samples: int) -> Iterator[np.ndarray]:
    """Second after second of the noise recordings' testing stretches, again and again."""
    # Silence clips of the testing part are cut from where testing may listen.
    cuts = [
        (clip.path, clip.offset_s) for clip in store.stored_clips(features)
        if clip.part == "testing" and clip.label == SILENCE
    ]  # fmt: skip
    while True:
        for path, offset_s in cuts:
            wave = audio.read_audio(path, sample_rate_hz=rate, offset_s=offset_s, duration_s=1.0)
            yield augment.placed(wave, 0, samples)


def in_noise(recognizer: Recognizer, features: Path, ratio_db: float) -> float:
    """Accuracy on the testing part's words with noise ``ratio_db`` below them."""
    config = recognizer.config
    noise = testing_noise(features, config.sample_rate_hz, config.clip_samples)
    right = []
    for clip in testing_words(features):
        wave, _ = read_clip(recording(clip), config)
        start = (config.clip_samples - len(wave)) // 2
        wave = augment.placed(wave, start, config.clip_samples)
        noisy = np.clip(augment.mixed(wave, next(noise), ratio_db), -1, 1)
        right.append(recognizer.predict(noisy).label == clip.label)
    return float(np.mean(right))


def false_alarms(recognizer: Recognizer, folder: Path, pattern: str) -> tuple[int, float]:
    """How many, and in how many hours, in speech without commands by testing speakers."""
    found = find_negatives(folder, part="testing", speaker_pattern=pattern)
    alarms = count_false_alarms(recognizer, found)
    return sum(alarms.at(recognizer.stream_thresholds).values()), alarms.hours


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def class_rows(report: Report) -> str:
    return "\n".join(
        f"| {label} | {percent(figures.precision)} | {percent(figures.recall)} | {figures.clips} |"
        for label, figures in report.per_class.items()
    )


def stream_rows(streams: list[StreamFigures]) -> str:
    return "\n".join(
        f"| {each.condition} | {each.said} | {percent(each.miss_rate)} "
        f"| {each.false_alarms} in {each.hours:.1f} h | {each.twice} "
        f"| {seconds(each.latency_median_s)}, {seconds(each.latency_95_s)} |"
        for each in streams
    )


def networks(recognizer: Recognizer) -> tuple[str, str]:
    """That for clips and that for streams."""
    manifest = recognizer.manifest
    small, large = manifest["network"], manifest["stream_network"]
    sizes = (recognizer.config.size, *small["widths"], len(recognizer.labels))
    weights = "8-bit" if manifest["int8"] else "32-bit"
    mean = f", the mean of {large['members']}" if large["members"] > 1 else ""
    return (
        f"{small['kind']}, {' - '.join(map(str, sizes))}, {small['parameters']:,} trained "
        f"parameters, {weights} weights",
        f"its teacher: {large['kind']}, {large['parameters']:,} parameters{mean}",
    )


def part_sizes(recognizer: Recognizer) -> list[str]:
    """Clips and speakers of the training, validation and testing part."""
    training = recognizer.manifest["training"]
    clips = {
        part: sum(label["clips"] for label in training["parts"][part].values()) for part in PARTS
    }
    return [f"{clips[part]:,} clips of {training['speakers'][part]:,}" for part in PARTS]


def card(
    recognizer: Recognizer,
    path: Path,
    besides: str,
    report: Report,
    noisy: dict[int, float],
    streams: list[StreamFigures],
    alarms: tuple[int, float],
) -> str:
    manifest, decisions = recognizer.manifest, report.decisions
    words = list(recognizer.keywords)
    noise_rows = "\n".join(f"| {ratio} dB | {percent(noisy[ratio])} |" for ratio in noisy)
    target = manifest["stream"]["target_fa_per_hour"]
    hours = manifest["stream"]["negatives_hours"]
    thresholds = ", ".join(
        f"{label} {value:.4f}" for label, value in recognizer.stream_thresholds.items()
    )
    taught, validation, testing = part_sizes(recognizer)
    small, large = networks(recognizer)
    return f"""# {path.stem}

A recogniser for the English commands {", ".join(words)}; anything else said is `{UNKNOWN}`, no
speech is `{SILENCE}`. {manifest["training"]["attribution"]}

| | |
| --- | --- |
| file | `{path.name}`, {path.stat().st_size:,} bytes |
| SHA-256 | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |
| labels | {", ".join(recognizer.labels)} |
| front end | `{recognizer.config.hash}` |
| network | {small} |
| network for streams | {large} |
| taught with | {taught} speakers, and altered copies |
| taught with, besides | {besides} |
| epoch chosen, calibrated on | {validation} others |
| measured on | {testing} others |

## How good it is

On the testing part, by speakers used neither for training nor for a choice:

| what | |
| --- | --- |
| accuracy | {percent(report.accuracy)} |
| accuracy without silence | {percent(report.accuracy_without_silence)} |
| unknown words recalled | {percent(report.unknown_recall)} |
| expected calibration error | {percent(report.ece)} (temperature {recognizer.temperature:.3f}) |

At the stored threshold of {decisions.threshold:.2f}, below which nothing is acted on:

| what | |
| --- | --- |
| keywords accepted | {percent(decisions.keywords_accepted)} |
| unknown words refused | {percent(decisions.unknown_refused)} |
| silence refused | {percent(decisions.silence_refused)} |
| wrong among what is accepted | {percent(decisions.accepted_wrong)} |

| class | precision | recall | clips |
| --- | --- | --- | --- |
{class_rows(report)}

The words alone, with noise behind them from stretches of the corpus's recordings that training did
not hear:

| word to noise | accuracy |
| --- | --- |
{noise_rows}

## In long recordings

Thresholds for streams: {thresholds}.
They aim at {target:g} false alarms an hour, extrapolated from {hours:.1f} hours of words that
training never had, said by synthetic voices it never had, many of them near-misses of commands.
False alarms in {60 * alarms[1]:.0f} minutes of read sentences by people: {alarms[0]}.

Testing clips mixed into recordings with unknown words, sentences and noise; commands taken for
another one count as missed and as false alarms:

| noise | commands | missed | false alarms | reported twice | latency: median, 95 % |
| --- | --- | --- | --- | --- | --- |
{stream_rows(streams)}

## Limits

- A command is a word by itself, with a pause around it. In a short sound the loudest second counts.
- How seldom false alarms are is known for synthetic voices, minutes of read sentences and hours of
  telephone prompts, not for a living room.
- English, as volunteers said it into their own computers in 2017 and 2018; accents and children's
  voices are as rare in it as they were among them.
- Silence was made of six noise recordings. Music, television and crosstalk are not in it.
- Refusal was tuned on {len(words)} words against 25 others. Words that rhyme with a command are
  taken for it more often than the figures above say.
- Not for anything that can hurt somebody if it mishears.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recogniser", type=Path)
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--mix", type=Path, default=Path("runs/mix"), help="long recordings")
    parser.add_argument("--negatives", type=Path, default=Path("data/negative_speech"))
    parser.add_argument("--speaker-pattern", default="^[^-]+-([^-]+)-", help="of --negatives")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder to install into")
    parser.add_argument("--besides", default="nothing", help="what else it was taught with")
    arguments = parser.parse_args()
    recognizer = Recognizer.load(arguments.recogniser)
    testing = store.load_features(arguments.features, "testing")
    report = evaluate(recognizer.scores, testing, threshold=recognizer.threshold)
    noisy = {ratio: in_noise(recognizer, arguments.features, ratio) for ratio in RATIOS_DB}
    target = arguments.models / arguments.recogniser.name
    streams = evaluate_streams(recognizer, arguments.mix)
    alarms = false_alarms(recognizer, arguments.negatives, arguments.speaker_pattern)
    text = card(recognizer, arguments.recogniser, arguments.besides, report, noisy, streams, alarms)
    with replacing(target) as partial:
        shutil.copyfile(arguments.recogniser, partial)
    write_text(target.with_suffix(".md"), text)
    print(text)
    print(json.dumps({"noise_db": noisy, "decisions": dataclasses.asdict(report.decisions)}))


if __name__ == "__main__":
    main()
