"""From recordings to clips: labels, speaker-disjoint parts, unknown words and silence.

A `Plan` is made in two walks over the corpus: one counts, the other yields clips one by one, so
planning a million clips takes no more memory than planning a hundred.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speechrec.config import PARTS, SILENCE, UNKNOWN, DataConfig, Part, is_keyword
from speechrec.errors import DatasetError
from speechrec.recording import Clip, Fault, Recording, Stretch, composed, segment_name
from speechrec.recordings import SPEECH_COMMANDS_WORDS, Corpus
from speechrec.silence import Silence, find_noise
from speechrec.splits import Splitter, group_of, percentile


@dataclass(slots=True)
class Plan:
    """What will be extracted. Iterate `clips` as often as wanted; the order is always the same."""

    labels: tuple[str, ...]
    # An estimate, for showing progress: which unknown words are drawn is only known on the walk.
    expected_clips: int
    faults: list[Fault]
    notes: list[str]
    _corpus: Corpus = field(repr=False)
    _config: DataConfig = field(repr=False)
    _splitter: Splitter = field(repr=False)
    _unknown_share: float = field(repr=False)
    _silence: Silence = field(repr=False)

    def clips(self) -> Iterator[Clip]:
        words = set(self.labels)
        counts: Counter[Part] = Counter()
        for item in self._corpus:
            if isinstance(item, Fault):
                continue
            label = item.word if item.word in words else UNKNOWN
            if label == UNKNOWN and not _is_drawn(item, self._unknown_share):
                continue
            part = self._splitter.part(item)
            counts[part] += 1
            yield Clip(
                item.path, label, item.word, item.speaker, part, item.offset_s, item.duration_s
            )
        for part in PARTS:
            share = self._config.silence_percent / 100
            yield from self._silence.clips(part, round(counts[part] * share))

    def training_noise(self) -> tuple[Stretch, ...]:
        """The noise that training may hear; empty where the corpus has none."""
        return tuple(self._silence.stretches("training"))


def plan_dataset(
    source: Path,
    config: DataConfig,
    *,
    clip_s: float = 1.0,
    unknown: Path | None = None,
    also: Path | None = None,
) -> Plan:
    """Walk a corpus once, decide labels and parts, and say what will be made of it.

    ``clip_s`` is how long a clip is, in seconds. ``unknown`` is a further folder of recordings that
    are no keyword, ``also`` one of word folders to learn from only.

    Raises:
        DatasetError: nothing to learn from, a word without recordings, or a speaker in two parts.
        ConfigError: the speaker pattern is not usable.
    """
    corpus = Corpus(source, speaker_pattern=config.speaker_pattern, unknown=unknown, also=also)
    survey = _Survey.of(corpus, config)
    words = _choose_words(corpus, survey, config)
    splitter, notes = _fit_splitter(survey, config)
    if unmet := corpus.unmet():
        notes.append(
            f"{len(unmet)} entries of the lists of parts name no recording, the first: {unmet[0]}"
        )
    keywords = sum(survey.words[word] for word in words)
    others = sum(survey.words.values()) - keywords - survey.words[SILENCE]
    # What was added to learn from is not left out.
    own = others - sum(survey.added[word] for word in survey.added if word not in (*words, SILENCE))
    share = 1.0
    if config.unknown_ratio and own > config.unknown_ratio * keywords / len(words):
        share = config.unknown_ratio * keywords / len(words) / own
    silence, noise_faults, noise_notes = find_noise(corpus, config, clip_s)
    labels = list(words)
    if others:
        labels.append(UNKNOWN)
    else:
        notes.append(
            "no recordings of other words: everything that is said will be taken for one of these; "
            "add some with --unknown, or speechrec synth --phrases and --also"
        )
    if survey.words[SILENCE] or config.silence_percent:
        labels.append(SILENCE)
    if len(labels) < 2:
        raise DatasetError(f"{source}: expected at least two labels to tell apart, found {labels}")
    if share < 1:
        notes.append(
            f"about {1 - share:.0%} of {own} recordings of unknown words are left out "
            f"(data.unknown_ratio {config.unknown_ratio:g}; 0 keeps all)"
        )
    spoken = keywords + survey.words[SILENCE] + others - own * (1 - share)
    return Plan(
        tuple(labels), round(spoken * (1 + config.silence_percent / 100)),
        survey.faults + noise_faults, notes + noise_notes,
        corpus, config, splitter, share, silence,
    )  # fmt: skip


@dataclass(slots=True)
class _Survey:
    """What one walk over a corpus tells."""

    words: Counter[str] = field(default_factory=Counter)
    # Of the words, those that are no part of the corpus.
    added: Counter[str] = field(default_factory=Counter)
    groups: set[str] = field(default_factory=set)
    given: dict[str, Part] = field(default_factory=dict)
    assigned: Counter[Part] = field(default_factory=Counter)
    without_speaker: int = 0
    # Speakers of the corpus who are in recordings that were added for training, too.
    moved: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def of(cls, corpus: Corpus, config: DataConfig) -> "_Survey":
        survey = cls()
        for item in corpus:
            if isinstance(item, Fault):
                survey.faults.append(item)
            else:
                survey._add(item, config)
        return survey

    def _add(self, item: Recording, config: DataConfig) -> None:
        self.words[item.word] += 1
        if item.added:
            self.added[item.word] += 1
        self.without_speaker += not item.speaker
        if item.part is None:
            self.groups.add(group_of(item, config))
            return
        self.assigned[item.part] += 1
        if not item.speaker:
            return
        if item.added and item.speaker in self.groups:
            self.moved.add(item.speaker)
        first = self.given.setdefault(item.speaker, item.part)
        if first != item.part and config.split_by == "speaker":
            raise DatasetError(
                f"speaker {item.speaker} is in the {first} and the {item.part} part ({item.path}); "
                "a recogniser tested on voices it was trained on looks better than it is: correct "
                "the lists, or insist with --split-by clip"
            )


def _choose_words(corpus: Corpus, survey: _Survey, config: DataConfig) -> tuple[str, ...]:
    found = set(filter(is_keyword, survey.words))
    for word in found:
        if not word.isprintable():
            raise DatasetError(
                f"{corpus.source}: expected words of printable characters, got {word!r}; rename it"
            )
    if not found:
        raise DatasetError(
            f"{corpus.source}: expected folders named after words with recordings inside, found "
            f"none{_hint(survey)}"
        )
    if config.words:
        words = tuple(map(composed, config.words))
        absent = [word for word in words if word not in found]
        if absent:
            raise DatasetError(
                f"{corpus.source}: no recordings of {', '.join(absent)}; "
                f"found {', '.join(sorted(found))}"
            )
        return tuple(dict.fromkeys(words))
    standard = tuple(word for word in SPEECH_COMMANDS_WORDS if word in found)
    return standard if corpus.is_speech_commands and standard else tuple(sorted(found))


def _hint(survey: _Survey) -> str:
    return (
        f" (first of {len(survey.faults)} problems: {survey.faults[0].message})"
        if survey.faults
        else ""
    )


def _fit_splitter(survey: _Survey, config: DataConfig) -> tuple[Splitter, list[str]]:
    splitter, notes = Splitter(config), []
    if config.split_by == "speaker" and len(survey.groups) == 1 and not survey.assigned:
        raise DatasetError(
            f"expected recordings of several speakers, found only {next(iter(survey.groups))}; "
            "add speakers, or insist on splitting by recording with --split-by clip (the figures "
            "then say nothing about other voices)"
        )
    if config.split_by == "speaker":
        splitter.keep(survey.given)
        if survey.moved:
            notes.append(
                f"{len(survey.moved)} speakers are in what was added for training too, so they are "
                "not tested on; if they are other people, name them otherwise"
            )
    notes += splitter.fill_empty_parts(survey.groups, set(survey.assigned))
    if survey.without_speaker or config.split_by == "clip":
        reason = (
            "parts are made by recording, as asked" if config.split_by == "clip"
            else f"{survey.without_speaker} recordings name no speaker and are split by recording"
        )  # fmt: skip
        notes.append(
            f"{reason}: the same voice may be in training and testing, so the figures are "
            "optimistic for new voices (--speaker-pattern says where the speaker stands)"
        )
    return splitter, notes


def _is_drawn(item: Recording, share: float) -> bool:
    """Draw unknown words by the hash of their name, so that adding files keeps the others."""
    if share >= 1 or item.added:
        return True
    # Segments of one recording are drawn one by one.
    key = segment_name(item.path, item.offset_s).removesuffix("@0")
    return percentile(f"unknown/{key}") < share * 100
