"""Drawings of held-out styles are judged fairly: the truth gets full marks, one style for all gets chance."""

from typing import Any

import keras
import numpy as np
import pytest

from metagpt_tf.applications.image import load_image_data
from metagpt_tf.applications.image_drawings import Drawings, draw_held_out, judge_drawings, warn_of_paper
from metagpt_tf.meta import FOMAML, MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder, MetaGPT
from metagpt_tf.plotting import contact_sheet

SIZES: dict[str, Any] = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 32}


@pytest.fixture(scope="module")
def held_out() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    images, texts = (part["meta_test"] for part in load_image_data())
    return dict(list(images.items())[::4]), texts


@pytest.fixture(scope="module")
def perfect(held_out: Any) -> Drawings:
    """Before: every style as the first one has it; after: as the style's own."""
    images, texts = held_out
    truth = np.concatenate(list(images.values()))
    each = len(next(iter(images.values())))
    first = np.concatenate([images[next(iter(images))]] * len(images))
    names = [text for style in images for text in texts[style]]
    coded = ImageAutoencoder.from_preset().predict(truth, verbose=0)
    support = np.stack([rows[:2] for rows in images.values()])
    task = np.repeat(np.arange(len(images)), each)
    whole = np.ones(len(task), bool)
    return Drawings(list(images), support, task, names, truth, coded, first, truth, whole, whole)


def test_the_judge_knows_styles_and_letters(perfect: Drawings) -> None:
    figures, chance = judge_drawings(perfect), 1 / len(perfect.styles)
    assert figures["style_accuracy_before"] == pytest.approx(chance, abs=0.01)
    assert figures["style_accuracy_after"] > 0.75 and figures["style_accuracy_coded"] > 0.7
    assert figures["letter_accuracy_after"] > 0.85
    assert figures["kernel_distance_after"] < 1e-3 * figures["kernel_distance_before"]
    assert figures["ssim_after"] > 0.9 > figures["ssim_before"]


def test_other_descriptions_cannot_be_read(perfect: Drawings) -> None:
    with pytest.raises(ValueError, match=r"reads letters and digits .* received 'a cat'"):
        judge_drawings(perfect._replace(texts=["a cat", *perfect.texts[1:]]))


def test_dark_ink_on_paper_is_noticed(held_out: Any, recwarn: Any) -> None:
    images = next(iter(held_out[0].values()))
    warn_of_paper(images)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"Invert them \(1 - images\)"):
        warn_of_paper(1.0 - images)


def test_a_learner_draws_what_it_was_not_shown(held_out: Any) -> None:
    keras.utils.set_random_seed(0)
    autoencoder = ImageAutoencoder(num_codes=16, code_dim=4, filters=8, num_blocks=1)
    drawing = Drawing(autoencoder)
    model = MetaGPT(tokenizer=drawing.tokenizer, source_length=16, target_length=50, **SIZES)
    learner = MetaLearner(model, FOMAML(2, 0.5))
    learner.compile()
    images, texts = ({name: part[name][:12] for name in list(held_out[0])[:2]} for part in held_out)
    options = {"k_shot": 4, "autoencoder": autoencoder}
    drawings = draw_held_out(learner, images, texts, **options)
    assert drawings.support.shape == (2, 4, 28, 28, 1) and drawings.after.shape == (16, 28, 28, 1)
    for number in range(2):
        seen = {picture.tobytes() for picture in drawings.support[number]}
        assert not seen & {picture.tobytes() for picture in drawings.truth[drawings.task == number]}
    assert np.abs(drawings.after - drawings.before).max() > 1e-3  # adapting changes what is drawn
    again = draw_held_out(learner, images, texts, **options)
    np.testing.assert_array_equal(again.after, drawings.after)
    guided = draw_held_out(learner, images, texts, guidance=5.0, **options)
    assert np.abs(guided.before - drawings.before).max() > 1e-3
    with pytest.raises(ValueError, match="12 images and 12 descriptions.*more than k_shot=12"):
        draw_held_out(learner, images, texts, k_shot=12, autoencoder=autoencoder)
    with pytest.raises(ValueError, match="guidance must be a finite number"):
        draw_held_out(learner, images, texts, guidance=-1.0, **options)


def test_a_contact_sheet_has_a_row_for_each_kind(perfect: Drawings) -> None:
    rows = {"learned from": perfect.support[0], "before": perfect.before[:5], "after": perfect.after[:5]}
    figure = contact_sheet({"$first": rows, "second": {"truth": perfect.truth[:3]}}, "styles")
    assert len(figure.axes) == 4 and {axes.images[0].get_array().shape for axes in figure.axes} == {(28, 140)}
    np.testing.assert_allclose(figure.axes[1].images[0].get_array()[:, 28:56], perfect.before[1, ..., 0])
    figure.canvas.draw()
    colours = contact_sheet({"a": {"b": np.zeros((2, 4, 4, 3))}})
    assert colours.axes[0].images[0].get_array().shape == (4, 8, 3)
    with pytest.raises(ValueError, match="rows of images"):
        contact_sheet({"a": {"b": np.zeros((2, 4, 4, 1)), "c": np.zeros((2, 5, 4, 1))}})
    with pytest.raises(ValueError, match="rows of images"):
        contact_sheet({})
