"""A network with its optimiser: AdamW whose rate rises, then falls along a cosine."""

import keras
import numpy as np

from speechrec.model import band_statistics, build_model
from speechrec.store import FeatureSet
from speechrec.train_config import ModelConfig, TrainConfig


def compiled(training: FeatureSet, model_config: ModelConfig, config: TrainConfig) -> keras.Model:
    """An untrained network with its optimiser."""
    statistics = None
    if model_config.standardise:
        statistics = band_statistics(
            training.x, bands=training.config.bands, remove_level=model_config.remove_level
        )
    model = build_model(
        model_config,
        len(training.labels),
        shape=(training.config.bands, training.config.frames),
        statistics=statistics,
    )
    _compile(model, training, config)
    return model


def _compile(model: keras.Model, training: FeatureSet, config: TrainConfig) -> None:
    steps = config.epochs * epoch_steps(training, config)
    optimizer = keras.optimizers.AdamW(_rate(config, steps), weight_decay=config.weight_decay)
    # Only what multiplies is pulled towards zero.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])


def recompile(model: keras.Model, training: FeatureSet, config: TrainConfig) -> None:
    """Compile a loaded model again: Keras does not save what is spared from weight decay."""
    state = [np.asarray(variable) for variable in model.optimizer.variables]
    _compile(model, training, config)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        variable.assign(value)


def epoch_steps(training: FeatureSet, config: TrainConfig) -> int:
    """Batches of an epoch."""
    return -(-len(training) * training.views // config.batch_size)


def _rate(
    config: TrainConfig, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if config.schedule == "constant":
        return config.learning_rate
    warmup = round(config.warmup_share * steps)
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=config.learning_rate, warmup_steps=warmup
    )
