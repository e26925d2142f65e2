"""Readers of a SavedModel that share nothing but the file: TensorFlow, its C API, OpenVINO."""

from metagpt_tf.export.readers.base import Answer, Reader, Unreadable
from metagpt_tf.export.readers.c_api import CApiReader
from metagpt_tf.export.readers.openvino import OpenVinoReader
from metagpt_tf.export.readers.tensorflow import TensorFlowReader

READERS: dict[str, type[Reader]] = {reader.name: reader for reader in (TensorFlowReader, CApiReader, OpenVinoReader)}

__all__ = ["READERS", "Answer", "CApiReader", "OpenVinoReader", "Reader", "TensorFlowReader", "Unreadable"]
