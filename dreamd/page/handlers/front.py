"""The page itself, and the way in: `/`, `/login`, `/logout`, `/static`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from dreamd import __version__
from dreamd.errors import UsageError
from dreamd.page.access.entrance import Entrance
from dreamd.page.access.guesses import TooSoonError
from dreamd.page.handlers.answers import answering
from dreamd.page.handlers.requests import read_body

_STATIC = Path(__file__).parent.parent / "static"
"""The style sheet and the scripts that a browser loads."""


class Front:
    """What a browser loads first. What the page shows comes by the other addresses."""

    def __init__(self, entrance: Entrance | None) -> None:
        self._entrance = entrance if entrance is not None and entrance.asks_persons else None
        self._templates = Environment(
            loader=PackageLoader("dreamd.page"), autoescape=select_autoescape(), undefined=StrictUndefined
        )

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/", answering(self.page), methods=["GET"]),
            Route("/login", answering(self.login_page), methods=["GET"]),
            Route("/login", answering(self.login), methods=["POST"]),
            Route("/logout", answering(self.logout), methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]

    async def page(self, _request: Request) -> Response:
        """Answer with the page."""
        return self._render("page.html", version=__version__, has_token=self._entrance is not None)

    async def login_page(self, _request: Request) -> Response:
        """Answer with a form that asks for the token."""
        return self._render("login.html", problem=None)

    async def login(self, request: Request) -> Response:
        """Take the token from that form."""
        if self._entrance is None:
            raise UsageError("no token is set; the page is open")
        fields = parse_qs((await read_body(request)).decode("ascii", "replace"))
        token = fields.get("token", [""])[0].strip()
        try:
            welcome = await self._entrance.sign_in(request, token)
        except TooSoonError as error:
            problem = f"Too many wrong tokens. Try again in {error.seconds} seconds."
            return self._render("login.html", code=429, problem=problem)
        return welcome or self._render("login.html", code=401, problem="That is not the token.")

    async def logout(self, request: Request) -> Response:
        """Have this browser forget its session."""
        return Response(status_code=204) if self._entrance is None else self._entrance.sign_out(request)

    def _render(self, name: str, *, code: int = 200, **values: object) -> Response:
        return HTMLResponse(self._templates.get_template(name).render(**values), code)
