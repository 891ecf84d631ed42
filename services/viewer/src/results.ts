/** The list of products that were found, by day, with previews. */

import { empty, failure, fill, make, small } from "./dom";
import { days, type Product } from "./products";
import { address, ask } from "./service";
import { changed, RENDER, type Store } from "./state";
import { date, plural } from "./words";
import { token } from "./token";

type Side = "left" | "right";

/** What a search is doing. */
export type Progress =
  | { kind: "searching" }
  | { kind: "found"; products: readonly Product[]; matched: number | null; more: (() => void) | null; loading: boolean }
  | { kind: "failed"; reason: string; again: () => void };

/** What the list does with the map. */
export interface Listeners {
  point(id: string): void;
  open(product: Product): void;
}

/** The list. */
export class Results {
  readonly element = make("div", { class: "results", "aria-live": "off" });
  readonly #summary = make("p", { class: "summary", role: "status" });
  readonly #list = make("div", { class: "days" });
  #buttons = new Map<string, [Side, HTMLButtonElement][]>();

  constructor(
    private readonly store: Store,
    private readonly listeners: Listeners,
  ) {
    this.element.append(this.#summary, this.#list);
    store.watch((now, before) => {
      if (changed(now, before, "left", "right")) this.#mark();
    });
  }

  /** Shows how a search stands. */
  show(progress: Progress): void {
    this.element.setAttribute("aria-busy", String(progress.kind === "searching"));
    if (progress.kind === "searching") {
      this.#summary.textContent = "Searching …";
      if (!this.#list.childElementCount) fill(this.#list, ...[1, 2, 3].map(() => make("div", { class: "skeleton" })));
      return;
    }
    this.#buttons = new Map();
    if (progress.kind === "failed") {
      this.#summary.textContent = "";
      fill(
        this.#list,
        failure(
          "The search failed",
          progress.reason,
          make("button", { type: "button", onclick: progress.again }, "Try again"),
        ),
      );
      return;
    }
    this.#showFound(progress);
  }

  #showFound(found: Extract<Progress, { kind: "found" }>): void {
    const { products, matched } = found;
    const of = matched !== null && matched > products.length ? ` of ${matched.toLocaleString("en")}` : "";
    this.#summary.textContent = products.length ? `${plural(products.length, "product")}${of}` : "";
    if (!products.length) {
      fill(this.#list, this.#nothing());
      return;
    }
    const groups = [...days(products)].map(([day, of]) => this.#day(day, of));
    const more = found.more
      ? make(
          "button",
          { type: "button", class: "more", disabled: found.loading, onclick: found.more },
          found.loading ? "Loading …" : "Show more",
        )
      : null;
    fill(this.#list, ...groups, more);
    this.#mark();
  }

  #nothing(): HTMLElement {
    const now = this.store.now;
    const ideas = [
      now.inView && "move or zoom out the map, or search everywhere",
      (now.from || now.to) && "widen the period",
      now.cloud < 100 && "allow more clouds",
    ].filter(Boolean);
    return empty(
      "No product here",
      ideas.length ? `You can ${ideas.join("; ")}.` : "The archive holds none yet.",
      make(
        "button",
        { type: "button", onclick: () => this.store.set({ from: "", to: "", cloud: 100, inView: false }) },
        "Search everything",
      ),
    );
  }

  #day(day: string, products: readonly Product[]): HTMLElement {
    const clouds = products.map((product) => product.cloud).filter((cloud) => cloud !== null);
    const mean = clouds.length ? `, ${Math.round(clouds.reduce((a, b) => a + b, 0) / clouds.length)} % clouds` : "";
    return make(
      "section",
      { class: "day" },
      make(
        "header",
        {},
        make("h3", {}, date(day), small(` ${plural(products.length, "product")}${mean}`)),
        make("span", { class: "actions" }, ...this.#sides(day, `all of ${date(day)}`, true)),
      ),
      make("ul", {}, ...products.map((product) => this.#product(product))),
    );
  }

  #product(product: Product): HTMLElement {
    const facts = [
      product.cloud === null ? null : `${Math.round(product.cloud)} % clouds`,
      product.platform.replace("sentinel-", "S").toUpperCase(),
      product.orbit === null ? null : `orbit ${product.orbit}`,
      product.baseline && `baseline ${product.baseline}`,
    ].filter(Boolean);
    const name = make(
      "button",
      {
        type: "button",
        class: "name",
        title: product.id,
        "aria-label": `${product.tile}, ${product.time}: show it and move the map there`,
        onclick: () => {
          this.#put("left", product.id);
          this.listeners.open(product);
        },
      },
      make("strong", {}, product.tile),
      make("span", { class: "time" }, ` ${product.time.slice(11, 16)} UTC`),
      make("span", { class: "facts" }, facts.join(" · ")),
    );
    const listeners = {
      onmouseenter: () => this.listeners.point(product.id),
      onmouseleave: () => this.listeners.point(""),
      onfocusin: () => this.listeners.point(product.id),
      onfocusout: () => this.listeners.point(""),
    };
    const actions = make("span", { class: "actions" }, ...this.#sides(product.id, product.tile, false));
    this.#buttons.get(product.id)?.push(["left", name]);
    return make("li", { class: "product", ...listeners }, preview(product), name, actions);
  }

  /** Buttons that put something into the left or the right picture. */
  #sides(what: string, name: string, both: boolean): HTMLElement[] {
    const side = (key: Side, label: string): [Side, HTMLButtonElement] => [
      key,
      make(
        "button",
        {
          type: "button",
          class: "side-button",
          "aria-label": `${label} ${name}`,
          title: key === "left" ? "Show it" : "Show it on the right, beside what is shown now",
          onclick: () => this.#put(key, what),
        },
        label,
      ),
    ];
    const made = both ? [side("left", "Show"), side("right", "Compare")] : [side("right", "Compare")];
    this.#buttons.set(what, made);
    return made.map(([, button]) => button);
  }

  #put(side: Side, what: string): void {
    const picture = this.store.now[side] ?? this.store.now.left;
    this.store.set({ [side]: { ...picture, what } });
  }

  #mark(): void {
    const { left, right } = this.store.now;
    for (const [what, buttons] of this.#buttons) {
      for (const [side, button] of buttons) {
        button.setAttribute("aria-pressed", String((side === "left" ? left : right)?.what === what));
      }
    }
  }
}

function preview(product: Product): HTMLElement {
  const id = encodeURIComponent(product.id);
  const path = product.bbox ? `bbox/${product.bbox.join(",")}.webp` : "preview.webp";
  const url = address(`tiles/items/${id}/${path}`, { render: RENDER, max_size: 112, dst_crs: "EPSG:3857" });
  const image = make("img", {
    class: "preview",
    alt: `Preview of ${product.tile}`,
    width: 56,
    height: 56,
    loading: "lazy",
    decoding: "async",
  });
  const missing = (): void => image.replaceWith(make("span", { class: "preview missing" }, "–"));
  image.addEventListener("error", missing);
  if (token()) whenSeen(image, () => load(image, url).catch(missing));
  else image.src = url.href;
  return image;
}

/** Loads an image that needs a token, which an address can't carry. */
async function load(image: HTMLImageElement, url: URL): Promise<void> {
  const made = URL.createObjectURL(await (await ask(url)).blob());
  image.addEventListener("load", () => URL.revokeObjectURL(made), { once: true });
  image.src = made;
}

function whenSeen(element: Element, work: () => void): void {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    work();
  });
  observer.observe(element);
}
