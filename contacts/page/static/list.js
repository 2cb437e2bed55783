// The list of what is found, as the listbox of the combobox. Only what is near the screen is in the document: the list
// is made of blocks, each read when it comes near and emptied when it is far away.

import { read } from "./api.js";
import { make, markedName, markedNumber } from "./text.js";

export const FIRST_CONTACTS = 10; // while somebody types
const BLOCK_CONTACTS = 100;
const MAX_CONTACTS = 250_000; // browsers show no higher element
const NEAR = "1000px";

export class ContactList {
  /** `choose(contact, event)` is called for a click on a contact, `failed(error)` when a block cannot be read. */
  constructor(element, rest, { choose, failed }) {
    Object.assign(this, { element, rest, failed, active: -1, total: 0, contacts: new Map() });
    this.observer = new IntersectionObserver((seen) => seen.forEach((each) => this.moved(each)), { rootMargin: NEAR });
    element.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) choose(this.contacts.get(this.positionOf(option)), event, this.positionOf(option));
    });
  }

  /** Show the answer to a query: its first contacts, and empty blocks for the others. */
  show({ contacts, totalCount, match }, query) {
    this.stop();
    Object.assign(this, { query, match, total: totalCount, shown: Math.min(totalCount, MAX_CONTACTS) });
    this.contacts.clear();
    const first = this.block(0, contacts.length);
    this.fill(first, contacts);
    const blocks = [first];
    for (let offset = contacts.length; contacts.length && offset < this.shown; offset += BLOCK_CONTACTS) {
      blocks.push(this.block(offset, Math.min(BLOCK_CONTACTS, this.shown - offset)));
    }
    this.element.replaceChildren(...blocks);
    this.element.hidden = !totalCount;
    this.rest.hidden = this.shown === totalCount;
    this.activate(-1);
    this.measure(first, contacts.length);
  }

  /** Read nothing more for what is shown. */
  stop() {
    this.observer.disconnect();
    for (const block of this.element.children) block.reading?.abort();
  }

  /** Begin to read what comes near the screen. */
  readOn() {
    for (const block of this.element.children) this.observer.observe(block);
  }

  block(offset, size) {
    const block = make("div", { role: "none", class: "block" });
    Object.assign(block, { offset, size });
    block.style.setProperty("--size", size);
    return block;
  }

  /** Give empty blocks the height that they will have. */
  measure(block, contacts) {
    if (contacts) this.element.style.setProperty("--row", `${block.getBoundingClientRect().height / contacts}px`);
  }

  moved({ target: block, isIntersecting }) {
    if (isIntersecting) this.load(block);
    else this.empty(block);
  }

  /** Read a block, unless it is there or on its way; resolve when it is there, or given up. */
  load(block) {
    if (!block.hasChildNodes() && !block.reading) block.loading = this.read(block, new AbortController());
    return block.loading;
  }

  async read(block, reading) {
    block.reading = reading;
    const params = { ...this.query, offset: block.offset, limit: block.size };
    try {
      this.fill(block, (await read("contacts", params, reading.signal)).contacts);
    } catch (error) {
      this.failed(error);
    }
    if (block.reading === reading) block.reading = null;
  }

  fill(block, contacts) {
    contacts.forEach((contact, at) => this.contacts.set(block.offset + at, contact));
    block.replaceChildren(...contacts.map((contact, at) => this.option(contact, block.offset + at)));
    if (this.isActive(block)) this.activate(this.active);
  }

  empty(block) {
    block.reading?.abort();
    block.reading = null;
    if (!block.hasChildNodes() || this.isActive(block)) return;
    for (let at = 0; at < block.size; at++) this.contacts.delete(block.offset + at);
    block.replaceChildren();
  }

  isActive({ offset, size }) {
    return this.active >= offset && this.active < offset + size;
  }

  option(contact, position) {
    const { q = "" } = this.query;
    const option = make("div", {
      role: "option", id: `option-${position}`, "aria-selected": position === this.active,
      "aria-posinset": position + 1, "aria-setsize": this.total,
    }, make("bdi", { class: "name" }, ...markedName(contact.name, q, this.match)), " ", this.about(contact, q), " ");
    if (contact.phoneNumber) {
      option.append(make("bdi", { class: "number", dir: "ltr" }, ...markedNumber(contact.phoneNumber, q)));
    }
    option.classList.toggle("chosen", contact.id === this.chosen);
    return option;
  }

  /** Return the type, with other names by which a User may have been found. */
  about({ type, userName, firstName, lastName, name }, q) {
    const others = [firstName, lastName].filter((each) => each && !name.includes(each));
    const names = [...others, userName].filter(Boolean).flatMap((each) => [
      " ", make("bdi", {}, ...markedName(each, q, this.match)),
    ]);
    return make("span", { class: "about" }, type, ...names);
  }

  positionOf(option) {
    return Number(option.id.replace("option-", ""));
  }

  optionAt(position) {
    return document.getElementById(`option-${position}`);
  }

  /** Move the active option, and return when it is there. */
  async move(by) {
    if (!this.total) return;
    const position = Math.max(0, Math.min(this.shown - 1, this.active + by));
    const block = [...this.element.children].findLast((each) => each.offset <= position);
    this.activate(position);
    await this.load(block);
  }

  activate(position, scrolls = true) {
    this.optionAt(this.active)?.setAttribute("aria-selected", "false");
    this.active = position;
    const option = this.optionAt(position);
    option?.setAttribute("aria-selected", "true");
    if (scrolls) option?.scrollIntoView({ block: "nearest" });
    this.activated?.(option?.id);
  }

  /** Mark the contact that is chosen, by its id. */
  choose(id) {
    this.chosen = id;
    for (const [position, contact] of this.contacts) {
      this.optionAt(position)?.classList.toggle("chosen", contact.id === id);
    }
  }
}
