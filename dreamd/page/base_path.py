"""The path of a proxy below which the page is served, such as `/dreams`."""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class BelowPath:
    """Takes the path away from addresses that have it. So the page answers whether the proxy passes it on or not."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        """Set up.

        Args:
            app: the application, which knows only addresses without the path.
            base_path: the path, with a slash in front and none at its end; "" for none.
        """
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application around another."""
        base = self._base_path
        path: str = scope.get("path", "")
        if base and path == base:  # without the slash, what is relative to the page would be relative to its parent
            await RedirectResponse(f"{base}/", 308)(scope, receive, send)
        elif base and path.startswith(f"{base}/"):
            await self._app({**scope, "path": path.removeprefix(base)}, receive, send)
        else:
            await self._app(scope, receive, send)
