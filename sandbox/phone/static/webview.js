// The page over the chat, and the parent's half of WeixinJSBridge.

import { byId, toast } from "./dom.js";

/** The in-app browser of the chosen student; `pay(params)` resolves with the bridge's answer. */
export class WebView {
  constructor(pay) {
    this.pay = pay;
    this.frame = byId("web-frame");
    this.size = 100;
    byId("web-close").addEventListener("click", () => this.close());
    byId("web-reload").addEventListener("click", () => this.frame.contentWindow.location.reload());
    byId("tab-chat").addEventListener("click", () => this.show(false));
    byId("tab-web").addEventListener("click", () => this.show(true));
    this.frame.addEventListener("load", () => this.loaded());
    window.addEventListener("message", (event) => this.hear(event));
  }

  open(student, url) {
    const query = new URLSearchParams({ student: student.id, url });
    byId("web-title").textContent = "正在打开…";
    byId("tab-web").disabled = false;
    this.frame.src = `/sim/webview/open?${query}`;
    this.show(true);
    byId("web-close").focus();
  }

  close() {
    this.frame.src = "about:blank";
    byId("tab-web").disabled = true;
    this.show(false);
    byId("chat-input").focus();
  }

  show(page) {
    byId("web-screen").hidden = !page;
    byId("chat-screen").hidden = page;
    byId("tab-web").setAttribute("aria-pressed", String(page));
    byId("tab-chat").setAttribute("aria-pressed", String(!page));
  }

  setSize(percent) {
    this.size = percent;
    this.applySize();
  }

  loaded() {
    const page = this.page();
    byId("web-title").textContent = (page && page.title) || "网页";
    this.applySize();
  }

  /** The framed document, or null when it belongs to another origin. */
  page() {
    try {
      return this.frame.contentDocument;
    } catch {
      return null;
    }
  }

  /** Large type as iOS does it; where the browser ignores that property, zoom. */
  applySize() {
    const body = this.page()?.body;
    if (!body) return;
    body.style.zoom = "";
    body.style.webkitTextSizeAdjust = "";
    if (this.size === 100) return;
    const probe = body.ownerDocument.createElement("span");
    probe.textContent = "字";
    body.append(probe);
    const before = probe.getBoundingClientRect().width;
    body.style.webkitTextSizeAdjust = `${this.size}%`;
    const grown = probe.getBoundingClientRect().width > before;
    probe.remove();
    if (!grown) body.style.zoom = String(this.size / 100);
  }

  async hear(event) {
    if (event.origin !== location.origin || event.source !== this.frame.contentWindow) return;
    const { bridge, id, api, params } = event.data || {};
    if (bridge !== "ask") return;
    const reply = (answer) => event.source.postMessage({ bridge: "answer", id, answer }, location.origin);
    if (api === "getBrandWCPayRequest") {
      const answer = await this.pay(params || {}).catch((error) => ({ err_msg: "get_brand_wcpay_request:fail", reason: error.message }));
      reply(answer);
    } else if (api === "closeWindow") {
      this.close();
    } else {
      toast(`模拟器没有实现 ${api}`);
      reply({ err_msg: `${api}:fail` });
    }
  }
}
