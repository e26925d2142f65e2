"""The image verbs: glyphs and a user's files become episodes, a learner draws, what is wrong is said."""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.applications.image import (
    adapt_to_images,
    define_meta_gpt_image_model,
    evaluate_image_model,
    generate_images,
    image_episodes,
    load_image_data,
    preprocess_image_data,
    preprocess_images,
    preprocess_text_data,
)
from metagpt_tf.applications.image_kinds import IMAGE_KINDS
from metagpt_tf.datasets import SPLITS, load_images
from metagpt_tf.meta import FOMAML, MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder
from metagpt_tf.presets import PRETRAINED, Preset
from metagpt_tf.tokenizers.image_codes import codes_to_text, text_to_codes

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
    coded = preprocess_image_data(images, task, autoencoder, text_descriptions=texts)
    episodes = image_episodes(preprocess_text_data(texts), coded, **SHAPE)
    episode = next(iter(episodes["train"]))
    assert episode.support_y.shape == (2, 3, 50) and (episode.support_y.numpy() != 0).all()
    source = episodes["tasks"].tokenizer.decode(episode.support_x.numpy()[0, 0])
    shown = 0 if task == "generation" else 49  # codes, each where the decoder is to write it
    assert re.fullmatch(r"(letter|digit) \w:", source[shown:])
    style = next(iter(images["meta_train"]))
    truth, given = coded.targets["meta_train"][style][6], coded.given["meta_train"][style][6]
    np.testing.assert_array_equal(text_to_codes(truth, (7, 7)), autoencoder.encode(images["meta_train"][style][6:7])[0])
    if task == "inpainting":
        assert given.count("_") == 9 and all(a in (b, "_") for a, b in zip(given, truth, strict=True))
    again = preprocess_image_data(images, task, autoencoder, text_descriptions=texts)
    assert again.given == coded.given  # the same seed


def test_fit_evaluate_draw(data: Any, autoencoder: ImageAutoencoder) -> None:
    images, texts = data
    coded = preprocess_image_data(images, autoencoder=autoencoder)
    episodes = image_episodes(preprocess_text_data(texts), coded, **SHAPE)
    learner = define_meta_gpt_image_model("nano", FOMAML(1, 0.1, scope="low_rank"), autoencoder=autoencoder, **SIZES)
    learner.model.compile("adam")
    learner.fit(episodes["train"], verbose=0)
    figures = evaluate_image_model(learner, episodes["test"], autoencoder, prompts=2, sampler="temperature", seed=0)
    for name in ("bits_per_code", "bits_per_pixel", "ssim", "whole"):
        assert np.isfinite(figures[name]) and np.isfinite(figures[f"pre_{name}"])
    logs = learner.evaluate(episodes["test"], verbose=0, return_dict=True)
    assert figures["bits_per_code"] == pytest.approx(logs["loss"] / np.log(2) * 50 / 49, rel=1e-4)
    assert 1.0 < figures["bits_per_code"] < np.log2(learner.model.tokenizer.vocabulary_size) + 1
    support = next(iter(episodes["test"]))
    state = learner.adapt((support.support_x[0], support.support_y[0]))
    with pytest.warns(UserWarning, match="of 4 drawings lack codes"):  # it was hardly trained
        drawn = generate_images(
            learner, ["letter g", "digit 7"], state, samples=2, autoencoder=autoencoder, seed=1, sampler="temperature"
        )
    assert drawn.shape == (4, 28, 28, 1) and drawn.min() >= 0 and drawn.max() <= 1


