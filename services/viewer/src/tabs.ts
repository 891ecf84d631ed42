/** Tabs: arrow keys move among them, as the ARIA practices have it. */

import { make } from "./dom";
import { changed, type Store, type Tab } from "./state";

/** What a tab opens. */
export interface Page {
  key: Tab;
  title: string;
  content: HTMLElement;
}

/** Makes the tabs and their pages. */
export function makeTabs(list: HTMLElement, sheet: HTMLElement, pages: readonly Page[], store: Store): void {
  const buttons = pages.map((page) =>
    make(
      "button",
      {
        role: "tab",
        type: "button",
        id: `tab-${page.key}`,
        "aria-controls": `page-${page.key}`,
        onclick: () => store.set({ tab: page.key }),
      },
      page.title,
    ),
  );
  const panels = pages.map((page) =>
    make(
      "div",
      { role: "tabpanel", class: "page", id: `page-${page.key}`, "aria-labelledby": `tab-${page.key}` },
      page.content,
    ),
  );
  list.append(...buttons);
  sheet.append(...panels);
  list.addEventListener("keydown", (event) => {
    const at = pages.findIndex((page) => page.key === store.now.tab);
    const moves: Record<string, number> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: pages.length - 1 };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const index = (to + pages.length) % pages.length;
    store.set({ tab: pages[index]!.key });
    buttons[index]!.focus();
  });
  store.watch((now, before) => {
    if (!changed(now, before, "tab")) return;
    pages.forEach((page, i) => {
      const chosen = page.key === now.tab;
      buttons[i]!.setAttribute("aria-selected", String(chosen));
      buttons[i]!.tabIndex = chosen ? 0 : -1;
      panels[i]!.hidden = !chosen;
    });
    sheet.scrollTop = 0;
  });
}
