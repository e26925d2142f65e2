"""The parity report, and that it can fail."""

import json
import logging
import shutil
import struct
import subprocess

import keras
import numpy as np
import pytest

from metagpt_tf.export import ParityReport, ParityRow, export_saved_model, parity_report
from metagpt_tf.export.differences import difference, first_difference
from metagpt_tf.export.parity import _differences
from metagpt_tf.export.parity_reference import Reference
from metagpt_tf.export.readers import READERS, Unreadable, c_api
from metagpt_tf.export.readers.base import definitions

from .conftest import small_learner, support

SIGNATURES = {
    *("serving_default", "generate", "sample", "score", "adapt", "adapt_text"),
    *("generate_adapted", "generate_adapted_ids", "sample_adapted", "score_adapted"),
}


@pytest.fixture(scope="module")
def writer():
    """A learner that has something to say, so that equal answers mean something."""
    learner = small_learner()
    learner.model.compile(keras.optimizers.Adam(1e-2), metrics=[])
    learner.model.fit(*(np.repeat(part, 8, axis=0) for part in support(learner.model)), epochs=40, verbose=0)
    return learner


@pytest.fixture(scope="module")
def written(writer, tmp_path_factory):
    return export_saved_model(writer, tmp_path_factory.mktemp("written"))


def test_all_formats_agree(learner, saved_model, litert):
    report = parity_report(learner, saved_model, litert, support(learner.model))
    assert report.passed and report.max_difference <= 1e-4
    found = {(row.format, row.signature) for row in report.rows}
    assert found == {("saved_model", name) for name in SIGNATURES} | {
        (name, signature) for name in ("litert", "litert_no_delegate") for signature in ("adapt", "generate")
    }
    assert all(row.latency_ms > 0 and row.size_bytes > 0 for row in report.rows)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True
    assert "passed" in str(report)


needs_a_compiler = pytest.mark.skipif(
    not any(map(shutil.which, c_api.COMPILERS)), reason=f"none of {', '.join(c_api.COMPILERS)} is installed"
)


@needs_a_compiler
def test_the_c_api_answers_as_keras_does(writer, written):
    some = ["adapt_text", "sample_adapted", "score"]
    report = parity_report(writer, written, support=support(writer.model), readers=["c_api"], signatures=some)
    assert report.passed, str(report)
    assert [row.signature for row in report.rows] == some


@needs_a_compiler
@pytest.mark.slow
def test_the_c_api_answers_every_signature(writer, written):
    report = parity_report(writer, written, support=support(writer.model), readers=["c_api"])
    assert report.passed, str(report)
    assert {row.signature for row in report.rows} == SIGNATURES


def test_openvino_answers_as_keras_does_where_it_can_read(writer, written):
    pytest.importorskip("openvino")
    ids, text = ["generate", "generate_adapted_ids"], ["serving_default"]
    root = logging.getLogger()
    before = root.level, [*root.filters], [*root.handlers]
    report = parity_report(writer, written, support=support(writer.model), readers=["openvino"], signatures=ids + text)
    assert report.passed, str(report)
    assert [row.signature for row in report.rows] == ids
    assert [name for _, name, _ in report.unreadable] == text and "DecodePaddedRaw" in report.unreadable[0][2]
    assert (root.level, root.filters, root.handlers) == before  # OpenVINO's own logging changes them


def test_answers_mean_something(writer, written):
    reference = Reference(writer, support(writer.model), None)
    texts = [reference.outputs_of(name)["text"] for name in ("generate_adapted", "sample_adapted")]
    assert list(texts[0]) == [b"ITEM 0", b"ITEM 1"] and all(texts[1])


def test_where_they_part_is_said(writer, written):
    before = writer.model.get_weights()
    writer.model.set_weights([weight * 0.2 for weight in before])
    try:
        report = parity_report(
            writer, written, support=support(writer.model), signatures=["generate", "serving_default"]
        )
    finally:
        writer.model.set_weights(before)
    ids, text = report.rows
    assert "token" in ids.first and "expected" in ids.first and ids.first in str(report)
    assert "byte" in text.first


