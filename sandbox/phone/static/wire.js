// The log beside the phone: every exchange, newest on top, opened by a click.

import { api } from "./api.js";
import { attempt, byId, make, toast } from "./dom.js";

const KEEP = 300;
const LATE = 60; // how many ids back a slow exchange may still be missing
const PATIENCE = 60; // rounds of about a second until a gap is taken for good

/** Follows the log; `changed()` is called whenever something new was logged. */
export class Wire {
  constructor(changed) {
    this.changed = changed;
    this.seen = new Set();
    this.highest = 0;
    this.lowest = 0; // below this id nothing is expected any more
    this.rounds = 0;
    byId("wire-filter").addEventListener("input", () => this.filter());
    byId("wire-clear").addEventListener("click", () => byId("wire").replaceChildren());
  }

  /** Long-poll for ever. */
  async follow() {
    for (;;) {
      try {
        this.take(await api.wire(this.highest, this.missing() ? 1 : 20));
        // An exchange gets its id when it begins and appears when it ends, so a slow one shows up late.
        if (this.missing()) {
          this.take(await api.wire(Math.max(this.lowest, this.highest - LATE), 0));
          this.rounds += 1;
          if (this.rounds > PATIENCE) this.lowest = this.highest;
        } else {
          this.rounds = 0;
        }
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
  }

  missing() {
    for (let id = Math.max(this.lowest + 1, this.highest - LATE); id < this.highest; id += 1) {
      if (!this.seen.has(id)) return true;
    }
    return false;
  }

  take(exchanges) {
    const fresh = exchanges.filter((exchange) => !this.seen.has(exchange.id));
    if (!fresh.length) return;
    const list = byId("wire");
    if (!this.highest) this.lowest = fresh[0].id - 1;
    for (const exchange of fresh) {
      this.seen.add(exchange.id);
      this.highest = Math.max(this.highest, exchange.id);
      list.prepend(this.row(exchange));
    }
    while (list.children.length > KEEP) list.lastElementChild.remove();
    this.filter();
    this.changed();
  }

  row(exchange) {
    const failed = exchange.status === 0 || exchange.status >= 400;
    const summary = make("summary", {},
      make("span", { role: "img", "aria-label": exchange.direction === "out" ? "平台到站点" : "站点到平台" }, exchange.direction === "out" ? "→" : "←"),
      make("span", { class: "kind" }, exchange.kind),
      make("span", { class: "path" }, `${exchange.method} ${pathOf(exchange.url)}`),
      make("span", { class: failed ? "bad" : "ok" }, exchange.status ? String(exchange.status) : "无应答"),
      make("span", { class: "ms" }, `${Number(exchange.took_ms).toFixed(1)} ms`));
    const details = make("details", {}, summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(detailNode(exchange));
    });
    const row = make("li", { "data-testid": "wire-row", "data-id": exchange.id, "data-kind": exchange.kind, "data-status": exchange.status }, details);
    row.dataset.text = JSON.stringify(exchange).toLowerCase();
    return row;
  }

  filter() {
    const words = byId("wire-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of byId("wire").children) row.hidden = !words.every((word) => row.dataset.text.includes(word));
  }

  /** Open one exchange and bring it into view. */
  reveal(id) {
    const row = byId("wire").querySelector(`[data-id="${Number(id)}"]`);
    if (!row) {
      toast("这一条已不在日志里");
      return;
    }
    for (const lit of byId("wire").querySelectorAll(".lit")) lit.classList.remove("lit");
    row.hidden = false;
    row.classList.add("lit");
    row.querySelector("details").open = true;
    row.scrollIntoView({ block: "nearest" });
    row.querySelector("summary").focus({ preventScroll: true });
  }
}

function pathOf(url) {
  try {
    const parsed = new URL(url, location.origin);
    return parsed.pathname + parsed.search;
  } catch {
    return url;
  }
}

function detailNode(exchange) {
  const node = make("div", { class: "detail" });
  const acts = make("div", { class: "acts" },
    make("button", { type: "button", "data-testid": "wire-curl", onclick: () => copy(curlOf(exchange)) }, "复制为 curl"));
  if (exchange.direction === "out") {
    const replay = () => attempt(async () => { await api.replay(exchange.id); toast("已重放"); });
    acts.prepend(make("button", { type: "button", "data-testid": "wire-replay", onclick: replay }, "重放"));
  }
  node.append(acts);
  section(node, "结论", exchange.verdict);
  section(node, "请求明文", exchange.decrypted);
  section(node, "应答明文", exchange.decrypted_response);
  section(node, "签名串", exchange.signed);
  section(node, "请求", `${exchange.method} ${exchange.url}\n${headersText(exchange.request_headers)}\n\n${pretty(exchange.request_body)}`);
  section(node, "应答", `${exchange.status || "无应答"}\n${headersText(exchange.response_headers)}\n\n${pretty(exchange.response_body)}`);
  return node;
}

function section(node, title, text) {
  if (text) node.append(make("h3", {}, title), make("pre", { tabindex: "0", "aria-label": title, role: "region" }, text));
}

const headersText = (headers) => Object.entries(headers || {}).map(([name, value]) => `${name}: ${value}`).join("\n");

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

function curlOf(exchange) {
  const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;
  const parts = ["curl", "-i", "-X", exchange.method, quote(new URL(exchange.url, location.origin))];
  for (const [name, value] of Object.entries(exchange.request_headers || {})) {
    if (!/^(host|content-length|connection|accept-encoding)$/i.test(name)) parts.push("-H", quote(`${name}: ${value}`));
  }
  if (exchange.request_body) parts.push("--data-binary", quote(exchange.request_body));
  return parts.join(" ");
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("已复制");
  } catch {
    toast("浏览器不让复制，请从日志里手动选取");
  }
}
