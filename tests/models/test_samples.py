"""Sample texts arrive in the event file, with their prompts, at the right epochs, before and after adaptation."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.meta import MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder, ImageSamples, MetaGPT, TextSamples
from metagpt_tf.tasks import Episode

from .conftest import SIZES, make_writer


def events(folder: Path) -> dict[tuple[str, int], str]:
    """(tag, step) -> text, read from the event files of a folder."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found[value.tag, event.step] = tf.make_ndarray(value.tensor).ravel()[0].decode()
    return found


def test_texts_are_written_every_second_epoch(tmp_path: Path, ids) -> None:
    model = make_writer(num_layers=1)
    model.compile(keras.optimizers.SGD(0.0))
    options = {"max_length": 6, "jit_compile": False}
    samples = TextSamples(["abc", "d\n# e"], tmp_path, every=2, **options)
    model.fit(*ids, epochs=4, callbacks=[samples], verbose=0)
    found = events(tmp_path)
    assert set(found) == {(f"samples/{index}", step) for index in (0, 1) for step in (2, 4)}
    texts = model.generate(["abc", "d\n# e"], **options)
    assert found["samples/0", 4] == f"**prompt**\n\n    abc\n\n**text**\n\n    {texts[0]}"
    assert "    d\n    # e\n" in found["samples/1", 2]
    assert samples._writer is None


def test_a_learner_shows_before_and_after(tmp_path: Path, ids) -> None:
    learner = MetaLearner(make_writer(num_layers=1), "fomaml")
    learner.algorithm.inner_learning_rate = 1.0
    learner.compile(keras.optimizers.SGD(0.0))
    support = (ids[0][:4], ids[1][:4])
    episode = Episode(*(np.stack([part]) for part in (*support, *support)))
    samples = TextSamples("abc", tmp_path, state_from=support, max_length=6, jit_compile=False)
    learner.fit(tf.data.Dataset.from_tensors(episode), callbacks=[samples], verbose=0)
    found = events(tmp_path)
    assert set(found) == {("samples/0/before", 1), ("samples/0/after", 1)}
    after = learner.model.generate("abc", state=learner.adapt(support), max_length=6, jit_compile=False)
    before = learner.model.generate("abc", max_length=6, jit_compile=False)
    assert found["samples/0/before", 1].endswith(f"\n\n    {before}")
    assert found["samples/0/after", 1].endswith(f"\n\n    {after}")
    assert before != after


def test_bad_input(tmp_path: Path, ids) -> None:
    with pytest.raises(ValueError, match="at least one prompt"):
        TextSamples([], tmp_path)
    with pytest.raises(ValueError, match="every must be at least 1 epoch, received 0"):
        TextSamples("a", tmp_path, every=0)
    model = MetaGPT(**SIZES)
    model.compile()
    with pytest.raises(ValueError, match="needs a model that adapts, received MetaGPT"):
        model.fit(*ids, callbacks=[TextSamples("a", tmp_path, state_from=ids)], verbose=0)
    plain = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="generates text, received Sequential"):
        plain.fit(np.ones((1, 1)), np.ones((1, 1)), callbacks=[TextSamples("a", tmp_path)], verbose=0)


def test_drawings_arrive_as_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    keras.utils.set_random_seed(0)
    autoencoder = ImageAutoencoder(num_codes=16, code_dim=4, filters=8, num_blocks=1)
    tokenizer = Drawing(autoencoder).tokenizer
    model = MetaGPT(tokenizer=tokenizer, source_length=8, target_length=50, dim=8, num_heads=2, num_layers=1)
    model.compile(keras.optimizers.SGD(0.0))
    x, y = tokenizer.pack(["a:", "b:", "c:"], 8), np.full((3, 50), 262, "int32")
    samples = ImageSamples(["a:", "b:", "c:"], tmp_path, autoencoder, every=2)
    model.fit(x, y, epochs=2, callbacks=[samples], verbose=0)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    found = {(v.tag, event.step): v for event in EventFileLoader(str(path)).Load() for v in event.summary.value}
    assert set(found) == {("drawings", 2)}
    width, height, png = tf.make_ndarray(found["drawings", 2].tensor)[:3]
    assert (width, height) == (b"84", b"28") and tf.io.decode_png(png).shape == (28, 84, 1)
    with pytest.raises(ValueError, match="image_tokenizer"):
        writer = make_writer(num_layers=1)
        writer.compile()
        writer.fit(x[:, :4], x[:, :4], callbacks=[ImageSamples(["a:"], tmp_path, autoencoder)], verbose=0)
