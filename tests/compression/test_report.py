"""The report measures the file itself, and says what is left of adapting."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.compression import CompressionReport, compression_report
from metagpt_tf.compression.report import Row, first_state, inner_steps, timings
from metagpt_tf.meta import AdaptationCurve, MetaLearner
from metagpt_tf.meta.episodes import as_episode

from .conftest import K


@pytest.fixture(scope="module")
def report(text_learner, held_out, tmp_path_factory):
    variants = {"float": text_learner, "int8": (text_learner, "weight_int8")}
    return compression_report(variants, held_out, steps=3, folder=tmp_path_factory.mktemp("files"), repeats=3)


def test_the_file_is_measured_as_keras_is(report, text_learner, held_out):
    with inner_steps(text_learner, 3):
        curve = AdaptationCurve(text_learner, (0, 3))(held_out).mean(axis=0) / np.log(2)
    assert [report.rows[0].before, report.rows[0].after] == pytest.approx(curve.tolist(), abs=1e-4)
    assert report.rows[0].gain_kept == pytest.approx(1.0)
    assert text_learner.algorithm.inner_steps == 2 and report.steps == 3 and report.k_shot == K


def test_integers_are_smaller_and_nearly_as_good(report):
    ratios = report.ratios("int8")
    assert ratios["bytes"] < 0.9 and ratios["after"] == pytest.approx(1.0, abs=0.02)
    for row in report.rows:
        assert 0 < row.latency_ms_p50 <= row.latency_ms_p95 and row.peak_mb > 0 and row.gzip_bytes < row.bytes


def test_before_is_of_the_weights_that_are_stored(text_learner):
    """A state of scope "all" stands for every weight: what a file of integers begins with is not the original."""
    layout = MetaLearner(text_learner.model, "maml").layout
    kernel = next(i for i, v in enumerate(layout.variables) if v.path.endswith("up/kernel"))
    learner = SimpleNamespace(layout=layout)
    for quantization, values in (("weight_int4", 15), ("float32", 10**9)):
        weight = layout.unpack(tf.constant(first_state(learner, quantization)))[kernel].numpy()
        assert len(np.unique(weight[:, 0])) <= values
        assert (quantization == "float32") == np.array_equal(weight, layout.variables[kernel].numpy())


def test_as_text_and_as_json(report):
    lines = str(report).splitlines()
    assert len(lines) == 3 and lines[1].startswith("float") and "gain_kept" in lines[0]
    assert json.loads(json.dumps(report.to_dict()))["rows"][1]["variant"] == "int8"


def test_ratios_are_to_the_first():
    fields = dict.fromkeys(Row.__dataclass_fields__, 2.0)
    rows = [Row(**{**fields, "variant": "a"}), Row(**{**fields, "variant": "b", "bytes": 1, "after": 3.0})]
    assert CompressionReport(rows, 1, 1).ratios("b") == {
        "bytes": 0.5,
        "gzip_bytes": 1.0,
        "latency_ms_p50": 1.0,
        "after": 1.5,
    }


def test_nothing_to_measure(text_learner, held_out):
    with pytest.raises(ValueError, match="received 0 and 2"):
        compression_report({}, held_out)


def test_other_numbers_of_queries(text_learner, text_tasks):
    episodes = text_tasks.split("meta_test").every_task(K, K + 1, 2)
    with pytest.raises(ValueError, match="4 queries and K = 3"):
        compression_report({"float": text_learner}, episodes)


def test_a_file_that_does_not_run(tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    with pytest.raises(RuntimeError, match="does not run"):
        timings(tmp_path / "bad.tflite")


def test_the_loss_of_a_file(text_learner, held_out, tmp_path):
    from metagpt_tf.export import export_litert
    from metagpt_tf.export.runner import LiteRTRunner

    runner = LiteRTRunner(export_litert(text_learner, tmp_path / "m.tflite", K, with_loss=True))
    episode = as_episode([np.asarray(part)[0] for part in next(iter(held_out))])
    state = runner.adapt(episode.support_x, episode.support_y)
    expected = text_learner.adapted(state).loss(text_learner.task_loss, episode.query_x, episode.query_y)
    assert runner.loss(episode.query_x, episode.query_y, state) == pytest.approx(expected, abs=1e-5)
