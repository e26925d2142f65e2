"""The image verbs: glyphs and a user's files become episodes, a learner draws, what is wrong is said."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.applications.image import (
    define_meta_gpt_image_model,
    evaluate_image_model,
    generate_images,
    image_episodes,
    load_image_data,
    preprocess_image_data,
    preprocess_text_data,
)
from metagpt_tf.applications.image_kinds import IMAGE_KINDS
from metagpt_tf.datasets import load_images
from metagpt_tf.meta import FOMAML, MetaLearner
from metagpt_tf.models import ImageAutoencoder
from metagpt_tf.tokenizers.image_codes import text_to_codes

SHAPE = {"meta_batch_size": 2, "k_shot": 3, "n_query": 2, "num_batches": {"train": 2, "validation": 1, "test": 1}}
SIZES: dict[str, Any] = {"dim": 16, "num_heads": 2, "num_layers": 1, "hidden_dim": 32}


@pytest.fixture(scope="module")
def autoencoder() -> ImageAutoencoder:
    keras.utils.set_random_seed(0)
    return ImageAutoencoder(num_codes=16, code_dim=4, filters=8, num_blocks=1)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    """A few styles of each split."""
    images, texts = load_image_data()
    few = {split: list(tasks)[:3] for split, tasks in images.items()}
    return (
        {split: {name: images[split][name] for name in names} for split, names in few.items()},
        {split: {name: texts[split][name] for name in names} for split, names in few.items()},
    )


@pytest.mark.parametrize("task", list(IMAGE_KINDS))
def test_each_kind_becomes_episodes(task: str, data: Any, autoencoder: ImageAutoencoder) -> None:
    images, texts = data
    coded = preprocess_image_data(images, task, autoencoder)
    episodes = image_episodes(preprocess_text_data(texts), coded, autoencoder, **SHAPE)
    episode = next(iter(episodes["train"]))
    assert episode.support_y.shape == (2, 3, 50) and (episode.support_y.numpy() != 0).all()
    source = episodes["tasks"].tokenizer.decode(episode.support_x.numpy()[0, 0])
    assert source.startswith(("letter ", "digit ")) and (len(source) > 20) == (task != "generation")
    style = next(iter(images["meta_train"]))
    truth, given = coded.targets["meta_train"][style][6], coded.given["meta_train"][style][6]
    np.testing.assert_array_equal(text_to_codes(truth, (7, 7)), autoencoder.encode(images["meta_train"][style][6:7])[0])
    if task == "inpainting":
        assert given.count("_") == 9 and all(a in (b, "_") for a, b in zip(given, truth, strict=True))
    assert preprocess_image_data(images, task, autoencoder).given == coded.given  # the same seed


def test_fit_evaluate_draw(data: Any, autoencoder: ImageAutoencoder) -> None:
    images, texts = data
    episodes = image_episodes(
        preprocess_text_data(texts), preprocess_image_data(images, autoencoder=autoencoder), autoencoder, **SHAPE
    )
    learner = define_meta_gpt_image_model("nano", FOMAML(1, 0.1, scope="low_rank"), autoencoder=autoencoder, **SIZES)
    learner.model.compile("adam")
    learner.fit(episodes["train"], verbose=0)
    figures = evaluate_image_model(learner, episodes["test"], autoencoder, prompts=2, sampler="temperature", seed=0)
    for name in ("bits_per_code", "bits_per_pixel", "ssim", "whole"):
        assert np.isfinite(figures[name]) and np.isfinite(figures[f"pre_{name}"])
    assert figures["bits_per_pixel"] == pytest.approx(figures["bits_per_code"] * 49 / 784)
    support = next(iter(episodes["test"]))
    state = learner.adapt((support.support_x[0], support.support_y[0]))
    with pytest.warns(UserWarning, match="of 4 drawings lack codes"):  # it was hardly trained
        drawn = generate_images(
            learner, ["letter g", "digit 7"], state, samples=2, autoencoder=autoencoder, seed=1, sampler="temperature"
        )
    assert drawn.shape == (4, 28, 28, 1) and drawn.min() >= 0 and drawn.max() <= 1


def test_what_is_refused(data: Any, autoencoder: ImageAutoencoder) -> None:
    images, texts = data
    with pytest.raises(ValueError, match="Unknown image task 'in_painting'.*inpainting"):
        preprocess_image_data(images, "in_painting", autoencoder)
    with pytest.raises(ValueError, match="Description 1 of 'a' of 'meta_train' is ''"):
        preprocess_text_data({"meta_train": {"a": ["x", ""]}})
    with pytest.raises(ValueError, match="stand for codes"):
        preprocess_text_data({"meta_train": {"a": ["\ue001"]}})
    with pytest.raises(ValueError, match="Expected images"):
        preprocess_image_data({"meta_train": {"a": np.zeros((2, 20, 20, 1))}}, autoencoder=autoencoder)
    short = {split: {task: rows[:5] for task, rows in tasks.items()} for split, tasks in texts.items()}
    with pytest.raises(ValueError, match="5 descriptions and 62 images"):
        image_episodes(
            preprocess_text_data(short), preprocess_image_data(images, autoencoder=autoencoder), autoencoder, **SHAPE
        )
    with pytest.raises(ValueError, match="no other task there has 62 images"):
        preprocess_image_data(
            {"meta_train": {"a": images["meta_train"][next(iter(images["meta_train"]))]}}, "style_transfer", autoencoder
        )
    learner: MetaLearner = define_meta_gpt_image_model("nano", autoencoder=autoencoder, **SIZES)
    other = ImageAutoencoder(num_codes=8, code_dim=4, filters=8, num_blocks=1)
    with pytest.raises(ValueError, match="that the model was trained with"):
        generate_images(learner, "letter g", autoencoder=other)


def write(path: Path, shape: tuple[int, ...], dtype: Any = tf.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(tf.cast(tf.ones(shape) * 255, dtype)).numpy())


def test_a_users_own_images(tmp_path: Path) -> None:
    files = ("letter_g-1.png", "letter_g-2.png", "digit_0.png")
    for task in "abcd":
        for name in files:
            write(tmp_path / task / name, (28, 28, 1))
    (tmp_path / "a" / "captions.csv").write_text(
        "file,text\n" + "".join(f"{n},said\n" for n in ("letter_g-1.png", "letter_g-2.png", "digit_0.png"))
    )
    images, texts = load_images(tmp_path)
    found = {task: rows for tasks in texts.values() for task, rows in tasks.items()}
    assert found == {"a": ["said"] * 3, **{task: ["digit 0", "letter g", "letter g"] for task in "bcd"}}
    assert all(
        rows.shape == (3, 28, 28, 1) and rows.max() == 1.0 for tasks in images.values() for rows in tasks.values()
    )


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((20, 28, 1), "20 x 28, grey; expected 28 x 28, grey"),
        ((28, 28, 3), "28 x 28, RGB"),
        ((28, 28, 4), "4 channels"),
    ],
)
def test_images_of_another_kind(tmp_path: Path, shape: tuple[int, ...], words: str) -> None:
    for task in "abc":
        write(tmp_path / task / "x.png", shape)
    with pytest.raises(ValueError, match=words):
        load_images(tmp_path)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    for task in "abc":
        (tmp_path / task).mkdir()
    with pytest.raises(FileNotFoundError, match="holds no images"):
        load_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_images(tmp_path / "none")
    for task in "abc":
        (tmp_path / task / "x.png").write_bytes(b"\x89PNG and no more")
    with pytest.raises(ValueError, match=r"x\.png is no image"):
        load_images(tmp_path)
    for task in "abc":
        write(tmp_path / task / "-7.png", (28, 28, 1))
        (tmp_path / task / "x.png").unlink()
    with pytest.raises(ValueError, match=r"-7\.png has no description"):
        load_images(tmp_path)
    (tmp_path / "a" / "captions.csv").write_text("name,text\n")
    (tmp_path / "b" / "captions.csv").write_text("file,text\nother.png,x\n")
    (tmp_path / "c" / "captions.csv").write_text("file,text\n-7.png,x\n")
    with pytest.raises(ValueError, match=r"columns file and text, has name|does not describe -7\.png"):
        load_images(tmp_path)
