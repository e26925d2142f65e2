"""What every public layer must do, whatever it computes."""

import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf import layers
from metagpt_tf.layers import shared_weight_layout

from .cases import CASES, IDS, Case, built, randomise, values
from .processes import run_python

# Gradients of these have no LiteRT form, or store a weight twice (see `shared_weight_layout`).
UNWANTED = {"ReluGrad", "StridedSliceGrad", "Erfc", "MatMul", "BroadcastGradientArgs"}

# Wraps Keras's own recurrent cells, whose products are as they are: tests/layers/test_initial_state.py.
# The codes move in the forward pass and no task adapts them: tests/layers/test_vector_quantizer.py.
EXEMPT = {layers.InitialState, layers.VectorQuantizer}

LOAD = """
import json, pathlib, sys
import keras, metagpt_tf.layers
import numpy as np
difference = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    data = np.load(path.with_suffix(".npz"))
    inputs = [data[f"arr_{i}"] for i in range(len(data.files) - 1)]
    output = keras.models.load_model(path)(inputs)
    difference[path.stem] = float(np.abs(output.numpy() - data["output"]).max())
sys.stdout.write(json.dumps(difference))
"""


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_no_public_layer_is_left_out():
    public = {getattr(layers, name) for name in layers.__all__}
    classes = {entry for entry in public if inspect.isclass(entry) and issubclass(entry, keras.layers.Layer)}
    assert classes - EXEMPT == {case.layer for case in CASES.values()}


def test_config_round_trip(case: Case):
    layer = built(case, name="some", trainable=False)
    config = json.loads(json.dumps(layer.get_config()))
    assert {name: config[name] for name in case.arguments} == {**case.arguments, **initializer(config, case)}
    assert set(inspect.signature(case.layer).parameters) - {"kwargs"} <= set(config)
    twin = case.layer.from_config(config)
    assert (twin.name, twin.trainable, twin.get_config()) == ("some", False, layer.get_config())
    case.call(twin)
    assert [w.path for w in twin.weights] == [w.path for w in layer.weights]
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(values(case.call(twin)), values(case.call(layer)))


def initializer(config: dict, case: Case) -> dict:
    """An initializer comes back as the config of the object that its name stood for."""
    if "kernel_initializer" not in case.arguments:
        return {}
    assert config["kernel_initializer"]["class_name"] == "HeNormal"
    return {"kernel_initializer": config["kernel_initializer"]}


def test_serialized_object_round_trip(case: Case):
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(case.make()))
    assert type(twin) is case.layer


def test_keras_files_load_in_a_new_process(tmp_path: Path):
    """One process for all of them: starting TensorFlow costs more than all layers together."""
    for name, case in CASES.items():
        model = randomise(case.model())
        output = values(model(list(case.tensors)))
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", *case.tensors, output=output)
    done = run_python(LOAD, str(tmp_path))
    assert done.returncode == 0, done.stderr
    difference = json.loads(done.stdout)
    assert set(difference) == set(CASES)
    assert {name: d for name, d in difference.items() if d > 1e-6} == {}


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(case: Case, policy: str):
    layer, exact = built(case, dtype=policy), built(case)
    output = case.call(layer)
    expected = "float32" if case.layer is layers.TokenHead else layer.compute_dtype
    assert keras.backend.standardize_dtype(output.dtype) == expected
    assert {w.dtype for w in layer.weights} <= {"float32"}
    assert np.isfinite(values(output)).all()
    np.testing.assert_allclose(values(output), values(case.call(exact)), atol=0.15, rtol=0.1)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_output_is_what_was_announced(case: Case, policy: str):
    layer = case.make(dtype=policy)
    output = case.call(layer)
    assert layer.compute_output_shape(*[t.shape for t in case.tensors]) == tuple(output.shape)
    symbolic = case.model(dtype=policy).output
    assert symbolic.shape[1:] == tuple(output.shape[1:])
    assert symbolic.dtype == keras.backend.standardize_dtype(output.dtype)


def test_weights_are_determined_by_the_seed(case: Case):
    def weights(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        layer = case.make()
        case.call(layer)
        return layer.get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    drawn = [not np.allclose(a, a.flat[0]) for a in first]  # not those that start at zero or one
    assert all((a != b).any() for a, b, d in zip(first, other, drawn, strict=True) if d)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.has_dropout])
def test_dropout_is_determined_by_the_seed(name: str):
    case = CASES[name]

    def outputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
        keras.utils.set_random_seed(seed)
        layer = built(case)
        return values(case.call(layer, training=True)), values(case.call(layer))

    (first, plain), (again, _), (other, other_plain) = outputs(1), outputs(1), outputs(2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != plain).any()
    np.testing.assert_array_equal(plain, other_plain)


def forward_and_gradient(layer: keras.layers.Layer, case: Case) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        output = case.call(layer)
        loss = tf.reduce_sum(tf.sin(tf.cast(output, tf.float32)))
    gradients = tape.gradient(loss, [w.value for w in layer.trainable_weights])
    assert all(g is not None for g in gradients)
    return [values(output), *[values(tf.convert_to_tensor(g)) for g in gradients]]


def test_shared_weight_layout_gives_the_same_numbers(case: Case):
    layer = built(case)
    plain = forward_and_gradient(layer, case)
    with shared_weight_layout():
        shared = forward_and_gradient(layer, case)
    for a, b in zip(plain, shared, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)


def test_graph_with_gradients_has_only_operations_that_convert(case: Case):
    """Static shapes and the shared layout, as `export_litert` traces them."""
    layer = built(case)

    def step(*tensors: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            floats = [t for t in tensors if t.dtype.is_floating]
            tape.watch(floats)
            loss = tf.reduce_sum(layer(*tensors, **case.options) ** 2)
        return [g for g in tape.gradient(loss, [*floats, *[w.value for w in layer.trainable_weights]]) if g is not None]

    specs = [tf.TensorSpec(t.shape, t.dtype) for t in case.tensors]
    with shared_weight_layout():
        graph = tf.function(step, autograph=False).get_concrete_function(*specs).graph
    assert {operation.type for operation in graph.get_operations()} & UNWANTED == set()


def test_dynamic_shapes_give_the_same_numbers(case: Case):
    layer = built(case)
    dynamic = {3: lambda t: (None, None, t.shape[-1])}  # rank 2: the embedding's ids, the head's table
    if case.tensors[0] is IDS:
        dynamic[2] = lambda t: (None, None)
    specs = [tf.TensorSpec(dynamic.get(t.ndim, np.shape)(t), t.dtype) for t in case.tensors]
    run = tf.function(lambda *tensors: layer(*tensors, **case.options), input_signature=specs, autograph=False)
    np.testing.assert_allclose(values(run(*case.tensors)), values(case.call(layer)), atol=1e-6)
