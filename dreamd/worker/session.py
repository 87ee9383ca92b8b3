"""A session: a recipe and pictures in, dreams out, on one device. A worker has one, and so has `dreamd dream`.

Knows recipes, pictures and the engine. Knows no messages and no jobs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from dreamd import __version__
from dreamd.engine.checkpoint import Checkpoint, CheckpointFolder
from dreamd.engine.dream import Dreamed, batch_size
from dreamd.engine.dreamer import Dreamer, Progress
from dreamd.engine.glimpse import Glimpse
from dreamd.engine.sequence import dream_in_sequence
from dreamd.errors import NotANumberError
from dreamd.inbox.dream_files import is_dream_file
from dreamd.messages import Sidecar
from dreamd.pictures.colours.conversion import are_bytes
from dreamd.pictures.paging.pages import Pages, open_pages
from dreamd.pictures.picture import Picture, shrunk
from dreamd.pictures.reading import read_picture
from dreamd.plugin_host.calling.results import looking_for_nan
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Recipe
from dreamd.weights.transfer import OnBytes
from dreamd.wording import printable
from dreamd.worker.dream import Dream
from dreamd.worker.films.opening import check_no_film
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device, device_name
from dreamd.worker.pixels import mask_of, result_pixels, to_tensor
from dreamd.worker.recipes.builder import Builder, Built
from dreamd.worker.recipes.noise import noise_of
from dreamd.worker.recipes.recipe_pictures import RecipePictures


class Session:
    """Dreams pictures on one device.

    Attributes:
        plugins: the engine's.
        bounds: what a picture may cost.
    """

    def __init__(
        self,
        plugins: Plugins,
        device: Device,
        bounds: Bounds,
        *,
        deterministic: bool = True,
        may_fetch: bool = True,
    ) -> None:
        """Load nothing yet.

        Args:
            plugins: the engine's.
            device: what to dream on.
            bounds: what a picture may cost.
            deterministic: on a GPU, whether to take only algorithms that give the same bits each time.
            may_fetch: whether weights that are not here are fetched, which is waited for.
        """
        self._device = device
        self.plugins = plugins
        self._builder = Builder(
            plugins,
            device.torch,
            bounds.memory,
            deterministic=deterministic,
            may_fetch=may_fetch,
            pictures=RecipePictures(bounds),
        )
        self.bounds = bounds

    def build(self, recipe: Recipe, on_bytes: OnBytes | None = None) -> Built:
        """Return what the recipe dreams with; raises as `Builder.build` does."""
        return self._builder.build(recipe, on_bytes)

    def read(self, source: Path, recipe: Recipe) -> Picture:
        """Decode a file, with a plugin where one takes it, and shrink it as the recipe wants.

        Raises:
            PictureError: it is no picture, or one that is too large.
            PluginError: the plugin that decodes it breaks its contract.
        """
        if recipe.film.frames is not None:
            check_no_film(self.plugins, source)
        decoder = self.plugins.decoder(source)
        picture = read_picture(
            source,
            max_pixels=self.bounds.max_pixels,
            max_bytes=self.bounds.max_bytes,
            decode=decoder.function if decoder else None,
        )
        return shrunk(picture, recipe.image.max_side)

    def pages(self, source: Path, recipe: Recipe) -> Pages | None:
        """Open a file of several pages; None where it has one, the recipe wants the first, or a plugin decodes it.

        Raises:
            PictureError: it is broken, or has too many or too large pages.
        """
        if recipe.image.pages == "first" or recipe.film.frames is not None or self.plugins.decoder(source):
            return None
        return open_pages(source, self.bounds)

    def noise(self, recipe: Recipe) -> Picture:
        """Return what a dream from nothing begins with. Raises RecipeError where the recipe asks for too much."""
        return noise_of(recipe, max_pixels=self.bounds.max_pixels)

    def count_together(self, picture: Picture, built: Built, most: int) -> int:
        """Return how many pictures like that one fit in a dream: from 1 to `most`. Not to be asked during a dream."""
        height, width = picture.pixels.shape[:2]
        dreamers = self._counting([picture], built.dreamers)
        return min(batch_size(dreamer, height, width, most=most) for dreamer in dreamers)

    def _counting(self, pictures: Sequence[Picture], dreamers: Sequence[Dreamer]) -> tuple[Dreamer, ...]:
        """Return dreamers that reckon with what deep pictures hold, in floats too, where they are computed."""
        is_beside = self._device.torch.type == "cpu" and any(not are_bytes(picture.pixels) for picture in pictures)
        return tuple(replace(dreamer, beside=dreamer.beside + is_beside) for dreamer in dreamers)

    def checkpoint(self, folder: Path, input_sha256: str, built: Built) -> CheckpointFolder:
        """Open the kept state of a dream in a folder. What another dream or another version left there is ignored."""
        return CheckpointFolder(folder, self.fingerprint(input_sha256, built))

    def fingerprint(self, input_sha256: str, built: Built) -> str:
        """Return a checksum of all that decides over the bits of a dream here.

        Args:
            input_sha256: the checksum of the picture.
            built: what it is dreamed with.
        """
        about = [input_sha256, built.recipe.model_dump_json(), _versions(), built.plugins, built.weights_sha256]
        about += [device_name(self._device.torch), built.dreamer.precision, str(self.threads()), built.pictures]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def dream(
        self,
        pictures: Sequence[Picture],
        built: Built,
        *,
        on_progress: Callable[[Progress], None],
        checkpoint: Checkpoint | None = None,
        on_frame: Callable[[Tensor], None] = lambda _images: None,
        on_glimpse: Callable[[Progress, Glimpse], None] | None = None,
    ) -> list[Dream]:
        """Dream pictures of one size; each keeps its original's alpha channel, description and resolution.

        A dream that comes out as not-a-number is dreamed once more, looking for the plugin whose doing it is.

        Args:
            pictures: the pictures.
            built: what to dream with.
            on_progress: as `dreamd.engine.sequence.dream_in_sequence` takes it.
            checkpoint: as there.
            on_frame: as there.
            on_glimpse: as there.

        Raises:
            BatchTooLargeError: memory does not suffice for so many pictures at once.
            NotANumberError: the dream came out as not-a-number, and no plugin is to blame.
            PluginError: a plugin breaks its contract, or makes the not-a-number.
        """
        result = self.dream_images(
            lambda: to_tensor(pictures),
            built,
            dreamers=self._counting(pictures, built.dreamers),
            mask=mask_of(pictures, built),
            on_progress=on_progress,
            checkpoint=checkpoint,
            on_frame=on_frame,
            on_glimpse=on_glimpse,
        )
        return [_dream_of(number, picture, built, result) for number, picture in enumerate(pictures)]

    def dream_images(
        self,
        images: Callable[[], Tensor],
        built: Built,
        *,
        on_progress: Callable[[Progress], None],
        dreamers: Sequence[Dreamer] = (),
        mask: Tensor | None = None,
        original: Tensor | None = None,
        checkpoint: Checkpoint | None = None,
        on_frame: Callable[[Tensor], None] = lambda _images: None,
        on_glimpse: Callable[[Progress, Glimpse], None] | None = None,
    ) -> Dreamed:
        """Dream images of one size.

        Args:
            images: makes them, `[N, 3, H, W]`, float32 in [0, 1]; called again where the dream is.
            built: what to dream with.
            on_progress: as `dreamd.engine.sequence.dream_in_sequence` takes it.
            dreamers: those of `built`, where they know of more that is held meanwhile.
            mask: as there.
            original: as there.
            checkpoint: as there.
            on_frame: as there.
            on_glimpse: as there.

        Raises:
            BatchTooLargeError: as `dream` does, as well as the others.
        """
        dreamers = dreamers or built.dreamers
        given = images()
        seeds = [built.recipe.seed] * len(given)
        handed = [given]
        del given  # or its memory would be kept during the dream
        try:
            return dream_in_sequence(
                handed.pop(),
                dreamers,
                seeds=seeds,
                on_progress=on_progress,
                checkpoint=checkpoint,
                on_frame=on_frame,
                mask=mask,
                original=original,
                on_glimpse=on_glimpse,
            )
        except NotANumberError:
            with looking_for_nan():
                # A recording would be replayed without the plugins' own code, which is what is looked at.
                unrecorded = [replace(dreamer, graphs=None) for dreamer in dreamers]
                dream_in_sequence(
                    images(), unrecorded, seeds=seeds, on_progress=on_progress, mask=mask, original=original
                )
            raise

    def sidecar(self, *, job: str, source: Path, dream: Dream, seconds: float) -> Sidecar:
        """Return the record of a dream."""
        height, width = dream.picture.pixels.shape[:2]
        built = dream.built
        return Sidecar(
            job=job,
            picture=printable(source.name),
            input_sha256=dream.picture.sha256,
            recipe=built.recipe.model_dump(mode="json"),
            versions={**_versions(), **built.plugins, **self._decoder_version(source)},
            weights_sha256=built.weights_sha256,
            pictures=built.pictures,
            device=self._device.label,
            precision=built.dreamer.precision,
            threads=self.threads() or None,
            seed=built.recipe.seed,
            size=(width, height),
            tiling=dream.tiling,
            seconds=round(seconds, 4),
            loss_before=dream.loss_before,
            loss_after=dream.loss_after,
            notes=dream.picture.notes,
            steps=built.recipe.output.steps,
        )

    @property
    def device_name(self) -> str:
        """What it dreams on, as a sidecar says it."""
        return self._device.label

    def versions(self, built: Built) -> dict[str, str]:
        """Return the versions of dreamd, of torch, and of the plugins that a dream is made with."""
        return {**_versions(), **built.plugins}

    def threads(self) -> int:
        """Return how many threads compute: on a processor the last bits depend on it. A GPU has none of them."""
        return torch.get_num_threads() if self._device.torch.type == "cpu" else 0

    def _decoder_version(self, source: Path) -> dict[str, str]:
        """Return the plugin that decodes that file, with its version; nothing where dreamd itself does."""
        decoder = None if is_dream_file(source.name) else self.plugins.decoder(source)
        return {decoder.entry.plugin: decoder.entry.version} if decoder else {}


def _versions() -> dict[str, str]:
    """Return the versions that decide over a dream's bits."""
    return {"dreamd": __version__, "torch": torch.__version__, "torchvision": version("torchvision")}


def _dream_of(number: int, picture: Picture, built: Built, result: Dreamed) -> Dream:
    """Return the dream of the picture of that number in a batch."""
    return Dream(
        picture=replace(picture, pixels=result_pixels(result.images[number], picture, built.recipe.output.depth)),
        built=built,
        loss_before=result.loss_before[number],
        loss_after=result.loss_after[number],
        tiling=result.tiling,
    )
