"""Wrong input is refused with a message that names what was given, what was expected and how to mend it."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.fast_weights import FastWeights, State
from metagpt_tf.generation import Beam
from metagpt_tf.models import MetaGPT

from .conftest import SIZES, make_writer

GOOD = np.full((2, 4), 7, "int32")


@pytest.fixture(scope="module")
def compiled() -> MetaGPT:
    model = make_writer()
    model.compile("sgd")
    return model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 30, "num_heads": 4}, "width 30 .* not divisible by num_heads=4"),
        ({"dim": 0}, "MetaGPT: expected dim to be an integer >= 1, received 0"),
        ({"source_length": 0}, "expected source_length to be an integer >= 1"),
        ({"target_length": 2.5}, "expected target_length to be an integer >= 1, received 2.5"),
        ({"num_layers": 0}, "expected num_layers to be an integer >= 1"),
        ({"hidden_dim": -1}, "expected hidden_dim to be an integer >= 1"),
        ({"low_rank": -1}, "expected low_rank to be an integer >= 0"),
        ({"context_tokens": None}, "expected context_tokens to be an integer >= 0, received None"),
        ({"dropout": 1.0}, r"expected dropout to be in \[0, 1\)"),
        ({"norm": "rms"}, "unknown norm 'rms'"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"positions": "sinus"}, "unknown positions 'sinus'. Did you mean 'sinusoidal'"),
        ({"tokenizer": "byte"}, "Unknown tokenizer 'byte'. Did you mean 'bytes'"),
        ({"widht": 3}, "Unrecognized keyword arguments passed to MetaGPT: {'widht': 3}"),
    ],
    ids=str,
)
def test_constructor(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        MetaGPT(**{**SIZES, **arguments})


@pytest.mark.parametrize(("name", "near"), [("tinny", "tiny"), ("Nano", "nano"), ("smal", "small")])
def test_unknown_preset_suggests_a_known_one(name: str, near: str):
    known = "base, code_nano, image_nano, nano, small, text_nano, tiny"
    with pytest.raises(ValueError, match=f"Unknown preset '{name}'. Did you mean '{near}'.*{known}"):
        MetaGPT.from_preset(name)


@pytest.mark.parametrize("inputs", [GOOD, (GOOD,), (GOOD, GOOD, GOOD)], ids=["array", "one", "three"])
def test_a_call_needs_a_pair(writer, inputs):
    with pytest.raises(ValueError, match=r"called with \(source \(B, S\), decoder_input \(B, T\)\).*training_inputs"):
        writer(inputs)


BAD_IDS = {
    "rank": (GOOD[0], r"received shape \(4,\), dtype int32"),
    "float": (GOOD.astype("float32"), r"received shape \(2, 4\), dtype float32.*tokenizer.pack"),
    "text": (np.array([["a", "b"]]), "dtype <U1"),
    "long": (np.ones((2, 25), "int32"), r"received shape \(2, 25\). Shorten the source.*source_length=25"),
    "large": (np.full((2, 4), 259, "int32"), r"each in \[0, 259\); received values from 259 to 259.*tokenizer"),
    "negative": (np.array([[3, -1]], "int32"), "received values from -1 to 3"),
}


@pytest.mark.parametrize(("source", "message"), BAD_IDS.values(), ids=BAD_IDS)
@pytest.mark.parametrize("verb", ["fit", "evaluate", "validation"])
def test_source_ids(compiled, source: np.ndarray, message: str, verb: str):
    with pytest.raises(ValueError, match=f"Expected source as integer token ids .*{message}"):
        if verb == "validation":
            compiled.fit(GOOD, GOOD, validation_data=(source, GOOD), verbose=0)
        else:
            getattr(compiled, verb)(source, GOOD, verbose=0)


def test_target_ids(compiled):
    with pytest.raises(ValueError, match=r"Expected target .*length <= 20.*\(2, 21\).*target_length=21"):
        compiled.fit(GOOD, np.ones((2, 21), "int32"), verbose=0)
    with pytest.raises(ValueError, match="Expected target .* received values from 300 to 300"):
        compiled.fit(tf.constant(GOOD), np.full((2, 4), 300, "int32"), verbose=0)


@pytest.mark.parametrize("data", [GOOD, (GOOD, GOOD), [GOOD, GOOD], tf.constant(GOOD)], ids=lambda x: type(x).__name__)
def test_no_target(compiled, data):
    with pytest.raises(ValueError, match=r"trained on \(source, target\).* no target. Call fit\(source, target\)"):
        compiled.fit(data, verbose=0)


def test_training_before_compiling(writer):
    with pytest.raises(ValueError, match=r"call `compile\(\)` before"):
        writer.fit(GOOD, GOOD, verbose=0)


@pytest.mark.parametrize("prompt", [[], 7, ["a", 3], None, b"bytes"], ids=str)
def test_no_text(writer, prompt):
    with pytest.raises((ValueError, TypeError), match="a string or a non-empty list of strings, received"):
        writer.generate(prompt)


@pytest.mark.parametrize("length", [0, -1, 21, 2.5, "4"])
def test_impossible_length(writer, length):
    message = f"integer between 1 and the model's target_length=20, received {length!r}.*larger target_length"
    with pytest.raises(ValueError, match=message):
        writer.generate("a", max_length=length)


@pytest.mark.parametrize(("name", "near"), [("gready", "greedy"), ("topk", "top_k"), ("beem", "beam")])
def test_unknown_sampler_suggests_a_known_one(writer, name: str, near: str):
    with pytest.raises(ValueError, match=f"Unknown sampler '{name}'. Did you mean '{near}'"):
        writer.generate("a", sampler=name)


def test_no_sampler(writer):
    with pytest.raises(TypeError, match="Expected sampler: a name .* Received 3 of type int"):
        writer.generate("a", sampler=3)


@pytest.mark.parametrize("stop", [[""], "", ["a", 3], [b"x"]], ids=str)
def test_stop_must_say_something(writer, stop):
    with pytest.raises(ValueError, match="stop must be a non-empty string or a sequence of them, received"):
        writer.generate("a", stop=stop)


def test_seed_must_be_an_integer(writer):
    with pytest.raises(ValueError, match="seed must be an integer or None, received 1.5 of type float"):
        writer.generate("a", sampler="top_k", seed=1.5)


def test_streams_of_many_or_of_a_beam(writer):
    with pytest.raises(ValueError, match="one prompt at a time, received 2"):
        writer.generate(["a", "b"], stream=True)
    with pytest.raises(ValueError, match=r"Beam.* cannot stream"):
        writer.generate("a", sampler=Beam(2), stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_states(writer, stream: bool):
    size = FastWeights(writer, "head").size
    for state, message in [
        (State.of(np.zeros(5), "head"), rf"scope 'head' .* has shape \({size},\); received \(5,\)"),
        (State.of(np.zeros((1, size)), "head"), rf"received \(1, {size}\)"),
        (State.of(np.full(size, np.nan), "head"), f"holds {size} values that are not finite"),
        (State.of(np.zeros(size), "haed"), "Scope 'haed' picks no variable .*Did you mean 'head'"),
        (np.zeros(size, "float32"), rf"state of shape \({size},\) does not say which scope"),
    ]:
        with pytest.raises(ValueError, match=message):
            writer.generate("a", state=state, stream=stream)


def test_state_for_a_model_without_such_weights():
    model = MetaGPT(**SIZES, low_rank=0, context_tokens=0)
    with pytest.raises(ValueError, match=r"low-rank adapters, e.g. MetaGPT\(low_rank=4\)"):
        model.generate("a", state=State.of(np.zeros(5), "low_rank"))
    with pytest.raises(ValueError, match="head: ") as caught:
        model.generate("a", state=np.zeros(5))
    assert "low_rank" not in str(caught.value) and "context" not in str(caught.value)
