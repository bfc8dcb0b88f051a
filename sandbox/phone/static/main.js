// The page: one student at a time, chat, pages, pay sheet, tools and the log.

import { api } from "./api.js";
import { Chat } from "./chat.js";
import { attempt, byId, make } from "./dom.js";
import { Menu } from "./menu.js";
import { PaySheet } from "./pay.js";
import { showClock, showFaults, startTools } from "./tools.js";
import { WebView } from "./webview.js";
import { Wire } from "./wire.js";

const NETWORKS = { campus: "校园网", mobile: "移动网络" };
const REFRESH_MS = 4000;

const people = { all: [], current: null };
let site = location.origin;

const sheet = new PaySheet();
const webview = new WebView((params) => sheet.pay(people.current.openid, params));
const chat = new Chat({ openPage, reloadStudents, showExchange: (id) => wire.reveal(id) });
const menu = new Menu(chooseMenu);
const wire = new Wire(() => { refresh(); attempt(showFaults); });

function openPage(url) {
  webview.open(people.current, new URL(url, site).href);
}

async function chooseMenu(button) {
  if (button.type === "view" || button.type === "miniprogram") {
    openPage(button.url);
    await chat.act("view", { url: button.url });
  } else {
    await chat.act("click", { key: button.key });
  }
}

async function reloadStudents() {
  people.all = await api.students();
  const id = people.current?.id;
  const chosen = people.all.find((student) => student.id === id);
  if (chosen) Object.assign(people.current, chosen);
  drawPeople();
  drawNetwork();
}

function drawPeople() {
  byId("people").replaceChildren(...people.all.map((student) => make("button", {
    type: "button",
    "data-testid": `student-${student.id}`,
    "aria-pressed": String(student.id === people.current?.id),
    onclick: () => choose(student.id),
  }, student.name)));
}

function drawNetwork() {
  const network = people.current.network === "mobile" ? "mobile" : "campus";
  byId("network").disabled = false;
  byId("network").textContent = `网络：${NETWORKS[network]}（点按切换）`;
  byId("phone-network").textContent = NETWORKS[network];
}

async function choose(id) {
  if (!byId("tab-web").disabled) webview.close();
  people.current = people.all.find((student) => student.id === id) || people.all[0];
  history.replaceState(null, "", `#${people.current.id}`);
  drawPeople();
  drawNetwork();
  byId("people").querySelector('[aria-pressed="true"]')?.focus({ preventScroll: true });
  await chat.show(people.current);
}

async function toggleNetwork() {
  const next = people.current.network === "mobile" ? "campus" : "mobile";
  await api.act(people.current.id, "network", { network: next });
  await reloadStudents();
}

function refresh() {
  chat.refresh();
  menu.load();
}

async function start() {
  startTools(refresh);
  byId("network").addEventListener("click", () => attempt(toggleNetwork));
  byId("size").addEventListener("change", (event) => {
    byId("phone").dataset.size = event.target.value;
    webview.setSize(Number(event.target.value));
  });
  byId("address").addEventListener("submit", (event) => {
    event.preventDefault();
    const address = byId("address-input").value.trim();
    if (address) attempt(async () => openPage(address));
  });
  site = (await api.me()).site;
  people.all = await api.students();
  await choose(location.hash.slice(1) || people.all[0].id);
  wire.follow();
  menu.load();
  showFaults();
  attempt(showClock);
  setInterval(() => { if (!document.hidden) { chat.refresh(); showClock().catch(() => {}); } }, REFRESH_MS);
}

attempt(start);
