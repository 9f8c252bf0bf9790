"""How far the features of recordings are from librosa's, number by number.

    python scripts/librosa_difference.py data/speech_commands --files 1000

Each clip is placed by us first, so that both sides transform the same second.
"""

import argparse
from pathlib import Path

import librosa
import numpy as np
from bench_common import spread_out, wav_files

from speechrec.audio import read_audio
from speechrec.compiled import native
from speechrec.config import FeatureConfig
from speechrec.features import FrontEnd
from speechrec.placing import fit_clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="?", default=Path("data/speech_commands"))
    parser.add_argument("--files", type=int, default=1000)
    arguments = parser.parse_args()
    config = FeatureConfig()
    front_end = FrontEnd(config)
    differences = []
    for path in spread_out(wav_files(arguments.corpus), arguments.files):
        clip = fit_clip(read_audio(path, sample_rate_hz=config.sample_rate_hz), config)
        energy = librosa.feature.melspectrogram(
            y=clip, sr=config.sample_rate_hz, n_fft=config.window_samples,
            hop_length=config.hop_samples, n_mels=config.bands, fmin=config.low_hz,
            fmax=config.high_hz, center=False,
        )  # fmt: skip
        theirs = np.log(energy + config.log_offset)[:, : config.frames]
        differences.append(np.abs(front_end.clip(clip) - theirs.ravel()))
    found = np.array(differences)
    print(f"{len(found)} clips, {'compiled' if native else 'with numpy'}")
    print(f"largest difference {found.max():.2g}, median over clips of the largest of each "
          f"{np.median(found.max(axis=1)):.2g}, mean {found.mean():.2g}")  # fmt: skip


if __name__ == "__main__":
    main()
