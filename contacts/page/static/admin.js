// What an admin does: add, change and remove Custom contacts, and upload a file of them.

import { send } from "./api.js";
import { described, make } from "./text.js";

const FIELDS = ["name", "phoneNumber"];
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_ROWS = 200; // bad rows that are shown
const FILE_TYPES = { csv: "text/csv", json: "application/json", ndjson: "application/x-ndjson", jsonl: "application/x-ndjson" };

let changed = () => {};

/** Call `handler(contact, note)` after each change: with the contact as it is now, or null, and what was done, as nodes. */
export function init(handler) {
  changed = handler;
}

/** A <dialog> with one form: `save()` does its work, and an error is shown in it. */
class Dialog {
  constructor(id, save) {
    this.element = document.getElementById(id);
    this.form = this.find("form");
    this.main = this.find("button.main");
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.run(save); });
    this.find("button.close").addEventListener("click", () => { if (!this.isBusy) this.element.close(); });
    // While it works it stays, so that its answer is not taken for that of another contact. The button is not disabled:
    // it would lose the focus, and the dialog the keys.
    const stay = (event) => { if (this.isBusy) event.preventDefault(); };
    this.element.addEventListener("keydown", (event) => { if (event.key === "Escape") stay(event); });
    this.element.addEventListener("cancel", (event) => { if (event.target === this.element) stay(event); });
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  set isBusy(value) {
    this.main.setAttribute("aria-disabled", String(value));
  }

  get isBusy() {
    return this.main.getAttribute("aria-disabled") === "true";
  }

  open() {
    this.show({});
    this.element.showModal();
  }

  /** Do something that asks the service, once at a time. */
  async run(act) {
    if (this.isBusy) return;
    this.show({});
    this.isBusy = true;
    try {
      await act();
    } catch (error) {
      this.show(error);
    } finally {
      this.isBusy = false;
    }
  }

  /** Show an error: its reasons at the fields that it names, or else its message. */
  show({ message = "", errors = {}, isTemporary }) {
    const isAtFields = FIELDS.some((name) => errors[name] && this.form.elements[name]);
    const advice = isTemporary ? " See whether it was saved before you try again." : "";
    this.find("[role=alert]").textContent = isAtFields ? "" : message + advice;
    for (const input of this.form.querySelectorAll("input[name]")) {
      document.getElementById(`${input.id}-error`).textContent = (errors[input.name] ?? []).join(" ");
      input.setAttribute("aria-invalid", String(input.name in errors));
    }
    this.find("[aria-invalid=true]")?.focus();
  }
}

function describe(element, contact) {
  element.replaceChildren(...described([["Name", contact.name], ["Number", contact.phoneNumber]]));
}

// Add and change.

let edited = null; // the contact that is changed, as last read, with its ETag as `tag`; null: a new one
const editing = new Dialog("edit", save);
const theirs = editing.find(".theirs");

export function add() {
  edited = null;
  openEditing("Add a contact", {});
}

/** Change a contact, if `isWanted()` still says so when it is read. */
export async function change({ id }, isWanted) {
  const read = await readContact(id);
  if (!isWanted()) return;
  edited = read;
  openEditing("Change this contact", edited);
}

async function readContact(id) {
  const { contact, tag } = await send("GET", `contacts/${id}`);
  return { ...contact, tag };
}

function openEditing(title, contact) {
  editing.find("h2").textContent = title;
  fillIn(contact);
  showTheirs(null);
  editing.open();
}

function fillIn(contact) {
  for (const name of FIELDS) editing.form.elements[name].value = contact[name] ?? "";
}

async function save() {
  const { name, phoneNumber } = editing.form.elements;
  const body = JSON.stringify({ name: name.value, phoneNumber: phoneNumber.value.trim() ? phoneNumber.value : null });
  try {
    const { contact } = edited
      ? await send("PUT", `contacts/${edited.id}`, { body, tag: edited.tag })
      : await send("POST", "contacts", { body });
    editing.element.close();
    changed(contact, [make("bdi", {}, contact.name), ` is ${edited ? "changed" : "added"}.`]);
  } catch (error) {
    if (error.status !== 412) throw error;
    showTheirs(edited = await readContact(edited.id));
  }
}

