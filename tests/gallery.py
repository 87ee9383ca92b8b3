"""docs/gallery.md: every preset on two of the project's own pictures, beside the original, with its recipe.

`python tests/gallery.py` (which is `make gallery`) paints the pictures, dreams what is new or has changed, and writes
the page. A preset's dreams are made anew when its recipe is no longer the one that the page was made with;
names as arguments make those anew in any case. It takes some minutes for all of them on two cores.

It makes the samples too, which ship with dreamd (`dreamd/presets/samples/`): one small picture as each preset dreams
it, by which presets are chosen on the page.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from dreamd.commands.demo.paintings import painters
from dreamd.pictures.picture import Picture, shrunk
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, leading_comment, preset_names
from dreamd.worker.films.film_dream import Watching
from dreamd.worker.films.starting import FilmJob
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import choose_device
from dreamd.worker.session import Session

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "images" / "gallery"
PRESETS = ROOT / "dreamd" / "presets"

SIZE = (480, 360)
"""The width and height in pixels of every picture that no preset shrinks."""

QUALITY = 80
"""Of JPEG: a dream of that size takes about 60 KB."""

PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""The networks whose weights come with dreamd and with its extra `networks`.

Presets of other networks are listed without pictures."""

FITTING = {
    "animals": ("landscape", "forest"),
    "arches": ("street", "portrait"),
    "caricature": ("portrait", "still_life"),
    "carving": ("evening", "drawing"),
    "cathedral": ("forest", "landscape"),
    "chimera": ("street", "forest"),
    "city": ("landscape", "still_life"),
    "cobbles": ("landscape", "evening"),
    "coral": ("still_life", "forest"),
    "deeper": ("portrait", "landscape"),
    "facets": ("portrait", "still_life"),
    "daisies": ("forest", "still_life"),
    "endless_zoom": ("evening", "portrait"),
    "jellyfish": ("landscape", "evening"),
    "lagoon": ("evening", "still_life"),
    "masquerade": ("still_life", "page"),
    "orchard": ("landscape", "street"),
    "pack": ("forest", "landscape"),
    "pearls": ("evening", "street"),
    "reverie": ("street", "evening"),
    "signs": ("portrait", "landscape"),
    "strata": ("street", "portrait"),
    "watchers": ("portrait", "landscape"),
    "weave": ("evening", "page"),
}
"""The two pictures that each preset is shown on; `OTHERS` for one that is not named here."""

OTHERS = ("landscape", "portrait")
"""The pictures for the other presets."""

SAMPLES = PRESETS / "samples"
"""The samples, a file a preset; with them the picture that they are dreams of, and which recipes they were made by."""

SAMPLED = "portrait"
"""The picture of the samples: it is the same for all, so that they can be compared."""

SAMPLE_SOURCE = "undreamed.webp"
"""The picture itself; no preset may have this name."""

SAMPLES_MADE = "made.json"
"""The file that says by which recipes the samples were made."""

SAMPLE_SIZE = (256, 192)
"""The width and height of a sample in pixels."""

SAMPLE_QUALITY = 72
"""Of WebP: a sample takes 6 to 18 KB."""

FILM_FRAME = 45
"""Of a preset that makes a film out of a picture this frame is shown, counted from 0."""

LINK = re.compile(r"\((images/gallery/[^)]+)\)")
"""A picture in the page."""

HEAD = """# Gallery

Every preset on two pictures, beside the original. The pictures are painted by dreamd itself
(`dreamd/commands/demo/paintings/`), and the dreams are made by `make gallery`, so that you can make each of them again:
`dreamd dream picture.jpg dream.jpg --recipe NAME`, or `extends: NAME` in a folder's `recipe.yaml`. Of a film out of a
picture a frame is shown.
"""


@dataclass(frozen=True)
class Shown:
    """A preset as the page shows it.

    Attributes:
        name: the preset's.
        sentence: what its file says that it makes.
        yaml: its file without that sentence.
        digest: tells its recipe from others, whatever new fields with a default there are.
        pictures: what it is shown on; () where its weights are downloaded.
    """

    name: str
    sentence: str
    yaml: str
    digest: str
    pictures: tuple[str, ...]


