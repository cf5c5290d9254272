/** Pages as documents, for tests of what is on them and of what their scripts do. */
import { parseHTML } from "linkedom";
import { SCRIPT } from "../../src/eval/report/script.ts";

/** As much of an element as tests look at. */
export interface PageElement {
  readonly textContent: string;
  readonly parentElement: PageElement | null;
  value: string;
  hidden: boolean;
  querySelectorAll(selector: string): Iterable<PageElement>;
  getAttribute(name: string): string | null;
  hasAttribute(name: string): boolean;
  dispatchEvent(event: unknown): boolean;
}

/** A page in a document. */
export interface Page {
  all(selector: string): PageElement[];
  texts(selector: string): string[];
  /** Runs the page's script, as a browser does at its end. */
  run(): void;
  /** Tells an element that something happened. */
  fire(element: PageElement, type: string): void;
}

/** Reads a page. */
export function readPage(html: string): Page {
  const { document, Event } = parseHTML(html) as unknown as {
    readonly document: PageElement;
    readonly Event: new (type: string) => unknown;
  };
  const all = (selector: string) => [...document.querySelectorAll(selector)];
  return {
    all,
    texts: (selector) => all(selector).map(({ textContent }) => textContent.trim()),
    run: () => void new Function("document", SCRIPT)(document),
    fire: (element, type) => void element.dispatchEvent(new Event(type)),
  };
}
