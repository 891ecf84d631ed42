/** The token of a service that is not open to everybody: asked for once, and kept until the tab is closed. */

import { byId, fill, make } from "./dom";

const KEY = `abut-token ${new URL(".", document.baseURI).href}`;

let asked: Promise<boolean> | null = null;

/** The token; "" without one. */
export function token(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** The header that carries it, for an address of the service itself. */
export function header(url: URL): Record<string, string> {
  const mine = token();
  return mine && url.origin === location.origin ? { Authorization: `Bearer ${mine}` } : {};
}

/** Asks for another token than one that was refused; false if nobody gives one. Many may wait for one answer. */
export function askToken(refused: string, reason: string): Promise<boolean> {
  if (token() !== refused) return Promise.resolve(true); // another question has been answered meanwhile
  asked ??= show(refused ? reason : "").finally(() => (asked = null));
  return asked;
}

function show(reason: string): Promise<boolean> {
  const field = make("input", { type: "password", id: "token", autocomplete: "off", required: true });
  const form = make(
    "form",
    {},
    make("h2", { id: "token-title" }, "This archive needs a token"),
    make("p", {}, "Whoever runs it gives you one. It is kept until you close this tab."),
    reason && make("p", { class: "error", role: "alert" }, reason),
    make("label", { class: "field" }, make("span", { class: "label" }, "Token"), field),
    make("button", { type: "submit", class: "primary" }, "Show the archive"),
  );
  const dialog = make("dialog", { class: "token", "aria-labelledby": "token-title" }, form);
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keep(field.value.trim());
      dialog.close("given");
    });
    dialog.addEventListener("close", () => {
      fill(dialog);
      dialog.remove();
      resolve(dialog.returnValue === "given");
    });
    byId("panel").ownerDocument.body.append(dialog);
    dialog.showModal();
  });
}

function keep(value: string): void {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // storage is off: it is asked for again
  }
}
