"""From a learner to files that answer and keep learning."""

from metagpt_tf.export.integer import export_integer
from metagpt_tf.export.litert import export_litert
from metagpt_tf.export.parity import ParityReport, ParityRow, parity_report
from metagpt_tf.export.runner import LiteRTRunner
from metagpt_tf.export.saved_model import export_saved_model

__all__ = [
    "LiteRTRunner",
    "ParityReport",
    "ParityRow",
    "export_integer",
    "export_litert",
    "export_saved_model",
    "parity_report",
]
