"""A compression as data: written down, checked before anything is trained, resumed."""

import keras
import pytest

from metagpt_tf.compression import CompressionRecipe, recipes, sparsity
from metagpt_tf.compression.copies import copy_of
from metagpt_tf.compression.recipes import standard_recipes
from metagpt_tf.meta import MetaLearner

PACKED = CompressionRecipe.of(
    shrink={"neurons": 0.5, "steps": 1},
    prune={"schedule": 0.5, "steps": 4},
    cluster={"number_of_clusters": 8, "steps": 2},
    quantize={"quantization": "weight_int8_per_tensor"},
)


def test_json_there_and_back():
    assert CompressionRecipe.from_json(PACKED.to_json()) == PACKED
    assert PACKED.quantization == "weight_int8_per_tensor"
    for _, recipe in standard_recipes():
        assert CompressionRecipe.from_json(recipe.to_json()) == recipe


def test_a_policy_keeps_its_order():
    recipe = CompressionRecipe.of(prune={"policy": {"embedding": None, ".": 0.8}})
    ((_, options),) = CompressionRecipe.from_json(recipe.to_json()).steps
    assert list(options["policy"]) == ["embedding", "."]


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[[]]"])
def test_not_a_recipe(text):
    with pytest.raises(ValueError, match="Expected JSON"):
        CompressionRecipe.from_json(text)


def test_an_unknown_step():
    with pytest.raises(ValueError, match="Did you mean 'prune'"):
        CompressionRecipe.of(pruen={})


def test_an_order_that_undoes_itself():
    with pytest.raises(ValueError, match="cluster → prune undo each other"):
        CompressionRecipe.of(cluster={}, prune={})


def test_everything_is_refused_before_training(text_learner, training, monkeypatch):
    monkeypatch.setitem(recipes.TRAINED, "prune", lambda *args, **kwargs: pytest.fail("trained"))
    wrong = CompressionRecipe.of(prune={"steps": 4}, quantize={"quantization": "weight_int9"})
    with pytest.raises(ValueError, match="Did you mean 'weight_int8'"):
        wrong.apply(text_learner, training)
    nowhere = CompressionRecipe.of(prune={"policy": {"nothing": 0.5}})
    with pytest.raises(ValueError, match="nothing to prune"):
        nowhere.apply(text_learner, training)
    for name, options, message in (
        ("prune", {"schedule": 1.5}, "share in"),
        ("prune", {"blok_size": 2}, "blok_size"),
        ("cluster", {"number_of_clusters": 1}, ">= 2"),
        ("shrink", {"heads": 2}, "share that stays"),
        ("shrink", {"haeds": 0.5}, "Did you mean 'heads'"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            CompressionRecipe.of(**{name: options}).apply(text_learner, training)
    with pytest.raises(ValueError, match="say how long"):
        CompressionRecipe.of(prune={}).apply(text_learner, training.repeat())
    other = MetaLearner(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match="not compiled"):
        PACKED.apply(other, training)
    other.compile("adam", "mse")
    with pytest.raises(TypeError, match="MetaGPT, not of a Sequential"):
        PACKED.apply(other, training)
    with pytest.raises(TypeError, match="MetaLearner, received Sequential"):
        PACKED.apply(other.model, training)


def test_each_step_is_kept_and_not_done_again(text_learner, training, tmp_path, monkeypatch):
    small = PACKED.apply(text_learner, training, tmp_path)
    assert small.model.hidden_dim == 32 and small.keep_zeros
    assert sparsity(small.model) == pytest.approx(0.5, abs=0.02)
    (tmp_path / "step_2.keras").unlink()  # as if it had been interrupted there
    for name in ("shrink", "prune"):
        monkeypatch.setitem(recipes.TRAINED, name, lambda *args, **kwargs: pytest.fail("done again"))
    again = PACKED.apply(text_learner, training, tmp_path)
    assert sparsity(again.model) == sparsity(small.model)


def test_a_folder_of_another_recipe(text_learner, training, tmp_path):
    CompressionRecipe.of(quantize={"quantization": "weight_int8"}).apply(text_learner, training, tmp_path)
    with pytest.raises(ValueError, match="another recipe or learner"):
        PACKED.apply(text_learner, training, tmp_path)


def test_a_folder_of_another_learner(text_learner, training, tmp_path):
    recipe = CompressionRecipe.of(quantize={"quantization": "weight_int8"})
    recipe.apply(text_learner, training, tmp_path)
    other = copy_of(text_learner)
    other.model.trainable_variables[0].assign_add(other.model.trainable_variables[0])
    with pytest.raises(ValueError, match="another recipe or learner"):
        recipe.apply(other, training, tmp_path)
