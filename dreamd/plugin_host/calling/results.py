"""What a plugin's function may return, by its kind: an inspector looks at a result and says what is wrong with it.

Never imports torch: a tensor is looked at through its own methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dreamd.errors import PluginError
from dreamd.plugin_host.calling.blame import describe_error, is_of_the_engine, is_plugins_fault

Inspector = Callable[[str, tuple[Any, ...], Any], Any]
"""`(label, arguments, result) → result`. Raises PluginError, which begins with the label, when a result is wrong."""

_looks_for_nan: ContextVar[bool] = ContextVar("looks_for_nan", default=False)


@contextmanager
def looking_for_nan() -> Iterator[None]:
    """Inside, look at every result for values that are not a number, and name the plugin that they come from.

    That makes a GPU wait for each result: it is for finding out after something went wrong.
    """
    token = _looks_for_nan.set(True)
    try:
        yield
    finally:
        _looks_for_nan.reset(token)


def one_value_a_picture(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from a loss `[N, C, ...] → [N]`; when looking for not-a-numbers, look at its gradient as well."""
    activation = arguments[0]
    wanted = list(activation.shape[:1])
    if _shape(result) != wanted:
        raise PluginError(
            f"{label} returned {_describe(result)} for an activation of shape {list(activation.shape)}; it must return "
            f"one value a picture, {wanted}"
        )
    if _looks_for_nan.get() and activation.requires_grad:
        activation.register_hook(lambda slope: finite(f"the gradient of {label}", (activation,), slope))
    return finite(label, arguments, result)


