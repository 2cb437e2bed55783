// The page: what is typed, what is found, and who is chosen.

import { onConnection, read, send, sleep, token } from "./api.js";
import * as admin from "./admin.js";
import { ContactList, FIRST_CONTACTS } from "./list.js";
import { described, make, telUrl } from "./text.js";

const REST_MS = 250; // without typing, until counts and more contacts are read
const PAGE_CONTACTS = 10; // that Page Up and Page Down pass
const COMPOSING = 229; // keyCode of an Enter that ends a composition in Safari, where isComposing is over
const ALERT = { connection: "", error: "" };
const MATCHES = {
  inside: "No name begins like this; these have it inside.",
  similar: "Nobody is written like this; these are similar.",
};
const LABELS = { firstName: "First name", lastName: "Last name", userName: "User name", employeeId: "Employee id" };

const get = (id) => document.getElementById(id);
const input = get("q");
const list = new ContactList(get("found"), get("rest"), { choose: clicked, failed });

let user = {};
let chosen = null;
let searching = new AbortController();
let isWaiting = false;
let choosesNext = false; // Enter was pressed before the answer came

function say(...nodes) {
  get("status").replaceChildren(...nodes);
}

function alertOf(kind, text) {
  if (ALERT[kind] === text) return;
  ALERT[kind] = text;
  get("alert").textContent = ALERT.connection || ALERT.error;
  get("alert").hidden = !get("alert").textContent;
}

function failed(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) askForToken(error);
  else alertOf("error", error.message);
}

// Who one is.

async function start() {
  try {
    ({ user } = await read("me"));
  } catch (error) {
    return failed(error);
  }
  get("me").replaceChildren(...(user.userName ? [make("bdi", {}, user.userName), " – "] : []), user.role);
  get("forget").hidden = !token.get();
  for (const element of document.querySelectorAll(".admin")) element.hidden = !isAdmin();
  get("login").hidden = true;
  get("directory").hidden = false;
  input.focus();
  return search();
}

function isAdmin() {
  return user.role === "Contact Center Admin";
}

function askForToken(error) {
  searching.abort();
  list.show({ contacts: [], totalCount: 0 }, {});
  choose(null);
  get("token-error").textContent = token.get() ? error.message : "";
  token.forget();
  get("me").textContent = "";
  get("forget").hidden = get("directory").hidden = true;
  get("login").hidden = false;
  get("token").focus();
}

get("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = get("token").value.trim();
  get("token").value = "";
  if (!/^[!-~]+$/.test(value)) {
    get("token-error").textContent = "This is not a token.";
    return;
  }
  token.set(value);
  start();
});

get("forget").addEventListener("click", () => {
  token.forget();
  choose(null); // the card has the buttons of a role
  start();
});

// What is looked for.

function query() {
  const asked = { q: input.value.replace(/\s+/g, " ").trim(), type: get("types").querySelector(":checked").value };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value));
}

/** Show what is found; `note`, of nodes, is said in the place of the number of hits. */
async function search(note) {
  searching.abort();
  list.stop();
  searching = new AbortController();
  const { signal } = searching;
  const asked = query();
  isWaiting = true;
  try {
    found(await read("contacts", { ...asked, limit: FIRST_CONTACTS }, signal), asked, note);
    await sleep(REST_MS, signal);
    list.readOn();
    await count(asked, signal);
  } catch (error) {
    if (error.name !== "AbortError") foundNothing();
    failed(error);
  }
}

/** Show no old answer beside an error. */
function foundNothing() {
  isWaiting = choosesNext = false;
  list.show({ contacts: [], totalCount: 0 }, {});
  input.setAttribute("aria-expanded", "false");
  say("");
}

function found(answer, asked, note) {
  isWaiting = false;
  alertOf("error", "");
  const address = new URLSearchParams(asked).toString();
  history.replaceState(null, "", address ? `?${address}` : location.pathname);
  list.show(answer, asked);
  input.setAttribute("aria-expanded", String(answer.totalCount > 0));
  const hits = { 0: "No contact found.", 1: "1 contact." }[answer.totalCount] ?? `${number(answer.totalCount)} contacts.`;
  say(...note ?? [[hits, answer.totalCount ? MATCHES[answer.match] : ""].filter(Boolean).join(" ")]);
  for (const radio of get("types").elements) showCount(radio, radio.checked ? answer.totalCount : null);
  if (choosesNext) chooseActive();
}

/** Ask how many contacts the other types have. */
async function count({ q }, signal) {
  for (const radio of get("types").querySelectorAll(":not(:checked)[name=type]")) {
    const params = { ...(q && { q }), ...(radio.value && { type: radio.value }), limit: 1 };
    showCount(radio, (await read("contacts", params, signal)).totalCount);
  }
}

function showCount(radio, value) {
  radio.nextElementSibling.textContent = value === null ? "" : number(value);
}

