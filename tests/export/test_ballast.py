"""Files without what nobody reads."""

import numpy as np
import pytest

from metagpt_tf.export import LiteRTRunner, export_litert
from metagpt_tf.export.ballast import without_signature

from .conftest import K, small_learner, support


def test_a_signature_leaves_without_a_trace(tmp_path):
    learner = small_learner("all")
    slim = export_litert(learner, tmp_path / "slim.tflite", k_shot=K)
    whole = export_litert(learner, tmp_path / "whole.tflite", k_shot=K, with_loss=True)
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(without_signature(whole.read_bytes(), "loss"))
    assert (
        cut.stat().st_size == pytest.approx(slim.stat().st_size, rel=0.01) and cut.stat().st_size < whole.stat().st_size
    )
    x, y = support(learner.model)
    for delegates in (True, False):
        runners = [LiteRTRunner(path, delegates=delegates) for path in (slim, cut)]
        states = [runner.adapt(x, y) for runner in runners]
        np.testing.assert_allclose(*states, atol=1e-6)
        np.testing.assert_array_equal(*(runner.generate(x[:1], states[0]) for runner in runners))
    with pytest.raises(ValueError, match="no signature 'loss', but adapt, generate"):
        without_signature(cut.read_bytes(), "loss")