/** Show what somebody else has made of the contact, beside what is typed; the next Save is meant for that. */
function showTheirs(contact) {
  theirs.hidden = !contact;
  editing.main.textContent = contact ? "Save mine over it" : "Save";
  if (!contact) return;
  describe(theirs.querySelector("dl"), contact);
  document.getElementById("take-theirs").focus();
}

document.getElementById("take-theirs").addEventListener("click", () => {
  fillIn(edited);
  showTheirs(null);
  editing.form.elements.name.focus();
});

// Remove.

let removed = null;
const removing = new Dialog("remove", async () => {
  try {
    await send("DELETE", `contacts/${removed.id}`, { tag: removed.tag });
  } catch (error) {
    if (error.status === 412) showRemoved(await readContact(removed.id));
    if (error.status === 412) throw new Error("Somebody else changed it meanwhile: this is how it is now.");
    if (error.status !== 404) throw error;
  }
  removing.element.close();
  changed(null, [make("bdi", {}, removed.name), " is removed."]);
});

/** Ask whether to remove a contact, if `isWanted()` still says so when it is read. */
export async function remove({ id }, isWanted) {
  const read = await readContact(id);
  if (!isWanted()) return;
  showRemoved(read);
  removing.open();
}

function showRemoved(contact) {
  removed = contact;
  describe(removing.find("dl"), removed);
}

// Upload.

const file = document.getElementById("file");
const uploading = new Dialog("import", () => importFile(false));

export function upload() {
  file.value = "";
  showResult({});
  uploading.open();
}

// The same file, once it is mended, is a change, too.
file.addEventListener("click", (event) => {
  if (uploading.isBusy) return event.preventDefault();
  file.value = "";
  showResult({});
  return uploading.show({});
});
file.addEventListener("change", () => {
  showResult({});
  if (file.files.length) uploading.run(() => importFile(true));
});

async function importFile(isDryRun) {
  const [chosen] = file.files;
  if (chosen.size > MAX_FILE_BYTES) throw new Error("The file is too large: 8 MiB at most. flask import reads any file.");
  const type = FILE_TYPES[chosen.name.split(".").pop().toLowerCase()] ?? "text/csv";
  const body = await chosen.arrayBuffer().catch(() => {
    showResult({});
    throw new Error("The file has changed: choose it again.");
  });
  try {
    const params = isDryRun ? { dryRun: true } : {};
    const { summary } = await send("POST", "contacts/import", { params, body, type });
    if (isDryRun) showResult({ summary });
    else uploaded(summary);
  } catch (error) {
    const { rejected = [] } = error;
    showResult({ rejected });
    const many = rejected.length > MAX_ROWS ? ` The first ${MAX_ROWS} are shown: ${error.message}` : "";
    if (rejected.length) throw new Error(`Nothing was added. Mend these rows, and choose the file again.${many}`);
    throw isDryRun ? new Error(error.message) : error; // of a dry run, nothing can have been saved
  }
}

function showResult({ summary, rejected = [] }) {
  const { added = 0, unchanged = 0 } = summary ?? {};
  uploading.find(".result").textContent = summary ? `${added} to add, ${unchanged} already there. Nothing is added yet.` : "";
  uploading.main.hidden = !added;
  uploading.main.textContent = added === 1 ? "Add 1 contact" : `Add ${added} contacts`;
  const rows = rejected.flatMap(({ line, errors }) => Object.entries(errors).map(([column, reasons]) =>
    make("tr", {}, ...[line, column, reasons.join(" ")].map((text) => make("td", {}, String(text))))));
  uploading.find("tbody").replaceChildren(...rows.slice(0, MAX_ROWS));
  uploading.find(".rows").hidden = !rows.length;
}

function uploaded({ added }) {
  uploading.element.close();
  changed(null, [added === 1 ? "1 contact is added." : `${added} contacts are added.`]);
}
