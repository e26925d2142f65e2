"""Names for things: the one place where ``"top_k"`` and ``TopK(5)`` become the same object.

Every family a user may choose from by name (samplers, algorithms, tokenizers) owns one `Registry`.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import keras

from metagpt_tf.suggestions import closest

__all__ = ["PACKAGE", "Registry", "closest"]

T = TypeVar("T")

PACKAGE = "metagpt_tf"


class Registry(Generic[T]):
    """Map of names to classes of one kind, each also a registered Keras serializable.

    Args:
        kind: what the entries are, in the singular, for error messages (`"sampler"`).

    Example:

    >>> samplers = Registry("sampler")
    >>> @samplers.register("example")
    ... class Example:
    ...     def get_config(self):
    ...         return {}
    >>> isinstance(samplers.get("example"), Example)
    True
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: register `name` here and the class with `keras.saving`."""

        def add(cls: type[T]) -> type[T]:
            self._classes[name] = cls
            return keras.saving.register_keras_serializable(PACKAGE)(cls)

        return add

    def names(self) -> list[str]:
        """The registered names in alphabetical order."""
        return sorted(self._classes)

    def class_of(self, name: str) -> type[T]:
        """The class registered under `name`.

        Raises:
            ValueError: the name is unknown; the message suggests the closest known one.
        """
        if name not in self._classes:
            raise ValueError(f"Unknown {self.kind} {name!r}. {closest(name, self._classes)}")
        return self._classes[name]

    def get(self, identifier: Any, **arguments: Any) -> T:
        """Resolve a name, a Keras config or an object to an object of this kind.

        Args:
            identifier: a registered name, a dict made by `keras.saving.serialize_keras_object`, or an object.
            **arguments: constructor arguments, used only with a name.

        Raises:
            ValueError: unknown name.
            TypeError: neither name, config nor an object of a registered class.
        """
        if isinstance(identifier, str):
            return self.class_of(identifier)(**arguments)
        if isinstance(identifier, dict):
            identifier = keras.saving.deserialize_keras_object(identifier)
        if isinstance(identifier, tuple(self._classes.values())):
            return cast(T, identifier)
        raise TypeError(
            f"Expected {self.kind}: a name ({', '.join(self.names())}), its config or an object. "
            f"Received {identifier!r} of type {type(identifier).__name__}."
        )
