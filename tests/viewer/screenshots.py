"""Writes the documentation's pictures of the viewer: `make screenshots`."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from tests.serving import serving
from tests.viewer.browser import DESKTOP, PHONE, running, visiting
from tests.viewer.dates import make_archive

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
AT: Final = "at=12.012,52.255,11.4"
SHOTS: Final = {
    "search": ("", DESKTOP, "light"),
    "swipe": (f"#{AT}&left=2017-02-16&right=2017-02-26&tab=picture&show=", DESKTOP, "light"),
    "overlap": (f"#{AT}&left=2017-02-16&tab=picture&show=grid,overlap", DESKTOP, "light"),
    "pixel": (f"#{AT}&left=2017-03-18&left-render=ndvi&tab=pixel&pixel=12.0,52.26&show=", DESKTOP, "light"),
    "cube": (
        "#at=11.3,51.8,8.7&left=2017-02-16&tab=cube&tile=32UPC&buffer=10&bands=B02,B03,B04&show=",
        DESKTOP,
        "dark",
    ),
    "phone": (f"#{AT}&left=2017-02-16&right=2017-03-18&right-render=false-colour&show=", PHONE, "dark"),
}
"""What is shown, on what, and in which scheme."""
READY: Final = {"pixel": ".pixel tbody tr", "cube": "#copy", "overlap": "#overlap-total"}
"""What has to be there before the picture is taken."""
LOOKED_AT: Final = {"cube": "#copy"}
"""What the tools are scrolled to."""
LARGEST: Final = 300_000
"""Bytes of a picture."""


def take(browser: Browser, base: str, name: str) -> None:
    """Write one picture."""
    hash_, size, scheme = SHOTS[name]
    with visiting(browser, base, size, color_scheme=scheme, device_scale_factor=1.5) as visit:
        visit.open(hash_)
        if name in READY:
            visit.page.locator(READY[name]).first.wait_for()
        visit.settle()
        if name in LOOKED_AT:
            visit.page.locator(LOOKED_AT[name]).scroll_into_view_if_needed()
        data = visit.page.screenshot()
    path = FOLDER / f"viewer-{name}.webp"
    with Image.open(io.BytesIO(data)) as image:
        image.save(path, quality=82, method=6)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too many")
    sys.stdout.write(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1_000:.0f} kB\n")


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running() as browser:
        make_archive(Path(folder) / "archive")
        with serving(f"{folder}/archive") as served:
            for name in SHOTS:
                take(browser, served.url, name)


if __name__ == "__main__":
    main()