function number(value) {
  return value.toLocaleString("en");
}

function typed() {
  choosesNext = false;
  choose(null);
  scrollTo(0, 0);
  search();
}

function startAnew() {
  input.value = "";
  get("types").elements[0].checked = true;
  typed();
  input.focus();
}

// Who is chosen.

function choose(contact) {
  if (chosen) say(); // what Enter does is not so any more
  chosen = contact;
  list.choose(contact?.id);
  get("card").hidden = !contact;
  if (!contact) return;
  get("card").replaceChildren(...card(contact));
  const { name, phoneNumber } = contact;
  const action = telUrl(phoneNumber ?? "") ? "calls" : "copies";
  const enter = phoneNumber ? [`Enter ${action} `, make("bdi", {}, phoneNumber), "."] : ["No number."];
  say(make("bdi", {}, name), " is chosen. ", ...enter);
}

function card(contact) {
  const attributes = Object.entries(LABELS).map(([name, label]) => [label, contact[name]]);
  return [
    make("h2", {}, make("bdi", {}, contact.name)),
    make("p", { class: "about" }, contact.type),
    ...(contact.phoneNumber ? [callButtons(contact.phoneNumber)] : [make("p", {}, "No number.")]),
    make("dl", {}, ...described(attributes)),
    ...(isAdmin() ? [changeButtons(contact)] : []),
  ];
}

function callButtons(phoneNumber) {
  const url = telUrl(phoneNumber);
  const shown = make("bdi", { dir: "ltr" }, phoneNumber);
  return make("p", { class: "buttons call" }, url ? make("a", { href: url }, shown) : shown, " ",
    button("Copy", () => copy(phoneNumber)));
}

function changeButtons(contact) {
  if (contact.type !== "Custom") {
    return make("p", {}, `The directory sync writes ${contact.type}s: change this one where the sync reads it.`);
  }
  // A dialog that comes late would take keys that are meant for what is done meanwhile.
  const isWanted = () => chosen === contact && !document.querySelector("dialog[open]");
  return make("p", { class: "buttons" }, button("Change", () => admin.change(contact, isWanted).catch(failed)), " ",
    button("Remove", () => admin.remove(contact, isWanted).catch(failed)));
}

function button(text, act) {
  const made = make("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}

function dial() {
  const link = get("card").querySelector("a");
  if (link) link.click();
  else if (chosen.phoneNumber) copy(chosen.phoneNumber);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${text} is copied.`);
  } catch { // browsers give pages without TLS no clipboard
    say("This browser does not let the page copy. Select the number, and copy it.");
    getSelection().selectAllChildren(get("card").querySelector(".call bdi"));
  }
}

function clicked(contact, event, position) {
  choosesNext = false;
  list.activate(position, false); // the list stays under the pointer, for a second click
  choose(contact);
  input.focus({ preventScroll: true });
  if (event.target.closest(".number")) dial();
}

async function chooseActive() {
  choosesNext = isWaiting;
  if (isWaiting) return;
  if (list.active < 0 && chosen) return dial();
  if (!list.contacts.has(list.active)) await list.move(list.active < 0 ? 1 : 0); // its block may be on its way
  const contact = list.contacts.get(list.active);
  if (!contact) return;
  if (contact.id === chosen?.id) dial();
  else choose(contact);
}

// Keys.

const KEYS = {
  ArrowDown: () => list.move(1),
  ArrowUp: () => list.move(-1),
  PageDown: () => list.move(PAGE_CONTACTS),
  PageUp: () => list.move(-PAGE_CONTACTS),
  Enter: chooseActive,
};

input.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === COMPOSING) return;
  if (event.altKey || event.ctrlKey || event.metaKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
  if (!get("directory").hidden) startAnew();
});
input.addEventListener("input", typed);
get("types").addEventListener("change", typed);
list.activated = (id) => {
  if (id) input.setAttribute("aria-activedescendant", id);
  else input.removeAttribute("aria-activedescendant");
};

// What an admin does.

function changed(contact, note) {
  choose(contact);
  search(note);
  input.focus(); // the button that was pressed may be gone
}

get("add").addEventListener("click", admin.add);
get("upload").addEventListener("click", admin.upload);
admin.init(changed);
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--search", `${target.offsetHeight}px`);
}).observe(get("search"));
onConnection((text) => alertOf("connection", text));

const address = new URLSearchParams(location.search);
input.value = (address.get("q") ?? "").replace(/^(tel:)? (?=[\d(])/, "$1+"); // ?q=+49 by a program that does not write %2B
for (const radio of get("types").querySelectorAll("input")) {
  radio.checked = radio.value.toLowerCase() === (address.get("type") ?? "").toLowerCase();
}
if (!get("types").querySelector(":checked")) get("types").querySelector("input").checked = true;
start();
