"""Write speechrec/mel.npy: librosa's mel filterbank for the default front end.

python scripts/mel_filterbank.py
"""

from pathlib import Path

import numpy as np

import speechrec
from speechrec.config import FeatureConfig
from speechrec.features import librosa_filterbank

if __name__ == "__main__":
    target = Path(speechrec.__file__).parent / "mel.npy"
    np.save(target, librosa_filterbank(FeatureConfig()), allow_pickle=False)
    print(f"wrote {target}")