def test_unknown_names(learner, saved_model):
    with pytest.raises(ValueError, match="Unknown reader 'c'.*c_api"):
        parity_report(learner, saved_model, support=support(learner.model), readers=["c"])
    with pytest.raises(ValueError, match="Unknown signature 'adapted'.*adapt"):
        parity_report(learner, saved_model, support=support(learner.model), signatures=["adapted"])


def test_a_reader_that_cannot_work_says_why(saved_model, monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no saved_model.pb"):
        READERS["c_api"](tmp_path)
    monkeypatch.setattr(c_api, "COMPILERS", ("no-such-compiler",))
    c_api.program.cache_clear()
    with pytest.raises(Unreadable, match="no C compiler: none of no-such-compiler"):
        READERS["c_api"](saved_model)


@needs_a_compiler
def test_the_c_program_refuses_what_is_no_request(saved_model):
    wrong = {"usage": [], "ends too early": [saved_model, "0", "none:0"], "/no": ["/no", "0", "a:0"]}
    for words, arguments in wrong.items():
        done = subprocess.run([c_api.program(), *arguments], input=b"", capture_output=True, timeout=60, check=False)
        assert done.returncode == 1 and words in done.stderr.decode()


@needs_a_compiler
@pytest.mark.parametrize(
    ("kind", "sizes", "words"),
    [(7, [0x0AAAAAAAAAAAAAAB], "too large"), (3, [-1], "impossible"), (3, [2**62, 8], "impossible"), (20, [1], "type")],
)
def test_the_c_program_refuses_impossible_tensors(saved_model, kind, sizes, words):
    name = definitions(saved_model)["generate"].inputs["source"].name.encode()
    tensor = struct.pack(f"=II{len(name)}sII{len(sizes)}q", 1, len(name), name, kind, len(sizes), *sizes)
    command = [c_api.program(), saved_model, "0", "none:0"]
    done = subprocess.run(command, input=tensor, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and words in done.stderr.decode()


def test_an_export_of_something_else(learner, tmp_path):
    bare = export_saved_model(learner.model, tmp_path)
    with pytest.raises(ValueError, match="lacks the signatures adapt, adapt_text.*besides none"):
        parity_report(learner, bare, support=support(learner.model))


def test_types_of_numpy_are_those_of_the_file(plain_learner, plain_support, tmp_path):
    wide = tuple(part.astype("float64") for part in plain_support)
    assert parity_report(plain_learner, export_saved_model(plain_learner, tmp_path), support=wide).passed


def test_first_differences():
    assert first_difference(np.array([[1, 2]]), np.array([[1, 300]]), {2: "b", 300: ""}.get) == (
        "row 0, token 1: 300, expected 2 'b'"
    )
    assert first_difference(np.array(3), np.array(4)) == "all: 4 '4', expected 3 '3'"
    assert first_difference(np.array([True]), np.array([False])) == "row 0: 0 '0', expected 1 '1'"
    assert first_difference(np.array([b"abc"], object), np.array([b"abd"], object)) == (
        "row 0, byte 2: b'abd', expected b'abc'"
    )
    assert first_difference(np.zeros(2, int), np.zeros(3, int)) == "shape (3,), expected (2,)"
    assert difference(np.zeros(2), np.zeros(3)) == float("inf")


def test_an_answer_that_is_no_number_is_no_small_difference():
    far, _ = _differences({"output": np.zeros(2, "float32")}, {"output": np.full(2, np.nan, "float32")}, str)
    assert not far <= 1e-3
    row = ParityRow("litert", "score", far, 1.0, 1)
    assert not ParityReport([row], 1e-3).passed


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
    assert {row.signature for row in report.rows if row.format == "litert"} == {"adapt", "predict"}
    assert {row.signature for row in report.rows if row.format == "saved_model"} == {
        *("serving_default", "score", "adapt", "predict_adapted", "score_adapted")
    }


def test_something_to_compare_is_needed(learner, saved_model):
    with pytest.raises(ValueError, match="saved_model=… or litert="):
        parity_report(learner)
    with pytest.raises(ValueError, match="support="):
        parity_report(learner, saved_model)
