"""Headless Chromium, in which emails are looked at as a reader would."""

import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright

Scheme = Literal["light", "dark"]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
SCREENSHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots"
_PATIENCE_MILLISECONDS = 120_000
NOT_THERE = "no Chromium on the PATH: apt-get install chromium"

# The share of a picture's points that are brighter than four fifths of white.
_BRIGHT_SHARE = """
async (png) => {
  const octets = Uint8Array.from(atob(png), (character) => character.charCodeAt());
  const picture = await createImageBitmap(new Blob([octets], {type: "image/png"}));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const points = context.getImageData(0, 0, picture.width, picture.height).data;
  let bright = 0;
  for (let at = 0; at < points.length; at += 4)
    bright += 0.2126 * points[at] + 0.7152 * points[at + 1] + 0.0722 * points[at + 2] > 204;
  return bright / (points.length / 4);
}
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Skips the test where there is none."""
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.skip(NOT_THERE)
    async with async_playwright() as playwright:
        # Containers and CI run as root, where Chromium's own sandbox cannot be made; all it is shown is ours.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


class Window:
    """A page in which everything is shown. `asked` has the addresses that it wanted, none of which it gets."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []

    async def show(self, html: str, *, width: int, scheme: Scheme) -> None:
        await self.page.set_viewport_size({"width": width, "height": 600})
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.set_content(html)

    async def picture(self, name: str) -> float:
        """Takes one of the whole page, keeps it, and returns which share of it is bright."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        return await self._bright(await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True))

    async def bright_share_of_frame(self, selector: str) -> float:
        """Of the first visible frame like this, once something is shown in it."""
        frame = self.page.locator(f"{selector}:visible").first
        shown = "frame => frame.contentDocument?.body?.offsetHeight === frame.clientHeight"
        await self.page.wait_for_function(shown, arg=await frame.element_handle())
        return await self._bright(await frame.screenshot())

    async def refuse(self, route: Route) -> None:
        self.asked.append(route.request.url)
        await route.abort()

    async def _bright(self, png: bytes) -> float:
        share: float = await self.page.evaluate(_BRIGHT_SHARE, base64.b64encode(png).decode())
        return share


@asynccontextmanager
async def window() -> AsyncIterator[Window]:
    """Until something is shown in it, the page is as light or dark as what it shows says. Skips without Chromium."""
    async with chromium() as browser:
        page = await browser.new_page(color_scheme="null")
        page.set_default_timeout(_PATIENCE_MILLISECONDS)
        one = Window(page)
        await page.route(lambda address: not address.startswith("file:"), one.refuse)
        yield one
