"""Whatever is sent, the server answers: with what was asked for or with an error, and goes on."""

import json

import numpy as np
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from metagpt_tf.export.client import InvalidRequest

from .conftest import SOURCES, TARGETS

PROFILE = {"max_examples": 60, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = some.sampled_from(["serving_default", "sample", "adapt", "adapt_text", "generate_adapted", "score", "generate"])
INPUTS = some.dictionaries(some.sampled_from(["text", "source", "target", "state", "prompt", "seed"]), JSON, max_size=4)
FORMS = some.sampled_from(["inputs", "instances"])


@settings(**PROFILE)
@given(name=NAMES, form=FORMS, value=INPUTS | JSON)
def test_any_json(server, learner, name, form, value):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/model:predict"
    body = json.dumps({"signature_name": name, form: value})
    answer = requests.post(url, data=body, timeout=30)
    assert answer.status_code in (200, 400) and isinstance(answer.json(), dict)


@settings(**PROFILE)
@given(prompt=some.text(max_size=40))
def test_any_prompt(rest, learner, prompt):
    text = rest.answer([prompt])[0]
    text.encode()  # whole characters only


@settings(**PROFILE)
@given(values=some.lists(some.floats(width=32), min_size=1, max_size=5), place=some.integers(0, 300))
def test_any_state(rest, learner, values, place):
    state = np.array(learner.layout.initial_state())
    state[place : place + len(values)] = values[: len(state) - place]
    try:
        scores = rest.score(SOURCES, TARGETS, state)
    except InvalidRequest as error:
        assert not np.isfinite(state).all() and "not finite" in str(error)
    else:
        assert np.isfinite(state).all() and scores.shape == (4,)
