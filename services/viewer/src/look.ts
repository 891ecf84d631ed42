/** The tab that decides what the map shows: pictures, comparison, overlays. */

import { choice, field, fill, make, tick } from "./dom";
import { OVERLAY_TITLES } from "./overlays";
import type { Product } from "./products";
import { showLegend, type Render } from "./renders";
import { changed, OVERLAYS, RENDER, type Picture, type Store } from "./state";
import { caption } from "./swipe";
import { date } from "./words";

type Side = "left" | "right";

/** The tab. */
export class Look {
  readonly element = make("div", { class: "look" });
  /** Where overlays say what they show. */
  readonly told = make("div", { class: "told" });
  #renders: readonly Render[] = [{ name: RENDER, title: "True colour", legend: null }];
  #products: readonly Product[] = [];
  readonly #sides = { left: this.#side("left"), right: this.#side("right") };

  constructor(private readonly store: Store) {
    const compare = tick("Compare with a second picture", false, (wanted) => {
      const { left } = this.store.now;
      this.store.set({ right: wanted ? { ...left } : null, swipe: 0.5 });
      if (wanted) document.getElementById("swipe")?.focus({ preventScroll: true });
    });
    const box = compare.querySelector("input")!;
    box.id = "compare";
    const left = make("fieldset", {}, make("legend", {}, "Picture"), this.#sides.left.element);
    const right = make("fieldset", {}, make("legend", {}, "Picture on the right"), this.#sides.right.element);
    const exchange = make("button", { type: "button", onclick: () => this.#exchange() }, "Exchange left and right");
    right.append(exchange);
    const overlays = make("fieldset", {}, make("legend", {}, "Drawn upon it"));
    const ticks = OVERLAYS.map((key) => {
      const made = tick(OVERLAY_TITLES[key], false, (wanted) => {
        const rest = this.store.now.overlays.filter((one) => one !== key);
        const other = key === "blocks" ? "owners" : key === "owners" ? "blocks" : null;
        this.store.set({ overlays: wanted ? [...rest.filter((one) => one !== other), key] : rest });
      });
      made.querySelector("input")!.id = `show-${key}`;
      overlays.append(made);
      return [key, made.querySelector("input")!] as const;
    });
    overlays.append(this.told);
    fill(this.element, left, compare, right, overlays);
    store.watch((now, before) => {
      if (!changed(now, before, "left", "right", "overlays")) return;
      box.checked = now.right !== null;
      right.hidden = now.right === null;
      for (const [key, input] of ticks) input.checked = now.overlays.includes(key);
      this.#refresh();
    });
  }

  /** Takes note of the renders that there are. */
  setRenders(renders: readonly Render[]): void {
    this.#renders = renders;
    this.#refresh();
  }

  /** Takes note of the products that were found. */
  setProducts(products: readonly Product[]): void {
    this.#products = products;
    this.#refresh();
  }

  #side(side: Side) {
    const what = make("select", { id: `${side}-what` });
    const render = make("select", { id: `${side}-render` });
    const legend = make("figure", { class: "legend", hidden: true });
    const set = (changes: Partial<Picture>) => {
      const picture = this.store.now[side] ?? this.store.now.left;
      this.store.set({ [side]: { ...picture, ...changes } });
    };
    what.addEventListener("change", () => set({ what: what.value }));
    render.addEventListener("change", () => set({ render: render.value }));
    const element = make("div", { class: "side-form" }, field("What", what), field("Render", render), legend);
    return { element, what, render, legend };
  }

  #exchange(): void {
    const { left, right } = this.store.now;
    if (right) this.store.set({ left: right, right: left });
  }

  #refresh(): void {
    for (const side of ["left", "right"] as const) {
      const picture = this.store.now[side];
      const { what, render, legend } = this.#sides[side];
      if (!picture) continue;
      renew(what, this.#whats(picture.what), picture.what);
      const names = this.#renders.map((one) => [one.name, one.title] as const);
      const known = names.some(([name]) => name === picture.render);
      renew(render, known ? names : [...names, [picture.render, picture.render]], picture.render);
      showLegend(
        legend,
        this.#renders.find((one) => one.name === picture.render),
      );
    }
  }

  /** What a picture can be of: all, a day, and the product that it is of. */
  #whats(chosen: string): (readonly [string, string])[] {
    const found: (readonly [string, string])[] = [["", "All that was found, one upon the other"]];
    const days = [...new Set(this.#products.map((product) => product.day))];
    for (const day of days) found.push([day, date(day)]);
    if (!found.some(([key]) => key === chosen)) {
      found.push([chosen, /^\d{4}-/.test(chosen) ? date(chosen) : `Product ${caption(chosen)}`]);
    }
    return found;
  }
}

function renew(select: HTMLSelectElement, options: readonly (readonly [string, string])[], value: string): void {
  const made = choice(options, value);
  const same = [...select.options].map((one) => `${one.value} ${one.text}`).join("\n");
  if (same !== [...made.options].map((one) => `${one.value} ${one.text}`).join("\n")) {
    select.replaceChildren(...made.options);
  }
  select.value = value;
}
