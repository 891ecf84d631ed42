/** The search that runs whenever what is wanted changes. */

import type OlMap from "ol/Map";
import { askPage, searchAddress, type Page, type Product } from "./products";
import type { Progress } from "./results";
import { Asker, isAborted, later, say } from "./service";
import { changed, type Store } from "./state";
import { seen } from "./map";

/** Searches, and tells of it. */
export class Search {
  readonly #asker = new Asker();
  #last = "";

  constructor(
    private readonly map: OlMap,
    private readonly store: Store,
    private readonly tell: (progress: Progress) => void,
  ) {}

  /** Begins; from now on it follows the state. */
  start(): void {
    const soon = later(300, () => void this.run());
    this.store.watch((now, before) => {
      const moved = now.inView && changed(now, before, "view");
      if (moved || changed(now, before, "from", "to", "cloud", "order", "inView")) soon();
    });
  }

  /** Searches now, unless that has just been asked. */
  async run(again = false): Promise<void> {
    const url = searchAddress(this.store.now, seen(this.map));
    if (url.href === this.#last && !again) return;
    this.#last = url.href;
    this.tell({ kind: "searching" });
    try {
      const page = await askPage(url, this.#asker.next());
      this.#found(page.products, page);
    } catch (error) {
      if (isAborted(error)) return;
      this.#last = "";
      this.tell({ kind: "failed", reason: say(error), again: () => void this.run(true) });
    }
  }

  #found(products: readonly Product[], page: Page): void {
    const { matched, next } = page;
    const more = next && (() => void this.#more(products, page, next));
    this.tell({ kind: "found", products, matched, more, loading: false });
  }

  async #more(products: readonly Product[], page: Page, next: URL): Promise<void> {
    this.tell({ kind: "found", products, matched: page.matched, more: () => undefined, loading: true });
    try {
      const following = await askPage(next, this.#asker.next());
      const matched = following.matched ?? page.matched;
      this.#found([...products, ...following.products], { ...following, matched });
    } catch (error) {
      if (!isAborted(error)) this.tell({ kind: "failed", reason: say(error), again: () => void this.run(true) });
    }
  }
}
