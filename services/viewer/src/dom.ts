/** Elements, made without markup: data never becomes HTML. */

type Child = Node | string | null | undefined | false;
type Properties = Record<string, unknown>;

/** Makes an element; keys with a dash, `role` and `for` are attributes, functions listen, the rest are properties. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function" && key.startsWith("on")) {
      element.addEventListener(key.slice(2), value as EventListener);
    } else if (key.includes("-") || key === "role" || key === "for" || key === "list") {
      element.setAttribute(key, String(value));
    } else {
      Reflect.set(element, key === "class" ? "className" : key, value);
    }
  }
  add(element, children);
  return element;
}

/** Makes an SVG element. */
export function draw<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number> = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  add(element, children);
  return element;
}

/** Replaces what an element contains. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  add(element, children);
}

/** Finds an element of the page that must be there. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** A label with its control inside. */
export function field(label: string, control: HTMLElement, hint = ""): HTMLLabelElement {
  return make("label", { class: "field" }, make("span", { class: "label" }, label), control, hint && small(hint));
}

/** Small print. */
export function small(text: string): HTMLElement {
  return make("small", {}, text);
}

/** A choice among values. */
export function choice(options: readonly (readonly [string, string])[], value: string): HTMLSelectElement {
  const select = make("select");
  for (const [key, title] of options) select.append(make("option", { value: key, selected: key === value }, title));
  select.value = value;
  return select;
}

/** A box to tick. */
export function tick(label: string, checked: boolean, changed: (checked: boolean) => void): HTMLLabelElement {
  const box = make("input", { type: "checkbox", checked });
  box.addEventListener("change", () => changed(box.checked));
  return make("label", { class: "tick" }, box, make("span", {}, label));
}

/** What is said where there is nothing to show, and what helps. */
export function empty(title: string, text: string, ...more: Child[]): HTMLElement {
  return make("div", { class: "empty" }, make("strong", {}, title), make("p", {}, text), ...more);
}

/** What is said where something failed. */
export function failure(title: string, text: string, ...more: Child[]): HTMLElement {
  const made = empty(title, text, ...more);
  made.classList.add("error");
  made.setAttribute("role", "alert");
  return made;
}

function add(element: Element, children: Child[]): void {
  for (const child of children) if (child) element.append(child);
}
