/** The page: puts its parts together. */

import "./style.css";
import { fromLonLat, toLonLat } from "ol/proj";
import { Cube } from "./cube";
import { byId, make } from "./dom";
import { makeFilters } from "./filters";
import { Footprints } from "./footprints";
import { Lattice, tileAt } from "./lattice";
import { Look } from "./look";
import { makeMap, middle, reveal, seen, show } from "./map";
import { Marks } from "./marks";
import { Notice } from "./notice";
import { Pictures } from "./pictures";
import { Pixel } from "./pixel";
import { askExtent, type Product } from "./products";
import { askRenders } from "./renders";
import { Results } from "./results";
import { Search } from "./search";
import { say } from "./service";
import { format, parse, Store } from "./state";
import { makeSwipe } from "./swipe";
import { makeTabs } from "./tabs";

const store = new Store(parse(location.hash));
const fresh = store.now.view === null;
const target = byId("map");
const map = makeMap(target, store);
const notice = new Notice(byId("notice"));
const pictures = new Pictures(map, store, (message) => notice.say("pictures", message));
const footprints = new Footprints(map, store);
const marks = new Marks(map, store);
const look = new Look(store);
new Lattice(map, store, look.told);
const results = new Results(store, {
  point: (id) => footprints.point(id),
  open: (product) => product.bbox && show(map, product.bbox),
});
const cube = new Cube(store, {
  draw: () => marks.draw(),
  seen: () => seen(map),
  outline: (window, moved) => marks.outline(window, moved),
});
const pixel = new Pixel(store, () => middle(map));
const search = new Search(map, store, (progress) => {
  results.show(progress);
  if (progress.kind === "found") found(progress.products);
});

makeSwipe(target.parentElement!, store);
makeTabs(
  byId("tabs"),
  byId("sheet"),
  [
    { key: "products", title: "Products", content: make("div", {}, makeFilters(store), results.element) },
    { key: "picture", title: "Picture", content: look.element },
    { key: "pixel", title: "Pixel", content: pixel.element },
    { key: "cube", title: "Cube", content: cube.element },
  ],
  store,
);
followAddress();
followMap();
void begin();

/** Starts with what the archive has. */
async function begin(): Promise<void> {
  askRenders()
    .then((renders) => look.setRenders(renders))
    .catch((error: unknown) => notice.say("renders", `No pictures: ${say(error)}`));
  try {
    const extent = await askExtent();
    if (extent.first) byId("about").textContent = `Sentinel-2 L1C, ${extent.first} to ${extent.last}`;
    if (extent.box && fresh) show(map, extent.box, false);
  } catch (error) {
    notice.say("archive", say(error));
  }
  search.start();
}

function found(products: readonly Product[]): void {
  footprints.set(products);
  look.setProducts(products);
  cube.setTiles([...new Set(products.map((product) => product.tile))].sort());
}

/** Keeps the address and the state the same. */
function followAddress(): void {
  store.watch((now) => {
    const hash = format(now);
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", `#${hash}`);
  });
  addEventListener("hashchange", () => {
    const state = parse(location.hash);
    store.set(state);
    if (state.view) {
      map.getView().setCenter(fromLonLat([state.view[0], state.view[1]]));
      map.getView().setZoom(state.view[2]);
    }
  });
}

/** What clicks and keys on the map do. */
function followMap(): void {
  byId("skip").addEventListener("click", () => target.focus());
  map.on("singleclick", (event) => {
    if (marks.drawing) return;
    const [lon, lat] = toLonLat(event.coordinate);
    if (store.now.tab !== "cube") store.set({ pixel: [lon!, lat!], tab: "pixel" });
    else void chooseTile(lon!, lat!);
  });
  target.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === target && !marks.drawing) {
      store.set({ pixel: middle(map), tab: "pixel" });
    }
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (marks.drawing) marks.stop();
    else if (store.now.right) store.set({ right: null });
    else if (store.now.pixel) store.set({ pixel: null });
  });
  store.watch((now, before) => {
    if (now.pixel && now.pixel !== before.pixel) reveal(map, ...now.pixel);
  });
  setInterval(() => byId("status").classList.toggle("working", pictures.waiting > 0), 200);
}

async function chooseTile(lon: number, lat: number): Promise<void> {
  try {
    const tile = await tileAt(lon, lat);
    if (tile) store.set({ tile, box: null });
    notice.say("tile", tile ? "" : "There is no tile at this place.");
  } catch (error) {
    notice.say("tile", say(error));
  }
}
