// The page asks the same API that programs use; nothing here computes a score.
"use strict";

const find = (selector) => document.querySelector(selector);
const taste = { likes: new Map(), shown: [], item: null };
let key = sessionStorage.getItem("key") || "";

async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const how = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(path, how);
  const answer = await response.json().catch(() => ({ detail: `status ${response.status}` }));
  if (response.status === 401) {
    const given = window.prompt("This service needs an API key");
    if (given) {
      key = given.trim();
      sessionStorage.setItem("key", key);
      return ask(path, body);
    }
  }
  if (!response.ok) throw new Error([answer.detail || answer.title, answer.remedy].filter(Boolean).join("\n"));
  return answer;
}

// Runs what a person asked for, and shows why it failed.
async function attempt(work) {
  const problem = find("#problem");
  try {
    problem.hidden = true;
    await work();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function drawn(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

const titleOf = (item) => item.title || item.item_id;

function about(item) {
  const attributes = Object.entries(item.attributes || {}).map(([name, value]) => `${name} ${value}`);
  return [...(item.tags || []), ...attributes].join(" · ");
}

// Fills a list of items; `before` maps ids to the places that they had.
function showItems(list, items, before = null) {
  list.replaceChildren(...items.map((item, place) => {
    const picture = item.image && /^https?:/.test(item.image) ? make("img", { src: item.image, alt: "", loading: "lazy" }) : null;
    const open = make("button", { className: "open", type: "button" }, picture, titleOf(item), make("small", { textContent: about(item) }));
    open.addEventListener("click", () => attempt(() => openItem(item)));
    return make("li", {}, open, chance(item), moved(place, before && (before.get(item.item_id) ?? -1)));
  }));
  if (!items.length) list.append(make("li", {}, make("span", { className: "quiet", textContent: "no item fits" })));
}

// How likely a hit of a search is what the words look for; not there where the release cannot say.
function chance(item) {
  if (typeof item.probability !== "number") return null;
  const percent = item.probability < 0.01 ? "< 1 %" : `${Math.round(100 * item.probability)} %`;
  return make("span", { className: "chance", textContent: percent, title: "how likely this is what the words look for" });
}

function moved(place, before) {
  if (before === null || before === place) return make("span", { className: "moved" });
  if (before < 0) return make("span", { className: "moved up", textContent: "new" });
  const up = before > place;
  return make("span", { className: `moved ${up ? "up" : "down"}`, textContent: `${up ? "▲" : "▼"} ${Math.abs(before - place)}` });
}

function who() {
  const form = new FormData(find("#user-form"));
  const user = form.get("user").trim();
  const text = form.get("text").trim();
  return user ? { user, text } : { history: [...taste.likes.keys()], text };
}

async function showList() {
  const diversity = Number(find("#user-form [name=diversity]").value);
  const asked = who();
  const answer = await ask("v1/recommend", { ...asked, k: 20, diversity });
  const before = taste.shown.length ? new Map(taste.shown.map((item, place) => [item.item_id, place])) : null;
  showItems(find("#list"), answer.items, before);
  taste.shown = answer.items;
  find("#basis").textContent = answer.basis === "profile"
    ? "Ordered by the user's profile. Open an item to like it or to see why it is here."
    : `Nothing is known of ${asked.user ? `a user “${asked.user}”` : "this user"}: what many like, with new items among it. Open an item and like it, or write some words.`;
}

function showLikes() {
  find("#likes").replaceChildren(...[...taste.likes].map(([item, title]) => {
    const chip = make("button", { type: "button", title: "take back" }, `♥ ${title} ✕`);
    chip.addEventListener("click", () => attempt(() => like(item, title)));
    return chip;
  }));
}

// An id of an event; crypto.randomUUID is missing where the page comes by plain http from another machine.
function eventId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16)).join("-");
}

// Likes an item, or takes the like back; the list follows at once. A known user's like is feedback: it is kept.
async function like(item, title) {
  const takesBack = taste.likes.has(item);
  const { user } = who();
  if (user) {
    const event = { event_id: eventId(), user, item_id: item, event: takesBack ? "unlike" : "like" };
    await ask("v1/feedback", { events: [event] });
  }
  if (takesBack) taste.likes.delete(item);
  else taste.likes.set(item, title);
  showLikes();
  if (taste.item) find("#like").textContent = taste.likes.has(taste.item.item_id) ? "Take the like back" : "Like";
  await showList();
}

async function openItem(item) {
  taste.item = item;
  const panel = find("#item");
  panel.querySelector("h2").textContent = titleOf(item);
  panel.querySelector(".tags").textContent = about(item);
  panel.querySelector(".about").textContent = item.description || "";
  find("#like").textContent = taste.likes.has(item.item_id) ? "Take the like back" : "Like";
  find("#reasons").hidden = true;
  panel.hidden = false;
  find("main").classList.add("with-item");
  find("#close").focus();
  const near = await ask(`v1/similar/${encodeURIComponent(item.item_id)}?k=8`);
  showItems(find("#near"), near.items);
}

function closeItem() {
  find("#item").hidden = true;
  find("main").classList.remove("with-item");
  taste.item = null;
}