def test_what_is_shown_and_hidden_reaches_the_model(data: Any, autoencoder: ImageAutoencoder, monkeypatch: Any) -> None:
    learner = define_meta_gpt_image_model("nano", autoencoder=autoencoder, **SIZES)
    read: list[str] = []
    rests: list[tuple[Any, ...]] = []
    pack = Drawing(autoencoder).tokenizer.pack
    whole = pack(codes_to_text(np.zeros((1, 7, 7), int)), 50)
    whole_of = lambda image: pack(codes_to_text(autoencoder.encode(image)), 50)  # noqa: E731

    def ids(sources: list[str], *rest: Any) -> np.ndarray:
        read.extend(sources)
        rests.append(rest)
        return whole

    monkeypatch.setattr(learner.model.text_generator, "ids", ids)
    image = data[0]["meta_test"][next(iter(data[0]["meta_test"]))][:1]
    hidden = np.arange(49).reshape(1, 7, 7) < 3
    shown = codes_to_text(autoencoder.encode(image))[0]
    generate_images(learner, "letter A", given=image, hidden=hidden, autoencoder=autoencoder)
    generate_images(learner, "letter A", given=image, autoencoder=autoencoder)
    assert read == ["___" + shown[3:] + "letter A:", shown + "letter A:"]
    known = rests[0][-1]
    assert (known[0, :3] == -1).all() and (known[0, 3:] == whole_of(image)[0, 3:49]).all() and rests[1][-1] is None
    with pytest.raises(ValueError, match=r"hidden is \(1, 7, 7\) bool"):
        generate_images(learner, "letter A", given=image, hidden=hidden[0], autoencoder=autoencoder)
    with pytest.raises(ValueError, match="there are none"):
        generate_images(learner, "letter A", hidden=hidden, autoencoder=autoencoder)
    with pytest.raises(ValueError, match="text_prompt has 2 descriptions and 1 images"):
        generate_images(learner, ["a", "b"], given=image, autoencoder=autoencoder)


def test_the_trained_codes_are_what_their_card_says() -> None:
    """On the glyphs of held-out families: the preset that every verb takes when none is given."""
    preset, codes = Preset(PRETRAINED / "glyph_codes"), ImageAutoencoder.from_preset()
    images = np.concatenate(list(load_image_data()[0]["meta_test"].values()))
    used, error = codes.codes_in_use(images), np.mean((images - codes.predict(images, verbose=0)) ** 2, axis=(1, 2, 3))
    card = preset.card["figures"]["meta_test"]
    assert float(np.mean(-10 * np.log10(error))) == pytest.approx(card["psnr"], abs=0.05)
    assert used.used == pytest.approx(card["codes_used"], abs=5) and card["psnr"] > 25
    names = dict(zip(SPLITS, "abc", strict=True))
    coded = preprocess_image_data({split: {name: images[:8]} for split, name in names.items()})
    prompts = {split: {name: ["x:"] * 8} for split, name in names.items()}
    episodes = image_episodes(prompts, coded, k_shot=4, n_query=4)
    model: Any = define_meta_gpt_image_model("nano", **SIZES).model
    x, y = (part.shape[1] for part in episodes["tasks"].episode("a", 4, 4)[:2])
    assert (x, y) == (model.source_length, model.target_length)  # what is not given fits together


def test_both_kinds_of_tasks_in_one_call(data: Any, autoencoder: ImageAutoencoder) -> None:
    episodes = preprocess_images(data, and_mixed=True, autoencoder=autoencoder, **SHAPE)
    tasks = episodes["tasks"]
    styles = sorted(data[0]["meta_train"])
    assert tasks.task_names == sorted([*styles, *(f"{style}, mixed" for style in styles)])
    read = [tasks.tokenizer.decode(row) for row in np.asarray(tasks.episode(f"{styles[0]}, mixed", 40, 22).support_x)]
    assert {len(text) > 20 for text in read} == {True, False}  # some show something, others nothing
    assert all((text == ":") == (len(text) < 10) for text in read)  # those have no description either
    plain = [tasks.tokenizer.decode(row) for row in np.asarray(tasks.episode(styles[0], 40, 22).support_x)]
    assert all(text.endswith(":") and len(text) > 5 for text in plain)
    varied = preprocess_images(data, variants=2, autoencoder=autoencoder, **SHAPE)["tasks"]
    assert varied.task_names == sorted(f"{style}{end}" for style in styles for end in ("", " ~1", " ~2"))
    assert varied.split("meta_test").task_names == sorted(data[0]["meta_test"])  # what is judged stays as it is
    for wrong in ({"tokenizer": "bytes"}, {"target_length": 12}):
        with pytest.raises(ValueError, match=r"image_tokenizer\(16\) and target_length=50"):
            preprocess_images(data, autoencoder=autoencoder, **wrong, **SHAPE)


