"""Scopes, layouts and states."""

import keras
import numpy as np
import pytest

from metagpt_tf.fast_weights import FastWeights, State, scope_variables
from metagpt_tf.models import MetaGPT


@pytest.fixture(scope="module")
def model():
    return MetaGPT(source_length=8, target_length=8, dim=16, num_heads=2, num_layers=1)


@pytest.fixture(scope="module")
def plain():
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    )


def test_scopes_of_metagpt(model):
    paths = {
        scope: [v.path for v in scope_variables(model, scope)] for scope in ("head", "norm_bias", "low_rank", "context")
    }
    assert all("/head/" in p for p in paths["head"]) and len(paths["head"]) == 3
    assert all(p.rsplit("/", 1)[1] in ("bias", "gamma", "beta") for p in paths["norm_bias"])
    assert all("low_rank_" in p for p in paths["low_rank"]) and len(paths["low_rank"]) == 3 * 2 * 2
    assert len(paths["context"]) == 1
    assert FastWeights(model, "all").size == sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_scopes_of_any_keras_model(plain):
    assert [v.path for v in scope_variables(plain, "head")] == [v.path for v in plain.layers[-1].trainable_variables]
    assert {v.name for v in scope_variables(plain, "norm_bias")} == {"bias", "gamma", "beta"}
    with pytest.raises(ValueError, match=r"picks no variable.*low_rank=4"):
        scope_variables(plain, "low_rank")


def test_a_regular_expression_over_paths(model):
    picked = scope_variables(model, r"decoder/.*cross_attention/.*kernel")
    assert len(picked) == 4 and all("cross_attention" in v.path for v in picked)


def test_a_scope_that_picks_nothing_lists_paths(model):
    with pytest.raises(ValueError, match=r"Scope 'contxt' picks no variable.*Did you mean 'context'"):
        scope_variables(model, "contxt")


def test_an_unbuilt_model():
    with pytest.raises(ValueError, match="Build it first"):
        scope_variables(keras.Sequential([keras.layers.Dense(1)]), "all")


@pytest.mark.parametrize("scope", ["all", "head", "context"])
def test_pack_and_unpack_are_inverse(model, scope):
    layout = FastWeights(model, scope)
    values = np.random.default_rng(0).normal(size=layout.size).astype("float32")
    parts = layout.unpack(values)
    assert [tuple(p.shape) for p in parts] == layout.shapes
    np.testing.assert_array_equal(layout.pack(parts), values)


def test_merge_replaces_only_the_scope(model):
    layout = FastWeights(model, "head")
    trainable = list(range(len(model.trainable_variables)))
    merged = layout.merge(trainable, ["a", "b", "c"])
    assert [m for m in merged if isinstance(m, str)] == ["a", "b", "c"]
    assert layout.select(merged) == ["a", "b", "c"]
    assert [m for m in merged if not isinstance(m, str)] == [i for i in trainable if i not in layout.indices]


class TestState:
    def test_it_is_an_array_that_knows_its_scope(self):
        state = State.of([1, 2, 3], "head")
        assert state.dtype == np.float32 and state.scope == "head" and (state * 2).scope == "head"
        np.testing.assert_array_equal(np.asarray(state), [1.0, 2.0, 3.0])

    def test_save_and_load(self, tmp_path):
        path = State.of([1, 2], "low_rank").save(tmp_path / "s.npz")
        loaded = State.load(path)
        assert loaded.scope == "low_rank" and loaded.tolist() == [1.0, 2.0]
        assert [p.name for p in tmp_path.iterdir()] == ["s.npz"]

    def test_files_that_are_no_state(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            State.load(tmp_path / "none.npz")
        (tmp_path / "bad.npz").write_bytes(b"zip it is not")
        np.savez(tmp_path / "other.npz", x=np.zeros(3))
        np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
        for name in ("bad.npz", "other.npz", "object.npy"):
            with pytest.raises(ValueError, match="not a state file"):
                State.load(tmp_path / name)

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="Cannot write"):
            State.of([1], "all").save(tmp_path / "file" / "s.npz")

    def test_numpy_files_lose_the_scope_but_not_the_values(self, tmp_path):
        np.save(tmp_path / "s.npy", State.of([1, 2], "head"))
        loaded = np.load(tmp_path / "s.npy")
        assert getattr(loaded, "scope", None) is None and loaded.tolist() == [1.0, 2.0]
        assert State.of(loaded, "head").scope == "head"


@pytest.mark.parametrize("scope", ["all", "head", "norm_bias"])
def test_the_initial_state_is_the_present_weights(plain, scope):
    layout = FastWeights(plain, scope)
    state = layout.initial_state()
    assert state.scope == scope and state.shape == (layout.size,)
    for variable, part in layout.mapping(np.asarray(state)):
        np.testing.assert_array_equal(variable.numpy(), part)


def test_a_mapping_stands_in_for_the_variables(plain):
    layout, x = FastWeights(plain, "head"), np.ones((4, 2), "float32")
    kernel, bias = (np.full(shape, value, "float32") for shape, value in zip(layout.shapes, (0.0, 7.0), strict=True))
    before = plain(x).numpy()
    with keras.StatelessScope(state_mapping=layout.mapping(layout.pack([kernel, bias]))):
        np.testing.assert_array_equal(plain(x), 7.0)
    np.testing.assert_array_equal(plain(x), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[:-1], r"has shape \(\d+,\); received \(\d+,\).*model and scope that made it"),
        (lambda s: s[None], r"received \(1, \d+\)"),
        (lambda s: np.where(np.arange(s.size) < 2, np.inf, s), "holds 2 values that are not finite"),
    ],
)
def test_a_state_that_does_not_fit(model, change, message):
    layout = FastWeights(model, "head")
    assert layout.check(list(layout.initial_state())).dtype == np.float32
    with pytest.raises(ValueError, match=message):
        layout.check(change(layout.initial_state()))
