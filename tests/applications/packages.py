"""Small packages of documented functions, written for a test."""

from pathlib import Path

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")


def write_package(folder: Path, name: str, count: int = 9) -> None:
    """A module of so many functions."""
    functions = [
        f'def {name}_{i}(value):\n    """Add {i} to a value."""\n    {name} = value + {i}\n    return {name} * {i}\n'
        for i in range(count)
    ]
    (folder / f"{name}.py").write_text("\n\n".join(functions))


def write_packages(folder: Path) -> Path:
    """Six of them; returns the folder."""
    for name in NAMES:
        write_package(folder, name)
    return folder
