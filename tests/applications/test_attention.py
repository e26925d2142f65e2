"""Attention drawn: the right map, the right labels."""

import numpy as np
import pytest

from metagpt_tf.applications.attention import plot_attention
from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import MetaGPT, attention_maps
from metagpt_tf.plotting import attention_figure


@pytest.fixture(scope="module")
def model() -> MetaGPT:
    return MetaGPT(source_length=12, target_length=8, dim=8, num_heads=2, num_layers=2, context_tokens=1)


def labels(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_the_last_cross_attention_by_default(model: MetaGPT, tmp_path) -> None:
    figure = plot_attention(model, "a $b", "cd")
    weights = attention_maps(model, "a $b", "cd")["decoder/1/cross"]
    panels = figure.axes[:2]
    for head, axes in enumerate(panels):
        np.testing.assert_allclose(axes.images[0].get_array(), weights[head], rtol=1e-6)
    assert labels(panels[0].xaxis) == ["a", "␣", "$", "b", "<eos>", "<context 0>"]
    assert labels(panels[0].yaxis) == ["<bos>", "c", "d"]
    figure.savefig(tmp_path / "attention.png")
    assert (tmp_path / "attention.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("name", "columns"), [("encoder/0/self", 4), ("decoder/0/self", 3)])
def test_self_attention(model: MetaGPT, name: str, columns: int) -> None:
    axes = plot_attention(model, "ab", "cd", name=name).axes[0]
    assert len(labels(axes.xaxis)) == len(labels(axes.yaxis)) == columns


def test_a_learner_explains_what_it_writes_itself(model: MetaGPT) -> None:
    figure = plot_attention(MetaLearner(model, "fomaml"), "abc")
    assert labels(figure.axes[0].yaxis)[0] == "<bos>"


def test_bad_input(model: MetaGPT) -> None:
    with pytest.raises(ValueError, match="Did you mean 'decoder/0/cross'"):
        plot_attention(model, "a", "b", name="decoder/0/crosss")
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\), expected .* with 4 rows and 3 columns"):
        attention_figure(np.zeros((2, 3, 4)), list("abc"), list("abcd"))
    with pytest.raises(ValueError, match="expected"):
        attention_figure(np.zeros((3, 4)), list("abcd"), list("abc"))
