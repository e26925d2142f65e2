"""Figures are returned, not shown."""

import numpy as np
import pytest

from metagpt_tf.plotting import adaptation_figure


def test_a_line_for_each_model(tmp_path):
    curves = {"a": np.array([[3.0, 2.0], [4.0, 1.0]]), "b": np.array([[3.0, 3.0]])}
    figure = adaptation_figure((0, 1), curves)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.get_lines()] == ["a", "b"]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), [3.5, 1.5])
    figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_columns_must_be_steps():
    with pytest.raises(ValueError, match=r"must have shape \(tasks, 2\), received \(1, 3\)"):
        adaptation_figure((0, 1), {"a": np.zeros((1, 3))})
