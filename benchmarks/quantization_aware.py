"""Does training that expects rounding pay? Error of integer files, against rounding after as much training.

A small regression (a sine), trained to its end, then trained on for as many steps with rounding and without; both are
written as files of integer arithmetic, and the files' own errors are read. Weights of 8 bits, and of 4 (which the file
holds in 8, on the grid of 4).
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from machine import describe, sentence
from rounds import require_product, table, write_json
from seeds import interval, use_threads

UNROUNDED, ROUNDED_AFTER, AWARE = "not rounded", "rounded after training", "trained for rounding"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=5000, help="of the first training")
    add("--further", type=int, default=1500, help="of the second one, with rounding and without")
    add("--rate", type=float, default=1e-3, help="peak rate of the second one")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--threads", type=int, default=0, help="threads of TensorFlow; 0 for its own choice")
    add("--json", metavar="PATH", help="write the results there")
    return parser.parse_args()


def main() -> None:
    options = parse()
    require_product()
    use_threads(options.threads)
    machine = describe()
    print(sentence(machine))
    runs = [one_run(options, seed) for seed in options.seeds]
    results: dict[str, Any] = {}
    for name in runs[0]:
        mean, half = interval([run[name] for run in runs])
        results[name] = {"mean": mean, "low": mean - half, "high": mean + half, "runs": [run[name] for run in runs]}
    rows = [[name, f"{1e4 * r['mean']:.2f} ± {1e4 * (r['high'] - r['mean']):.2f}"] for name, r in results.items()]
    table(["mean squared error of a file, 1e-4", ""], rows)
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    write_json(
        options.json, {"benchmark": "quantization_aware", "machine": machine, "settings": settings, "results": results}
    )


def one_run(options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Errors of one seed's files."""
    from metagpt_tf.compression import train_for_quantization
    from metagpt_tf.compression.copies import copy_of
    from metagpt_tf.compression.recovery import recover
    from metagpt_tf.export.weight_quantization import rounded

    keras.utils.set_random_seed(seed)
    model, data, x = sine(options.steps, seed)
    plain = copy_of(model, adam(options.rate, options.further))
    recover(plain, data, options.further)
    errors = {UNROUNDED: float(np.mean((plain(x).numpy() - np.sin(x)) ** 2))}
    for bits in (8, 4):
        after = copy_of(plain)
        after.set_weights([rounded(weight, bits) for weight in plain.get_weights()])
        aware = train_for_quantization(
            model, data, bits, options.further, optimizer=adam(options.rate, options.further)
        )
        for name, subject in ((ROUNDED_AFTER, after), (AWARE, aware)):
            errors[f"{bits} bits, {name}"] = error_of_file(subject, data, x)
    print(f"  seed {seed}: " + ", ".join(f"{name} {1e4 * error:.2f}" for name, error in errors.items()), flush=True)
    return errors


def adam(peak: float, steps: int) -> keras.optimizers.Optimizer:
    """Adam with an annealed rate."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(peak, steps))


def sine(steps: int, seed: int) -> tuple[keras.Model, tf.data.Dataset, np.ndarray]:
    """A model of projections that has learned a sine, and its data."""
    from metagpt_tf.layers import Projection

    layers = [keras.Input((1,)), Projection(24), keras.layers.Activation("tanh"), Projection(24)]
    model = keras.Sequential([*layers, keras.layers.Activation("tanh"), Projection(1)])
    model.compile(adam(1e-2, steps), "mse")
    x = np.linspace(-5, 5, 512, dtype="float32")[:, None]
    data = tf.data.Dataset.from_tensor_slices((x, np.sin(x))).shuffle(512, seed=seed).batch(64)
    model.fit(data.repeat(), epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model, data, x


def error_of_file(model: keras.Model, data: tf.data.Dataset, x: np.ndarray) -> float:
    """Mean squared error of the model as a file of integer arithmetic."""
    from ai_edge_litert.interpreter import Interpreter

    from metagpt_tf.compression import quantize

    episodes = data.map(lambda x, y: (x[None, :32], y[None, :32], x[None, 32:], y[None, 32:]))
    with tempfile.TemporaryDirectory() as folder:
        predict = Interpreter(str(quantize(model, Path(folder) / "int8.tflite", "int8", episodes)))
        answer = predict.get_signature_runner("predict")
        return float(np.mean([(answer(x=row[None])["output"] - np.sin(row)) ** 2 for row in x]))


if __name__ == "__main__":
    main()
