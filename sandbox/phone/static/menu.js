// The three entries at the bottom and their sub menus.

import { api } from "./api.js";
import { attempt, byId, make } from "./dom.js";

/** Draws the account's menu; `choose(button)` receives what was tapped. */
export class Menu {
  constructor(choose) {
    this.choose = choose;
    this.drawn = "";
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.fold();
    });
    document.addEventListener("click", (event) => {
      if (!byId("menu").contains(event.target)) this.fold();
    });
  }

  async load() {
    const buttons = (await attempt(() => api.menu())) || [];
    const text = JSON.stringify(buttons);
    if (text === this.drawn) return;
    this.drawn = text;
    byId("menu").replaceChildren(...buttons.map((button, index) => this.entry(button, index)));
  }

  entry(button, index) {
    const children = listOf(button.sub_button);
    const item = make("div", { class: "menu-item" });
    if (!children.length) {
      item.append(make("button", { type: "button", "data-testid": `menu-${index}`, onclick: () => this.choose(button) }, button.name));
      return item;
    }
    const list = make("div", { class: "submenu", role: "group", "aria-label": button.name });
    list.hidden = true;
    children.forEach((child, place) => {
      const tap = () => { this.fold(); this.choose(child); };
      list.append(make("button", { type: "button", "data-testid": `menu-${index}-${place}`, onclick: tap }, child.name));
    });
    const opener = make("button", { type: "button", "data-testid": `menu-${index}`, "aria-expanded": "false" }, `☰ ${button.name}`);
    opener.addEventListener("click", () => {
      const open = list.hidden;
      this.fold();
      list.hidden = !open;
      opener.setAttribute("aria-expanded", String(open));
    });
    item.append(opener, list);
    return item;
  }

  fold() {
    for (const list of byId("menu").querySelectorAll(".submenu")) list.hidden = true;
    for (const opener of byId("menu").querySelectorAll("[aria-expanded]")) opener.setAttribute("aria-expanded", "false");
  }
}

/** Sub buttons come as a list, or as `{list: [...]}` from the platform's own query. */
function listOf(children) {
  if (Array.isArray(children)) return children;
  return (children && children.list) || [];
}