def like_the_gradient(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from a gradient step `[N, 3, H, W] → [N, 3, H, W]`, of one dtype."""
    gradient = arguments[0]
    if _shape(result) != list(gradient.shape) or result.dtype != gradient.dtype:
        raise PluginError(f"{label} returned {_describe(result)} for {_describe(gradient)}; it must return the like")
    return finite(label, arguments, result)


def encoded_pictures(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from a parameterization's encode `[N, 3, H, W] → [N, ...]`, float32: a complex number is two real ones."""
    shape, count = _shape(result), arguments[0].shape[0]
    if not shape or shape[0] != count or str(result.dtype) != "torch.float32":
        given = _describe(arguments[0])
        raise PluginError(f"{label} encoded {given} as {_describe(result)}; it must be float32, [{count}, ...]")
    return finite(label, arguments, result)


def decoded_pictures(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from a parameterization's decode `(parameters, shape) → pictures` of that shape."""
    wanted = list(arguments[1])
    if _shape(result) != wanted:
        raise PluginError(f"{label} decoded parameters as {_describe(result)}; it must be pictures of shape {wanted}")
    return finite(label, arguments[:1], result)


def views_of_pictures(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from a transform `[N, 3, H, W] → [N * K, 3, h, w]`, of one dtype."""
    given, shape = arguments[0], _shape(result)
    if shape is None or len(shape) != 4 or shape[1] != 3 or 0 in shape or result.dtype != given.dtype:
        wanted = "pictures [N, 3, H, W]"
        raise PluginError(f"{label} returned {_describe(result)} for {_describe(given)}; it must return {wanted}")
    if shape[0] % given.shape[0]:
        raise PluginError(f"{label} returned {shape[0]} views of {given.shape[0]} pictures; it must be as many of each")
    return finite(label, arguments, result)


def pictures_like_the_first(label: str, arguments: tuple[Any, ...], result: Any) -> Iterator[Any]:
    """Take from a schedule what it yields: pictures, the last as large as the one that it was given."""
    if not isinstance(result, Iterable):
        raise PluginError(f"{label} returned {_describe(result)}; it must yield pictures")
    # Only the shape is kept: every copy of a very large picture counts.
    return _frames(label, list(arguments[0].shape), iter(result), _file_of(result))


def eight_bit_colours(label: str, _arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from a decoder `[H, W, 3]` or `[H, W, 4]`, 8 bit."""
    _check_colours(label, result, {"uint8": "8-bit"})
    return result


def _check_colours(label: str, result: Any, kinds: dict[str, str]) -> None:
    """Raise PluginError for what is no colours of a kind, each given by the name of its numbers and in words."""
    shape = _shape(result)
    if shape is None or str(result.dtype) not in kinds or len(shape) != 3 or shape[2] not in (3, 4) or 0 in shape:
        wanted = f"{' or '.join(kinds.values())} pixels, [H, W, 3] or [H, W, 4]"
        raise PluginError(f"{label} returned {_describe(result)}; it must return {wanted}")


def open_film(label: str, _arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from what opens films a film, whose errors are told with the plugin's name; None for a single picture."""
    if result is None:
        return None
    _check_has(label, result, "dreamd.api.Film", ("width", "height", "alpha", "frames"))
    _check_has(label, result, "dreamd.api.Film", ("seconds", "loop", "notes", "read", "close"))
    return _GuardedFilm(label, result)


def film_writer(label: str, _arguments: tuple[Any, ...], result: Any) -> Any:
    """Take from what creates films a writer."""
    _check_has(label, result, "dreamd.api.FilmWriter", ("deep", "part", "join"))
    return result


class _GuardedFilm:
    """A plugin's film, whose errors are told with the plugin's name.

    Attributes:
        own: the film as the plugin gave it.
    """

    def __init__(self, label: str, film: Any) -> None:
        self._label = label
        self.own = film
        self.width, self.height, self.alpha = int(film.width), int(film.height), bool(film.alpha)
        self.frames, self.seconds, self.loop, self.notes = film.frames, film.seconds, film.loop, tuple(film.notes)

    def read(self, start: Any = None) -> Iterator[Any]:
        """Yield the film's frames."""
        for frame in _yielded(self._label, iter(self.own.read(start))):
            _check_has(self._label, frame, "dreamd.api.Frame", ("pixels", "timing"))
            _check_colours(self._label, frame.pixels, {"uint8": "8-bit", "uint16": "16-bit"})
            yield frame

    def close(self) -> None:
        """Close the film."""
        self.own.close()


def _check_has(label: str, result: Any, what: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not hasattr(result, name):
            raise PluginError(f"{label} returned a {type(result).__name__} without {name!r}; see {what}")


def finite(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """Refuse a result with not-a-numbers, when those are looked for and the arguments had none."""
    if _looks_for_nan.get() and not _all_finite(result) and all(map(_all_finite, arguments)):
        raise PluginError(f"{label} is not-a-number or infinite: it divides by zero or overflows")
    return result


def _frames(label: str, wanted: list[int], frames: Iterator[Any], file: str) -> Iterator[Any]:
    last = None
    for last in _yielded(label, frames, file):
        yield finite(label, (), last) if _shape(last) is not None else last
    if _shape(last) != wanted:
        gave = "nothing" if last is None else _describe(last)
        raise PluginError(f"{label} gave {gave} for pictures of shape {wanted}; its last pictures must be as large")


def _yielded(label: str, values: Iterator[Any], file: str = "") -> Iterator[Any]:
    """Yield what a plugin's generator yields; its errors are told with the plugin's name.

    Args:
        label: what it is and whose.
        values: the generator.
        file: the plugin's file, where it is known.
    """
    while True:
        try:
            value = next(values)
        except StopIteration:
            return
        except (Exception, SystemExit) as error:
            if not is_plugins_fault(error) or is_of_the_engine(error):
                raise
            raise PluginError(f"{label}: {describe_error(error, file)}") from error
        yield value


def _all_finite(value: Any) -> bool:
    return not hasattr(value, "isfinite") or bool(value.isfinite().all())


def _shape(value: Any) -> list[int] | None:
    """Return a tensor's shape, and None for whatever is no tensor."""
    return list(value.shape) if hasattr(value, "shape") and hasattr(value, "dtype") else None


def _describe(value: Any) -> str:
    shape = _shape(value)
    if shape is None:
        return f"a {type(value).__name__}"
    return f"a {type(value).__name__.lower()} of shape {shape} ({str(value.dtype).removeprefix('torch.')})"


def _file_of(frames: object) -> str:
    code = getattr(frames, "gi_code", None)
    return code.co_filename if code else ""
