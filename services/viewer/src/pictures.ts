/** The pictures on the map: one, or two that meet at a movable line. */

import type OlMap from "ol/Map";
import TileLayer from "ol/layer/Tile";
import { getRenderPixel } from "ol/render";
import type RenderEvent from "ol/render/Event";
import ImageTile from "ol/source/ImageTile";
import { period } from "./products";
import { address, ask, isAborted, say, type Parameters } from "./service";
import { changed, isDay, type Picture, type State, type Store } from "./state";

/** What is said about pictures while they load; "" when all is well. */
export type Tell = (message: string) => void;

/** Where the tiles, points and previews of a picture are, and what they have to be told. */
export function pictureAddress(picture: Picture, state: State): { path: string; parameters: Parameters } {
  if (picture.what && !isDay(picture.what)) {
    return { path: `tiles/items/${encodeURIComponent(picture.what)}`, parameters: {} };
  }
  return {
    path: "tiles/mosaic",
    parameters: {
      datetime: picture.what || period(state),
      cloud: state.cloud < 100 ? state.cloud : null,
      order: state.order,
    },
  };
}

/** Puts the pictures on the map and keeps them as the state says. */
export class Pictures {
  readonly #left = new TileLayer<ImageTile>({ zIndex: 10 });
  readonly #right = new TileLayer<ImageTile>({ zIndex: 11 });
  #waiting = 0;

  constructor(
    private readonly map: OlMap,
    private readonly store: Store,
    private readonly tell: Tell,
  ) {
    map.addLayer(this.#left);
    map.addLayer(this.#right);
    this.#clip(this.#left, (at) => [0, at]);
    this.#clip(this.#right, (at, width) => [at, width]);
    store.watch((now, before) => this.#follow(now, before));
  }

  /** How many tiles are under way. */
  get waiting(): number {
    return this.#waiting;
  }

  #follow(now: State, before: State): void {
    const asked = changed(now, before, "from", "to", "cloud", "order");
    if (asked || changed(now, before, "left")) this.#left.setSource(this.#source(now.left, now));
    if (asked || changed(now, before, "right")) {
      this.#right.setSource(now.right ? this.#source(now.right, now) : null);
    }
    if (changed(now, before, "swipe", "right")) this.map.render();
  }

  #source(picture: Picture, state: State): ImageTile {
    const { path, parameters } = pictureAddress(picture, state);
    this.tell("");
    return new ImageTile({
      wrapX: false,
      maxZoom: 16,
      transition: 0,
      loader: async (z, x, y, { signal }) => {
        const url = address(`${path}/tiles/WebMercatorQuad/${z}/${x}/${y}.webp`, {
          ...parameters,
          render: picture.render,
        });
        this.#waiting += 1;
        try {
          return await this.#load(url, signal);
        } catch (error) {
          if (!isAborted(error)) this.tell(say(error));
          throw error;
        } finally {
          this.#waiting -= 1;
        }
      },
    });
  }

  async #load(url: URL, signal: AbortSignal): Promise<ImageBitmap | HTMLCanvasElement> {
    const answer = await ask(url, signal);
    const unreadable = answer.headers.get("Abut-Unreadable");
    const reason = answer.headers.get("Abut-Reason");
    if (unreadable) this.tell(`Not readable, and left out: ${unreadable}`);
    if (answer.status === 204) {
      if (reason?.startsWith("too wide")) this.tell("Too much ground for one picture: zoom in.");
      return empty();
    }
    return createImageBitmap(await answer.blob());
  }

  /** Draws a layer only between two columns of the map, if there are two pictures. */
  #clip(layer: TileLayer<ImageTile>, columns: (at: number, width: number) => [number, number]): void {
    layer.on("prerender", (event: RenderEvent) => {
      const context = event.context as CanvasRenderingContext2D;
      context.save();
      const size = this.map.getSize();
      if (!this.store.now.right || !size) return;
      const [from, to] = columns(size[0]! * this.store.now.swipe, size[0]!);
      const corners = [
        [from, 0],
        [to, 0],
        [to, size[1]!],
        [from, size[1]!],
      ].map((corner) => getRenderPixel(event, corner));
      context.beginPath();
      for (const [x, y] of corners) context.lineTo(x!, y!);
      context.closePath();
      context.clip();
    });
    layer.on("postrender", (event: RenderEvent) => (event.context as CanvasRenderingContext2D).restore());
  }
}

function empty(): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  return canvas;
}
