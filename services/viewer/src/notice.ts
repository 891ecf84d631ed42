/** A line over the map that says what is not as expected. */

import { fill, make } from "./dom";

/** The line; each subject says one thing at most. */
export class Notice {
  readonly #said = new Map<string, string>();

  constructor(private readonly element: HTMLElement) {}

  /** Says something of a subject; "" if all is well again. */
  say(subject: string, message: string): void {
    if ((this.#said.get(subject) ?? "") === message) return;
    if (message) this.#said.set(subject, message);
    else this.#said.delete(subject);
    this.element.hidden = this.#said.size === 0;
    fill(this.element, ...[...new Set(this.#said.values())].map((text) => make("p", {}, text)));
  }
}
