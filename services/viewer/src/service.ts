/** Requests to the service that the page came from. */

import { askToken, header, token } from "./token";

/** What the service says is wrong. */
export class ServiceError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export type Parameters = Record<string, string | number | boolean | null | undefined>;

/** The address of a route, below where the page lies. */
export function address(path: string, parameters: Parameters = {}): URL {
  const url = new URL(path, document.baseURI);
  url.hash = "";
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(key, String(value));
  }
  return url;
}

/** Asks for an answer, with a token if one is needed; what is not well is an error that says in one line why. */
export async function ask(url: URL, signal?: AbortSignal): Promise<Response> {
  for (;;) {
    const used = token();
    let answer: Response;
    try {
      answer = await fetch(url, { ...(signal ? { signal } : {}), credentials: "same-origin", headers: header(url) });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ServiceError("The service does not answer. Is it still running?", 0);
    }
    if (answer.ok) return answer;
    const error = new ServiceError(await reason(answer), answer.status);
    if (answer.status !== 401 || !(await askToken(used, error.message))) throw error;
    signal?.throwIfAborted();
  }
}

/** Asks for JSON. */
export async function askJson<T>(url: URL, signal?: AbortSignal): Promise<T> {
  return (await (await ask(url, signal)).json()) as T;
}

/** One question at a time: a new one ends the one before. */
export class Asker {
  #last: AbortController | null = null;

  /** Returns the signal of a new question. */
  next(): AbortSignal {
    this.stop();
    this.#last = new AbortController();
    return this.#last.signal;
  }

  /** Ends the last question. */
  stop(): void {
    this.#last?.abort();
    this.#last = null;
  }
}

/** Tells whether an error is only that nobody waits for the answer any more. */
export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** One line about an error. */
export function say(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Calls a function once nothing has happened for a while. */
export function later(milliseconds: number, work: () => void): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(work, milliseconds);
  };
}

async function reason(answer: Response): Promise<string> {
  const text = await answer.text().catch(() => "");
  try {
    const told = JSON.parse(text) as Record<string, unknown>;
    const found = told["description"] ?? told["detail"] ?? told["title"];
    if (typeof found === "string" && found) return found;
  } catch {
    // not JSON: the status has to do
  }
  return `The service answered ${answer.status} ${answer.statusText}`.trim();
}
