"""What the handlers of one tree have in common, made once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Self

from dreamd.page.access.clients import Clients
from dreamd.page.again.comparisons import Comparisons
from dreamd.page.again.dreaming import Again
from dreamd.page.api.job_view import ApiJobs
from dreamd.page.carried.recipes import CarriedRecipes
from dreamd.page.gallery.deeds import ResultDeeds
from dreamd.page.gallery.results import ResultView
from dreamd.page.posting.posting import Posting
from dreamd.page.posting.receipts import Receipts
from dreamd.page.recipes.cards import RecipeCards
from dreamd.page.recipes.editor import Recipes
from dreamd.page.state import StateView
from dreamd.page.uploading.sizes import Sizes
from dreamd.page.uploading.uploads import Uploads
from dreamd.settings.config import Config


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What handlers answer with.

    Attributes:
        config: the config.
        clients: tells who asks.
        state: what the daemon says of itself.
        recipes: the recipes of the tree.
        cards: presets and named recipes to choose from.
        sizes: tells how large what is dropped may be.
        uploads: takes pictures into the inbox.
        receipts: what was given out for pictures that were posted.
        jobs: tells jobs, by what was given out or by their own ids.
        posting: takes pictures with recipes of their own.
        comparisons: which jobs are looked at side by side.
        again: dreams pictures again.
        carried: finds the recipes that files carry.
        results: looks at the results.
        deeds: what people do with results.
    """

    config: Config
    clients: Clients
    state: StateView
    recipes: Recipes
    cards: RecipeCards
    sizes: Sizes
    uploads: Uploads
    receipts: Receipts
    jobs: ApiJobs
    posting: Posting
    comparisons: Comparisons
    again: Again
    carried: CarriedRecipes
    results: ResultView
    deeds: ResultDeeds

    @classmethod
    def of(cls, config: Config, clients: Clients, reloads: threading.Event) -> Self:
        """Make them; `reloads` is set when the daemon has read its config anew."""
        recipes, receipts = Recipes(config, reloads), Receipts(config.state, config.inbox)
        sizes = Sizes(config.limits, recipes.offered)
        uploads = Uploads(config, sizes)
        state = StateView(config)
        posting, comparisons = Posting(config, uploads, recipes, receipts), Comparisons(config.state)
        return cls(
            config=config,
            clients=clients,
            state=state,
            recipes=recipes,
            cards=RecipeCards(config, recipes),
            sizes=sizes,
            uploads=uploads,
            receipts=receipts,
            jobs=ApiJobs(config, receipts),
            posting=posting,
            comparisons=comparisons,
            again=Again(config, posting, comparisons),
            carried=CarriedRecipes(config, uploads),
            results=ResultView(config),
            deeds=ResultDeeds(config, state.note_marked),
        )
