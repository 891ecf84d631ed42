"""What titiler's routes read: a scene, opened when the work begins, and the request that it is read for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.cubes.execution import Stop
from services.tiles.told import ITEM_SECONDS, MOSAIC_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from abut.archive import Archive
    from abut.asked import Options
    from abut.connection import Connection
    from services.cubes.execution import Workshop
    from services.settings import Settings
    from services.tiles.budget import Budget
    from services.tiles.frame import Frame, Pixels
    from services.tiles.scene import Scene
    from services.tiles.scenes import Scenes
    from services.tiles.told import Told
    from services.tiles.wish import Wish


@dataclass(frozen=True, slots=True)
class Context:
    """What all routes need."""

    archive: Archive
    """The archive."""
    connection: Connection
    """The same, for cubes."""
    scenes: Scenes
    """What is open."""
    workshop: Workshop
    """Where pictures are made while their requests wait."""
    crops: Workshop
    """The same for what is no map tile, so that tiles never wait for it."""
    downloads: Workshop
    """Where files of native pixels are made, which takes longer."""
    settings: Settings
    """What the operator decided."""
    budget: Budget
    """How many values pictures may have in memory."""


def options_of(context: Context, wish: Wish) -> Options:
    """Return which products are chosen, as `abut.connection.Connection` wants it; errors as of `Scenes.matching`."""
    ids = [wish.item] if wish.item is not None else list(wish.ids) or None
    if wish.filter is not None:
        found = context.scenes.matching(wish.filter)
        ids = sorted(found if ids is None else found.intersection(ids))
    return {
        "datetime": wish.period,
        "ids": ids,
        "tiles": list(wish.tiles) or None,
        "max_cloud_cover": wish.cloud,
        "relative_orbit": wish.orbit,
        "datatake": wish.datatake,
    }


@dataclass(slots=True)
class Source:
    """What one request reads."""

    context: Context
    """The service."""
    wish: Wish
    """What is asked for."""
    request: Request
    """The request."""
    stop: Stop = field(default_factory=Stop)
    """Tells the work to end, when nobody waits for it any longer."""
    is_tile: bool = False
    """Whether it is a map tile: others leave a quarter of the budget to these."""
    taken: int = 0
    """Values of the budget that it has."""

    def __post_init__(self) -> None:
        self.told.seconds = ITEM_SECONDS if self.wish.item else MOSAIC_SECONDS

    @property
    def told(self) -> Told:
        """What is told of the answer."""
        told: Told = self.request.state.told
        return told

    def scene(self) -> Scene:
        """Return the scene; errors as `services.tiles.scenes.Scenes.open`."""
        return self.context.scenes.open(self.wish)

    def read(self, scene: Scene, frame: Frame, layers: Sequence[str], **how: object) -> Pixels:
        """Read pixels unless the client has what is made of them.

        Raises
        ------
        UnchangedError
            If it has.
        AbutError
            As `services.tiles.scene.Scene.read`.
        """
        self.stop.check()
        self.told.of([scene.etag(frame, layers)])
        self._take(frame.width * frame.height * len(layers))
        pixels = scene.read(frame, layers, stop=self.stop, **how)  # type: ignore[arg-type]  # by `services.tiles.renders`
        self.stop.check()  # before it is rendered
        self.told.products.update(pixels.products)
        self.told.unreadable.update(pixels.unreadable)
        return pixels

    def end(self) -> None:
        """Give back what was taken of the budget."""
        self.context.budget.give(self.taken)
        self.taken = 0

    def _take(self, values: int) -> None:
        self.end()  # of several pictures of a request one is made at once, and who waits holds nothing
        budget = self.context.budget
        budget.take(values, self.stop, most=None if self.is_tile else budget.values - budget.values // 4)
        self.taken = values
