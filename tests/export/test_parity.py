"""The parity report, and that it can fail."""

import json

import keras
import pytest

from metagpt_tf.export import ParityReport, ParityRow, parity_report

from .conftest import support


def test_all_formats_agree(learner, saved_model, litert):
    report = parity_report(learner, saved_model, litert, support(learner.model))
    assert report.passed and report.max_difference <= 1e-4
    assert {(row.format, row.signature) for row in report.rows} == {
        (name, signature)
        for name in ("saved_model", "litert", "litert_no_delegate")
        for signature in ("adapt", "generate")
    }
    assert all(row.latency_ms > 0 and row.size_bytes > 0 for row in report.rows)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True
    assert "passed" in str(report)


def test_a_changed_model_is_noticed(saved_model, litert, learner):
    variable = learner.model.embedding.table
    before = keras.ops.convert_to_numpy(variable)
    variable.assign(before * 1.5)
    try:
        report = parity_report(learner, saved_model, litert, support(learner.model))
    finally:
        variable.assign(before)
    assert not report.passed
    assert "FAILED" in str(report)


def test_a_difference_that_is_no_number_fails():
    report = ParityReport([ParityRow("litert", "adapt", float("nan"), 1.0, 1)])
    assert report.max_difference == float("inf") and not report.passed


def test_a_model_that_generates_nothing(plain_learner, plain_support, tmp_path):
    from metagpt_tf.export import export_litert, export_saved_model

    saved_model = export_saved_model(plain_learner, tmp_path / "sm")
    litert = export_litert(plain_learner, tmp_path / "m.tflite", k_shot=4)
    report = parity_report(plain_learner, saved_model, litert, plain_support)
    assert report.passed
    assert {row.signature for row in report.rows} == {"adapt", "predict"}


def test_something_to_compare_is_needed(learner, saved_model):
    with pytest.raises(ValueError, match="saved_model=… or litert="):
        parity_report(learner)
    with pytest.raises(ValueError, match="support="):
        parity_report(learner, saved_model)
