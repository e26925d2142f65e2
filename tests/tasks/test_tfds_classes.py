"""Sets of TFDS as few-shot episodes: the features of real builders, their content mocked: nothing is downloaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from metagpt_tf.datasets import SPLITS
from metagpt_tf.tasks import FewShotClasses, TFDSClasses, check_episode
from metagpt_tf.tasks.tfds_classes import supervised_columns, unit_image


def mocked(name: str, examples: int = 400, **arguments: Any) -> TFDSClasses:
    with tfds.testing.mock_data(num_examples=examples):
        return TFDSClasses(name, **arguments)


def test_images_with_held_out_classes() -> None:
    tasks = mocked("cifar100", n_way=3, image_size=16)
    assert isinstance(tasks, FewShotClasses) and tasks.tokenizer is None
    names = [set(tasks.split(split).task_names) for split in SPLITS]
    assert sum(map(len, names)) == len(set.union(*names)) > 80 and all(names)
    for split in SPLITS:
        (episode,) = tasks.split(split).as_dataset(2, k_shot=1, n_query=2, num_batches=1)
        check_episode(episode)
        assert episode.support_x.shape == (2, 3, 16, 16, 3) and episode.support_x.dtype == tf.float32
        assert 0.0 <= episode.support_x.numpy().min() < episode.support_x.numpy().max() <= 1.0
        assert sorted(episode.support_y.numpy()[0]) == [0, 1, 2]


def test_texts_become_ids() -> None:
    tasks = mocked("clinc_oos", n_way=2, text_length=12)  # supervised keys: text and intent, 151 of them
    (episode,) = tasks.split("meta_test").as_dataset(2, k_shot=1, n_query=1, num_batches=1)
    assert episode.support_x.shape == (2, 2, 12) and episode.support_x.dtype == tf.int32
    assert tasks.tokenizer.decode(episode.support_x.numpy()[0, 0])


def test_few_classes_with_splits_by_name() -> None:
    splits = {"meta_train": ["World", "Sports"], "meta_test": ["Business", "Sci/Tech"]}
    tasks = mocked("ag_news_subset", 60, n_way=2, splits=splits, text_length=8, examples_per_class=5)
    assert tasks.split("meta_test").task_names == ["Business", "Sci/Tech"]
    assert len(tasks._features) <= 20
    tasks.split("meta_test").sample(tf.constant([0, 0]), k_shot=2, n_query=3)
    with pytest.raises(ValueError, match="6"):
        tasks.sample(tf.constant([0, 0]), k_shot=2, n_query=4)


def test_groups_and_columns_by_hand() -> None:
    tasks = mocked("cifar100", label="label", group="coarse_label", feature="image", prepare=lambda x: x[:2, :2, 0])
    assert len({name for split in SPLITS for name in tasks.split(split).task_names}) == 20
    with pytest.raises(ValueError, match="'cifar100' has no column 'labels'. Did you mean 'label'"):
        mocked("cifar100", label="labels")


def test_columns_are_found() -> None:
    features = tfds.features
    columns = {"id": features.Text(), "kind": features.ClassLabel(num_classes=3), "picture": features.Image()}
    assert supervised_columns(columns, None) == ["picture", "kind"]
    assert supervised_columns(columns, ("id", "kind")) == ["id", "kind"]
    assert supervised_columns(columns, None, feature="id") == ["id", "kind"]
    del columns["picture"], columns["kind"]
    with pytest.raises(ValueError, match="Name feature=… and label=…"):
        supervised_columns(columns, None)


def test_unknown_sets_and_sets_that_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="TFDS knows no set 'omniglott'. Did you mean 'omniglot'"):
        TFDSClasses("omniglott", data_dir=tmp_path)

    def offline(error: Exception) -> Any:
        def fail(*_: Any, **__: Any) -> None:
            raise error

        return fail

    builder = tfds.core.DatasetBuilder
    monkeypatch.setattr(builder, "download_and_prepare", offline(ConnectionError("no route")))
    with pytest.raises(RuntimeError, match="'cifar100' is not in .* and could not be downloaded: no route"):
        TFDSClasses("cifar100", data_dir=tmp_path)
    monkeypatch.setattr(builder, "download_and_prepare", offline(ModuleNotFoundError("no", name="importlib_resources")))
    with pytest.raises(RuntimeError, match=r"needs 'importlib_resources' .* pip install metagpt_tf\[data\]"):
        TFDSClasses("cifar100", data_dir=tmp_path)


def test_an_image_is_scaled() -> None:
    image = np.zeros((4, 4, 3), "uint8")
    image[:2, :2, 1] = 255
    np.testing.assert_allclose(unit_image(image, 2)[..., 1], [[1, 0], [0, 0]])
