"""A model that draws, exported: PNG files out of the graph, adapted and not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.export import export_saved_model, parity_report
from metagpt_tf.export.readers import TensorFlowReader
from metagpt_tf.meta import MAML, MetaLearner
from metagpt_tf.models import Drawing, ImageAutoencoder, MetaGPT
from metagpt_tf.tokenizers.image_codes import codes_to_text, image_tokenizer

from .conftest import small_learner

CODES = 16


@pytest.fixture(scope="module")
def drawing_learner():
    """Something that was trained to draw for a moment."""
    keras.utils.set_random_seed(0)
    model = MetaGPT(image_tokenizer(CODES), 4, 50, dim=16, num_heads=2, num_layers=1, hidden_dim=32)
    learner = MetaLearner(model, MAML(1, 0.1, scope="low_rank"))
    learner.compile("adam")
    return learner


@pytest.fixture(scope="module")
def autoencoder():
    keras.utils.set_random_seed(1)
    return ImageAutoencoder(num_codes=CODES, code_dim=4, filters=8, num_blocks=1)


@pytest.fixture(scope="module")
def drawn(drawing_learner):
    texts = codes_to_text(np.random.default_rng(0).integers(0, CODES, (3, 7, 7)))
    pack = drawing_learner.model.tokenizer.pack
    x, y = pack(["a:", "b:", "c:"], 4), pack(texts, 50)
    drawing_learner.model.compile(keras.optimizers.Adam(1e-2), metrics=[])
    drawing_learner.model.fit(np.repeat(x, 8, 0), np.repeat(y, 8, 0), epochs=20, verbose=0)
    return x, y


def test_png_files_come_out_of_the_graph(drawing_learner, autoencoder, drawn, tmp_path):
    path = export_saved_model(drawing_learner, tmp_path, autoencoder=autoencoder)
    reader = TensorFlowReader(path)
    settings = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "seed": 0, "max_length": 50}
    columns = {n: np.full(2, v, "float32" if isinstance(v, float) else "int32") for n, v in settings.items()}
    text = np.array([b"a:", b"b:"], object)
    found = reader.call("draw", {"text": text, **columns}).outputs
    ids = drawing_learner.model.generate_ids(tf.constant(drawn[0][:2]), 50)
    expected, whole = Drawing(autoencoder).images_of(ids)
    np.testing.assert_array_equal(found["whole"], whole)
    for png, image in zip(found["png_bytes"], expected.numpy(), strict=True):
        pixels = tf.io.decode_png(png).numpy()
        assert pixels.shape == (28, 28, 1)
        np.testing.assert_allclose(pixels / 255.0, image, atol=1 / 255)
    state = reader.call("adapt", {"support_x": drawn[0], "support_y": drawn[1]}).outputs["state"]
    adapted = reader.call("draw_adapted", {"prompt": text, "state": state, **columns}).outputs
    mapping = drawing_learner.layout.mapping(tf.constant(state))
    with keras.StatelessScope(state_mapping=mapping):  # the state in the place of the weights
        ids = drawing_learner.model.generate_ids(tf.constant(drawn[0][:2]), 50)
    expected = Drawing(autoencoder).images_of(ids)[0].numpy()
    for png, image in zip(adapted["png_bytes"], expected, strict=True):
        np.testing.assert_allclose(tf.io.decode_png(png).numpy() / 255.0, image, atol=1 / 255)
    short = reader.call("draw", {"text": text, **{**columns, "max_length": np.array([5, 6], "int32")}}).outputs
    assert short["whole"].tolist() == [False, False] and short["png_bytes"][1].startswith(b"\x89PNG")


def test_whole_images_are_those_of_their_codes(autoencoder):
    codes = np.random.default_rng(0).integers(0, CODES, (2, 7, 7))
    drawing = Drawing(autoencoder)
    ids = drawing.tokenizer.pack(codes_to_text(codes), 50)
    images, whole = drawing.images_of(tf.constant(ids))
    assert whole.numpy().all()
    np.testing.assert_allclose(images, autoencoder.decode(codes), atol=1e-6)
    assert not drawing.images_of(tf.constant(np.where(np.arange(50) == 20, 5, ids)))[1].numpy().any()


def test_parity_of_what_is_drawn(drawing_learner, autoencoder, drawn, tmp_path):
    path = export_saved_model(drawing_learner, tmp_path, autoencoder=autoencoder)
    report = parity_report(
        drawing_learner, path, support=drawn, signatures=["draw", "draw_adapted"], autoencoder=autoencoder
    )
    assert report.passed, str(report)


def test_an_autoencoder_of_other_codes(drawing_learner, autoencoder, tmp_path):
    other = ImageAutoencoder(num_codes=8, code_dim=4, filters=8, num_blocks=1)
    for learner, codes in ((drawing_learner, other), (small_learner(), autoencoder)):
        with pytest.raises(ValueError, match="that the model was trained with"):
            export_saved_model(learner, tmp_path, autoencoder=codes)
    with pytest.raises(ValueError, match="no codes to draw with"):
        Drawing(ImageAutoencoder(kind="plain", code_dim=4, filters=8, num_blocks=1))
