"""Headless Chromium and GitHub's own stylesheet: pages in, PNG files out."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pictures_png import height, shrunk

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")

_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-lcd-text",
    "--virtual-time-budget=10000",
)
_SCHEMES: dict[Theme, int] = {"light": 1, "dark": 0}
_SCALES = (2.0, 1.75, 1.5, 1.25, 1.0)
_MOST_BYTES = 200_000
_MOST_HEIGHT = 6_000
"""Of a page, in CSS pixels; twice that is about all that Chromium can draw."""
_MARGIN = 12
_PATIENCE_S = 180


class MissingToolError(Exception):
    """Something that has to be installed first; the message says what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stylesheet:
    """What makes a page look like GitHub's.

    Attributes:
        css: by theme.
        icons: the SVG of an icon by its name.
    """

    css: dict[Theme, str]
    icons: dict[str, str]


def stylesheet(folder: Path, icons: tuple[str, ...]) -> Stylesheet:
    """Install GitHub's Markdown stylesheet and icons into a folder, and read them.

    Raises:
        MissingToolError: npm is missing or could not fetch them.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise MissingToolError("Install Node.js with npm, which fetches GitHub's stylesheet for the pictures.")
    packages = ("github-markdown-css", "@primer/octicons")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    if subprocess.run([*command, *packages], cwd=folder, capture_output=True, check=False).returncode:
        raise MissingToolError(f"Let npm reach a registry that has {' and '.join(packages)}, the look of the pictures.")
    modules = folder / "node_modules"
    read = {theme: (modules / packages[0] / f"github-markdown-{theme}.css").read_text("utf-8") for theme in THEMES}
    shapes = modules / packages[1] / "build" / "svg"
    return Stylesheet(css=read, icons={name: (shapes / f"{name}-16.svg").read_text("utf-8") for name in icons})


def chromium() -> str:
    """Where Chromium is.

    Raises:
        MissingToolError: there is none.
    """
    found = next((path for name in _CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        raise MissingToolError("Install Chromium (on Debian: apt install chromium), which draws the pictures.")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Browser:
    """Chromium with a fresh profile for each page.

    Attributes:
        path: of the program.
        folder: for profiles and pages.
    """

    path: str
    folder: Path

    def picture(self, page: str, theme: Theme, width: int, out: Path) -> None:
        """Draw a page as wide as told and as high as it is, as sharp as 200 kB allow.

        Args:
            page: HTML.
            theme: What the page is told that the reader prefers.
            width: In CSS pixels.
            out: The PNG file to write.

        Raises:
            ValueError: The page is higher than all that fits.
        """
        file = self.folder / "page.html"
        file.write_text(page, encoding="utf-8")
        window = _MOST_HEIGHT
        for scale in _SCALES:
            size = f"--window-size={width},{window}"
            self._run(file, theme, size, f"--force-device-scale-factor={scale}", f"--screenshot={out}")
            out.write_bytes(shrunk(out.read_bytes(), margin=round(_MARGIN * scale)))
            if out.stat().st_size <= _MOST_BYTES:
                return
            window = min(window, round(height(out.read_bytes()) / scale) + 2 * _MARGIN)

    def _run(self, file: Path, theme: Theme, *flags: str) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as profile:
            own = [f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={_SCHEMES[theme]}"]
            command = [self.path, *_FLAGS, *own, *flags, file.as_uri()]
            subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=True)