def shown(name: str) -> Shown:
    """Return a preset as the page shows it."""
    text = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    sentence = leading_comment(text)
    assert sentence, f"{name} begins with no comment that says what it makes"
    recipe = resolve(RecipeBook(None).documents_of_name(name)).recipe
    fields = json.dumps(recipe.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    digest = hashlib.sha256(fields.encode()).hexdigest()[:12]
    pictures = FITTING.get(name, OTHERS) if recipe.backbone.name in PACKAGED else ()
    return Shown(name, sentence, re.sub(r"\A(?:#.*\n)+", "", text).strip(), digest, pictures)


def page() -> str:
    """Return the page as it should be."""
    presets = [shown(name) for name in preset_names()]
    parts = [HEAD, *(_section(preset) for preset in presets if preset.pictures)]
    parts.append("## Presets of networks whose weights are downloaded\n")
    parts += [f"### `{preset.name}`\n\n{_recipe(preset)}" for preset in presets if not preset.pictures]
    return "\n".join(parts)


def _section(preset: Shown) -> str:
    rows = [
        f"| ![{picture}](images/gallery/{picture}.jpg) "
        f"| ![{picture}, dreamed by {preset.name}](images/gallery/{preset.name}-{picture}.jpg) |"
        for picture in preset.pictures
    ]
    return f"## `{preset.name}`\n\n{_recipe(preset)}\n| original | `{preset.name}` |\n| --- | --- |\n" + "\n".join(
        [*rows, ""]
    )


def _recipe(preset: Shown) -> str:
    return f"<!-- recipe {preset.digest} -->\n{preset.sentence}\n\n```yaml\n{preset.yaml}\n```\n"


def made_with() -> dict[str, str]:
    """Return the digest of the recipe that each preset's pictures were made with, as the page says."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return dict(re.findall(r"^##+ `(\w+)`\n\n<!-- recipe (\w+) -->", text, re.MULTILINE))


def sampled_with() -> dict[str, str]:
    """Return the digest of the recipe that each preset's sample was made with."""
    file = SAMPLES / SAMPLES_MADE
    recipes: dict[str, str] = json.loads(file.read_bytes())["recipes"] if file.exists() else {}
    return recipes


def main(anew: set[str]) -> None:
    """Dream what is new or has changed or is asked for, and write the page and the samples."""
    plugins = Plugins("dreamd.engine")
    session = Session(plugins, choose_device("cpu"), Bounds(max_pixels=1 << 24, max_bytes=1 << 24, memory=4 << 30))
    _make_samples(session, anew)
    _make_page(session, anew)


def _make_samples(session: Session, anew: set[str]) -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    presets = [preset for preset in map(shown, preset_names()) if preset.pictures]
    digests = {preset.name: preset.digest for preset in presets}
    made = {name: digest for name, digest in sampled_with().items() if digests.get(name) == digest and name not in anew}
    _save_sample(_painted(SAMPLED), SAMPLES / SAMPLE_SOURCE)
    for name, digest in digests.items():
        file = SAMPLES / f"{name}.webp"
        if name not in made or not file.exists():
            _save_sample(_dream(session, name, SAMPLED), file)
            made[name] = digest
        _note_samples(made)  # each at once, so that a run that is broken off goes on from there
    for file in {*SAMPLES.glob("*.webp")} - {SAMPLES / f"{name}.webp" for name in digests} - {SAMPLES / SAMPLE_SOURCE}:
        file.unlink()


def _note_samples(made: dict[str, str]) -> None:
    record = {"source": SAMPLED, "recipes": dict(sorted(made.items()))}
    (SAMPLES / SAMPLES_MADE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _save_sample(picture: Image.Image, file: Path) -> None:
    small = picture.resize(SAMPLE_SIZE, Image.Resampling.LANCZOS)
    small.save(file, "WEBP", quality=SAMPLE_QUALITY, method=6)
    print(file.relative_to(ROOT), flush=True)


def _make_page(session: Session, anew: set[str]) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    before = made_with()
    wanted: set[Path] = set()
    for preset in map(shown, preset_names()):
        for picture in preset.pictures:
            files = [PICTURES / f"{picture}.jpg", PICTURES / f"{preset.name}-{picture}.jpg"]
            wanted |= {*files}
            if before.get(preset.name) != preset.digest or preset.name in anew or not files[1].exists():
                _dream(session, preset.name, picture).save(files[1], quality=QUALITY, optimize=True)
                print(files[1].relative_to(ROOT), flush=True)
            if not files[0].exists():
                _painted(picture).save(files[0], quality=QUALITY, optimize=True)
    for file in {*PICTURES.iterdir()} - wanted:
        file.unlink()
    PAGE.write_text(page(), encoding="utf-8")


@cache
def _painted(name: str) -> Image.Image:
    return painters()[name](*SIZE)


@cache
def _dream(session: Session, preset: str, picture: str) -> Image.Image:
    recipe = RecipeBook(None).for_name(preset).recipe
    painted = Picture(pixels=np.array(_painted(picture)), alpha=None, format="PNG")
    given = shrunk(painted, recipe.image.max_side)
    if recipe.film.frames is not None:
        return _frame_of_film(session, recipe, given)
    (dream,) = session.dream([given], session.build(recipe), on_progress=lambda _: None)
    return Image.fromarray(dream.picture.pixels)


def _frame_of_film(session: Session, recipe: Recipe, given: Picture) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        film = FilmJob(session=session, recipe=recipe, build=session.build, folder=Path(folder)).made(given)
        film.go_on(lambda: film.folder.standing.frames > FILM_FRAME, Watching())
        return Image.fromarray(film.folder.frame(FILM_FRAME))


if __name__ == "__main__":
    main({*sys.argv[1:]})