async function showWhy() {
  const answer = await ask("v1/explain", { ...who(), item: taste.item.item_id, words: true });
  const names = { text: () => "words about the user", like: (one) => `likes ${one.title || one.item_id}`, feedback: (one) => `just liked ${one.title || one.item_id}`, dislike: (one) => `dislikes ${one.title || one.item_id}` };
  const common = (one) => (one.relation === one.other_relation ? `same ${one.relation}: ${one.thing}` : `${one.thing}: ${one.relation}, ${one.other_relation}`);
  const fact = (one, other) => (one.thing === other ? `linked by ${one.relation}` : common(one));
  const related = (one) => (one.shared.length ? ` (${one.shared.map((shared) => fact(shared, one.item_id)).join("; ")})` : "");
  const parts = answer.contributions.map((one) => [names[one.source](one) + related(one), one.profile + one.ranker]);
  const shown = parts.slice(0, 8);
  const others = parts.slice(8).reduce((sum, part) => sum + part[1], 0);
  if (parts.length > 8) shown.push([`${parts.length - 8} other things`, others]);
  if (Math.abs(answer.rest) > 1e-5) shown.push(["what a typical user likes", answer.rest]);
  const most = Math.max(...shown.map((part) => Math.abs(part[1])), 1e-9);
  const reasons = find("#reasons");
  reasons.replaceChildren(
    make("p", { className: "quiet", textContent: `Score ${answer.item.score.toFixed(4)} = the sum of these, by ranker ${answer.ranker}, release ${answer.release}` }),
    ...shown.map(([name, value]) => reason(name, value, most)),
  );
  if (answer.words.length) {
    const words = answer.words.slice(0, 6).filter((one) => one.effect > 0).map((one) => one.word).join(", ");
    reasons.append(make("p", { className: "quiet", textContent: `Words of the item that matter most (left out one by one): ${words}` }));
  }
  if (answer.has_text === false) reasons.append(make("p", { className: "quiet", textContent: "This item has no text: its profile is made of other evidence." }));
  reasons.hidden = false;
}

function reason(name, value, most) {
  const picture = drawn("svg", { viewBox: "-50 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  const width = 50 * Math.abs(value) / most;
  picture.append(drawn("rect", { x: value < 0 ? -width : 0, width, y: 1, height: 8, class: value < 0 ? "bar less" : "bar" }));
  picture.append(drawn("line", { x1: 0, x2: 0, y1: 0, y2: 10, class: "zero" }));
  return make("div", { className: "reason" }, make("span", { textContent: name }), picture, make("span", { textContent: value.toFixed(4) }));
}

async function showNew(text) {
  const answer = await ask("v1/profile", { text, k: 10 });
  find("#audience").textContent = answer.audience === null ? "" :
    `It would be among the best 10 of ${answer.audience ? `${(100 * answer.audience).toFixed(1)} %` : "none"} of the users that were sampled, before anybody has clicked it.`;
  // A few dimensions are far longer than the rest: bars end where all but one in a hundred fit.
  const bars = find("#profile"), values = answer.profile;
  const most = values.map(Math.abs).sort((one, other) => other - one)[Math.ceil(values.length / 100)] || 1;
  bars.replaceChildren(...values.map((value, place) => {
    const height = 50 * Math.min(1, Math.abs(value) / most);
    return drawn("rect", { x: place, width: 0.8, y: value < 0 ? 50 : 50 - height, height, class: value < 0 ? "bar less" : "bar" });
  }));
  bars.setAttribute("viewBox", `0 0 ${values.length} 100`);
  bars.setAttribute("preserveAspectRatio", "none");
  bars.removeAttribute("hidden");
  showItems(find("#neighbours"), answer.neighbours);
}

function age(moment) {
  const hours = (Date.now() - new Date(moment)) / 3.6e6;
  if (hours < 1) return "less than an hour old";
  if (hours < 48) return `${Math.round(hours)} hours old`;
  return hours < 24 * 60 ? `${Math.round(hours / 24)} days old` : `of ${moment.slice(0, 10)}`;
}

const counted = (n, what) => `${n.toLocaleString()} ${what}${n === 1 ? "" : "s"}`;

async function showRelease() {
  const found = await ask("version");
  if (!found.release) {
    find("#release").textContent = found.problem || "no release serves yet";
    return;
  }
  const newest = found.newest_item_at ? `, newest item ${age(found.newest_item_at)}` : "";
  find("#release").textContent = `release ${found.release}, ${counted(found.n_items, "item")}, ${counted(found.n_users, "user")}${newest}`;
  if (found.feedback_waiting)
    find("#release").textContent += `, ${counted(found.feedback_waiting, "event")} of feedback not yet in a release`;
  if (found.problem) find("#release").textContent += `; a newer one is refused: ${found.problem}`;
}

function choose(tab) {
  closeItem();
  for (const other of document.querySelectorAll("[role=tab]")) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    find(`#${other.getAttribute("aria-controls")}`).hidden = other !== tab;
  }
}

for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
    if (step && tab[step]) {
      choose(tab[step]);
      tab[step].focus();
    }
  });
}
find("#user-form [name=user]").addEventListener("change", () => {
  taste.likes.clear();
  taste.shown = [];
  showLikes();
});
find("#user-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(showList);
});
find("#user-form [name=diversity]").addEventListener("change", () => attempt(showList));
find("#search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => showItems(find("#found"), (await ask("v1/search", { query: event.target.query.value, k: 20 })).items));
});
find("#new-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => showNew(event.target.text.value));
});
find("#like").addEventListener("click", () => attempt(() => like(taste.item.item_id, titleOf(taste.item))));
find("#why").addEventListener("click", () => attempt(showWhy));
find("#close").addEventListener("click", closeItem);
document.addEventListener("keydown", (event) => event.key === "Escape" && closeItem());
// By itself: a problem that a person is reading stays where it is.
const watch = () => showRelease().catch((error) => { find("#release").textContent = error.message; });
watch();
attempt(showList);
setInterval(watch, 15000);
