/** The line where two pictures meet: a slider over the map, for hands and for arrow keys. */

import { make } from "./dom";
import { changed, type Store } from "./state";

/** Makes the slider; it is there only while there are two pictures. */
export function makeSwipe(stage: HTMLElement, store: Store): void {
  const line = make("div", { class: "swipe-line", "aria-hidden": "true" });
  const slider = make("input", {
    class: "swipe",
    type: "range",
    id: "swipe",
    min: "0",
    max: "100",
    step: "1",
    "aria-label": "Where the left picture ends and the right one begins",
  });
  const left = make("span", { class: "side side-left" });
  const right = make("span", { class: "side side-right" });
  const all = make("div", { class: "compare", hidden: true }, line, left, right, slider);
  stage.append(all);
  slider.addEventListener("input", () => store.set({ swipe: Number(slider.value) / 100 }));
  store.watch((now, before) => {
    if (!changed(now, before, "swipe", "right", "left")) return;
    all.hidden = !now.right;
    const percent = Math.round(now.swipe * 100);
    slider.value = String(percent);
    slider.setAttribute("aria-valuetext", `${percent} % left picture, ${100 - percent} % right picture`);
    line.style.left = `${now.swipe * 100}%`;
    left.textContent = `${caption(now.left.what)} · ${now.left.render}`;
    right.textContent = now.right ? `${caption(now.right.what)} · ${now.right.render}` : "";
  });
}

/** A picture's name in few letters. */
export function caption(what: string): string {
  if (!what) return "whole period";
  const parts = /^S2(\w)_MSIL1C_(\d{4})(\d\d)(\d\d)T.*_T(\w{5})_/.exec(what);
  return parts ? `${parts[5]} ${parts[2]}-${parts[3]}-${parts[4]}` : what;
}
