"""The application: every handler over one tree, with the guard before them, below the path of a proxy."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from dreamd.page.access.clients import Clients
from dreamd.page.access.entrance import Entrance
from dreamd.page.access.guard import Guard
from dreamd.page.access.programs import Programs
from dreamd.page.access.sessions import Sessions
from dreamd.page.api.service import api_operations, api_route
from dreamd.page.attention import Attention
from dreamd.page.base_path import BelowPath
from dreamd.page.handlers.actions import Actions
from dreamd.page.handlers.again import AgainHandlers
from dreamd.page.handlers.attention import AttentionHandlers
from dreamd.page.handlers.carried import CarriedHandlers
from dreamd.page.handlers.front import Front
from dreamd.page.handlers.machines import Machines
from dreamd.page.handlers.now import Now
from dreamd.page.handlers.recipes import RecipeHandlers
from dreamd.page.handlers.results import Results
from dreamd.page.handlers.studio import StudioHandlers
from dreamd.page.handlers.weights import WeightsHandlers
from dreamd.page.parts import Parts
from dreamd.page.recipes.weights_needed import WeightsNeeded
from dreamd.settings.config import Config


class Routes(NamedTuple):
    """What is answered.

    Attributes:
        all: every address.
        results: a handler that has to be closed.
        studio: another.
    """

    all: list[BaseRoute]
    results: Results
    studio: StudioHandlers


def make_app(config: Config, token: str | None, programs: Programs, reloads: threading.Event) -> BelowPath:
    """Make the application.

    Args:
        config: the config.
        token: what every person must show; None where only this machine can connect.
        programs: the programs that have tokens of their own.
        reloads: set when the daemon has read its config anew.
    """
    base_path, clients = config.status.base_path, Clients(config.status.trusted_proxy)
    sessions = Sessions(token, path=f"{base_path}/") if token is not None else None
    entrance = None
    if sessions is not None or programs:
        entrance = Entrance(sessions, programs, clients, secure_cookies=config.status.secure_cookies)
    routes = make_routes(config, clients, entrance, reloads)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await routes.results.close()
        await routes.studio.close()

    guarded = Guard(Starlette(routes=routes.all, lifespan=lifespan), config.status, entrance)
    return BelowPath(guarded, base_path)


def make_routes(config: Config, clients: Clients, entrance: Entrance | None, reloads: threading.Event) -> Routes:
    """List every address, with what answers it.

    Args:
        config: the config.
        clients: tells who asks.
        entrance: takes the token; None where there is none.
        reloads: as `make_app` takes it.
    """
    parts = Parts.of(config, clients, reloads)
    state, recipes, uploads = parts.state, parts.recipes, parts.uploads
    results = Results(config, parts.results, recipes)
    studio = StudioHandlers(parts, results.thumbnails)
    every = [
        *Front(entrance).routes(),
        *Now(config, state, clients, parts.sizes).routes(),
        *results.routes(),
        *AttentionHandlers(Attention(config)).routes(),
        *Actions(config, uploads).routes(),
        *RecipeHandlers(recipes, parts.cards).routes(),
        *CarriedHandlers(parts.carried).routes(),
        *AgainHandlers(parts).routes(),
        *studio.routes(),
        *WeightsHandlers(config, WeightsNeeded(config, recipes)).routes(),
        *Machines(config, entrance).routes(),
        api_route(api_operations(parts)),
    ]
    return Routes(every, results, studio)
