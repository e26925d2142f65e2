"""What every TFDS builder over data of this machine has in common: it opens no connection and prints nothing."""

import abc
import dataclasses
from typing import Any

import tensorflow_datasets as tfds


class LocalDatasetInfo(tfds.core.DatasetInfo):
    """Dataset info that is computed here and asks no server for a ready-made copy."""

    def initialize_from_bucket(self) -> None:
        """Stay offline: no bucket has statistics of this machine's data."""


class OfflineBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that works without a network; subclass it and write `describe` and `rows`.

    Rows come out in the order of `rows`, and each is a dict of the features.
    """

    url_infos = None  # no downloads, no checksums: TFDS's search for them needs a package that it does not install

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """The arguments of `tfds.core.DatasetInfo` without the builder: description, features, licence, homepage."""

    @abc.abstractmethod
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Split -> its rows."""

    def download_and_prepare(self, *, download_config: Any = None, **arguments: Any) -> None:
        """Build the copy unless it exists; as in TFDS, but without a look at Google's storage first."""
        config = download_config or tfds.download.DownloadConfig()
        offline = dataclasses.replace(config, try_download_gcs=False)
        super().download_and_prepare(download_config=offline, **arguments)

    def _info(self) -> tfds.core.DatasetInfo:
        return LocalDatasetInfo(builder=self, disable_shuffling=True, **self.describe())

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {split: self._generate_examples(rows) for split, rows in self.rows().items()}

    def _generate_examples(self, rows: list[dict[str, Any]]) -> Any:
        yield from enumerate(rows)

    def _log_download_bytes(self) -> None:
        """Say nothing: nothing is downloaded, and a library does not write to standard output."""

    def _log_download_done(self) -> None:
        """Say nothing, as above."""