def test_what_is_refused(data: Any, autoencoder: ImageAutoencoder) -> None:
    images, texts = data
    with pytest.raises(ValueError, match="Unknown image task 'in_painting'.*inpainting"):
        preprocess_image_data(images, "in_painting", autoencoder)
    with pytest.raises(ValueError, match="Description 1 of 'a' of 'meta_train' is ''"):
        preprocess_text_data({"meta_train": {"a": ["x", ""]}})
    with pytest.raises(ValueError, match="stand for codes"):
        preprocess_text_data({"meta_train": {"a": ["\ue001"]}})
    for wrong in (None, float("nan")):
        with pytest.raises(ValueError, match="Description 1 of 'a' of 'meta_train' is .* expected text"):
            preprocess_text_data({"meta_train": {"a": ["x", wrong]}})
    with pytest.raises(ValueError, match="Images of 'a' of 'meta_train': Expected images"):
        preprocess_image_data({"meta_train": {"a": np.zeros((2, 20, 20, 1))}}, autoencoder=autoencoder)
    short = {split: {task: rows[:5] for task, rows in tasks.items()} for split, tasks in texts.items()}
    with pytest.raises(ValueError, match="5 descriptions and 62 images"):
        image_episodes(preprocess_text_data(short), preprocess_image_data(images, autoencoder=autoencoder), **SHAPE)
    with pytest.raises(ValueError, match="give text_descriptions"):
        preprocess_image_data(images, "style_transfer", autoencoder)
    with pytest.raises(ValueError, match="needs source_length=10, received 8"):
        image_episodes(
            preprocess_text_data(texts), preprocess_image_data(images, "generation", autoencoder), 8, **SHAPE
        )
    with pytest.raises(ValueError, match="no descriptions of"):
        image_episodes({"meta_train": {}}, preprocess_image_data(images, "generation", autoencoder), **SHAPE)
    only = dict(list(images["meta_train"].items())[:1])
    said = {"meta_train": {name: texts["meta_train"][name] for name in only}}
    with pytest.raises(ValueError, match="none there draws 'letter A'"):
        preprocess_image_data({"meta_train": only}, "style_transfer", autoencoder, text_descriptions=said)
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
    write(tmp_path / ".hidden" / "x.png", (28, 28, 1))
    write(tmp_path / "b" / "0001.png", (28, 28, 1))  # a number says nothing, the folder does
    images, texts = load_images(tmp_path)
    assert next(rows["b"] for rows in texts.values() if "b" in rows) == ["b", "digit 0", "letter g", "letter g"]
    (tmp_path / "b" / "0001.png").unlink()
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


@pytest.mark.parametrize(
    ("captions", "words"),
    [
        (b"name,text\n", "columns file and text, has name, text"),
        (
            "\ufefffile,text\nother.png,x\n".encode(),
            r"describes 'other\.png', and there is no such image",
        ),  # as spreadsheets save it
        (b"file,text\n", r"does not describe -7\.png"),
        (b"file,text\n-7.png,\xe9\n", "line 2: expected UTF-8"),
    ],
)
def test_captions_that_are_wrong(tmp_path: Path, captions: bytes, words: str) -> None:
    for task in "abc":
        write(tmp_path / task / "-7.png", (28, 28, 1))
        (tmp_path / task / "captions.csv").write_bytes(captions)
    with pytest.raises(ValueError, match=words):
        load_images(tmp_path)


def test_sixteen_bits_are_not_cut_to_eight(tmp_path: Path) -> None:
    for task in "abc":
        write(tmp_path / task / "x.png", (28, 28, 1), tf.uint16)
    with pytest.raises(ValueError, match="16 bits a channel"):
        load_images(tmp_path)


def test_the_trained_model_takes_over_the_weight_of_a_style() -> None:
    """`image_nano`, which every verb takes when none is named, on two families that it has never seen."""
    learner, (images, texts) = define_meta_gpt_image_model(), load_image_data()
    card = Preset(PRETRAINED / "image_nano").card
    assert card["unit"] == "bits per code" and card["after"]["mean"] < card["before"]["mean"]
    asked, ink = [f"letter {letter}" for letter in "bdehmopu"], {}
    for style in ("Karla Light", "Cantarell Extra Bold"):
        places = [texts["meta_test"][style].index(f"letter {letter}") for letter in "ACGRagns"]
        state = adapt_to_images(learner, images["meta_test"][style][places], [f"letter {c}" for c in "ACGRagns"])
        ink[style] = generate_images(learner, asked, state).sum()
    assert ink["Cantarell Extra Bold"] > 1.3 * ink["Karla Light"]
    with pytest.raises(ValueError, match="8 images and 7 descriptions"):
        adapt_to_images(learner, images["meta_test"][style][places], asked[:7])
