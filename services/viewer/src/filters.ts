/** The form that says which products are wanted. */

import { choice, field, fill, make, tick } from "./dom";
import { changed, type Order, type Store } from "./state";

const ORDERS: readonly (readonly [Order, string])[] = [
  ["latest", "Latest on top"],
  ["least-cloudy", "Least cloudy on top"],
  ["earliest", "Earliest on top"],
];

/** Makes the form; whatever is chosen counts at once. */
export function makeFilters(store: Store): HTMLElement {
  const from = make("input", { type: "date", id: "from" });
  const to = make("input", { type: "date", id: "to" });
  const cloud = make("input", { type: "range", id: "cloud", min: "0", max: "100", step: "5" });
  const told = make("output", { for: "cloud" });
  const order = choice(ORDERS, store.now.order);
  order.id = "order";
  const form = make("form", { class: "filters", "aria-label": "Which products" });
  fill(
    form,
    make("div", { class: "pair" }, field("From", from), field("To", to)),
    field("Clouds at most", make("span", { class: "slider" }, cloud, told)),
    field("Order", order),
  );
  const inView = tick("Only what the map shows", store.now.inView, (inView) => store.set({ inView }));
  form.append(inView);
  form.addEventListener("submit", (event) => event.preventDefault());
  from.addEventListener("change", () => store.set({ from: from.value, left: whole(store, "left")! }));
  to.addEventListener("change", () => store.set({ to: to.value, left: whole(store, "left")! }));
  cloud.addEventListener("input", () => (told.textContent = `${cloud.value} %`));
  cloud.addEventListener("change", () => store.set({ cloud: Number(cloud.value) }));
  order.addEventListener("change", () => store.set({ order: order.value as Order }));
  store.watch((now, before) => {
    if (!changed(now, before, "from", "to", "cloud", "order", "inView")) return;
    from.value = now.from;
    to.value = now.to;
    from.max = now.to;
    to.min = now.from;
    cloud.value = String(now.cloud);
    told.textContent = `${now.cloud} %`;
    order.value = now.order;
    inView.querySelector("input")!.checked = now.inView;
  });
  return form;
}

/** A picture of a day that the new period may not have becomes one of the period. */
function whole(store: Store, side: "left" | "right") {
  const picture = store.now[side];
  return picture && { ...picture, what: /^\d{4}-/.test(picture.what) ? "" : picture.what };
}
