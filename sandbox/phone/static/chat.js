// The conversation: bubbles, the entry line and the follow button.

import { api } from "./api.js";
import { attempt, byId, make, yuan } from "./dom.js";
import { textNodes } from "./richtext.js";

const FAULT_TEXT = "该公众号提供的服务出现故障";
const LABELS = { image: "[图片]", voice: "[语音]", video: "[视频]", music: "[音乐]", mass_image: "[图片群发]", mass_mpnews: "[图文群发]" };

/** The chat of the chosen student; `taps` opens pages and shows exchanges. */
export class Chat {
  constructor(taps) {
    this.taps = { ...taps, tapWord: (content, id) => this.send(content, id) };
    this.student = null;
    this.last = 0;
    this.loading = false;
    this.again = false;
    byId("entry").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = byId("chat-input");
      const text = input.value.trim();
      input.value = "";
      if (text) this.send(text);
    });
    byId("follow").addEventListener("click", () => this.toggleFollow());
    // The menu appears after the first bubbles and takes room from them.
    new ResizeObserver(() => this.toEnd()).observe(byId("chat"));
  }

  show(student) {
    this.student = student;
    this.last = 0;
    byId("chat").replaceChildren();
    this.showFollowing();
    return this.refresh();
  }

  showFollowing() {
    const button = byId("follow");
    // Nobody follows before it is known who holds the phone.
    button.disabled = false;
    button.textContent = this.student.following ? "取消关注" : "关注";
    button.setAttribute("aria-pressed", String(this.student.following));
    const input = byId("chat-input");
    input.disabled = !this.student.following;
    input.placeholder = this.student.following ? "发消息，如：余额" : "先关注公众号";
    byId("menu").hidden = !this.student.following;
  }

  toEnd() {
    const chat = byId("chat");
    chat.scrollTop = chat.scrollHeight;
  }

  async toggleFollow() {
    const student = this.student;
    await this.act(student.following ? "unfollow" : "follow", {});
    await this.taps.reloadStudents();
    this.showFollowing();
  }

  send(text, menuId = "") {
    return this.act("text", menuId ? { text, bizmsgmenuid: menuId } : { text });
  }

  /** Do something as the student; the answer arrives through the transcript. */
  async act(verb, body) {
    const student = this.student;
    const done = attempt(() => api.act(student.id, verb, body));
    this.refresh();
    await done;
    await this.refresh();
  }

  /** Fetch what is new; calls that arrive meanwhile cause one more round. */
  async refresh() {
    if (!this.student) return;
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    try {
      do {
        this.again = false;
        await this.fetchOnce();
      } while (this.again);
    } catch {
      // The sandbox restarts now and then; the next round tries again.
    } finally {
      this.loading = false;
    }
  }

  async fetchOnce() {
    const student = this.student;
    const bubbles = await api.transcript(student.id, this.last);
    if (student !== this.student) {
      this.again = true;
      return;
    }
    const chat = byId("chat");
    for (const bubble of bubbles) {
      if (bubble.id <= this.last) continue;
      this.last = bubble.id;
      chat.append(this.bubbleNode(bubble));
    }
    if (bubbles.length) this.toEnd();
  }

  bubbleNode(bubble) {
    const kind = bubble.kind || "text";
    if (bubble.from === "pay") return receiptNode(bubble);
    if (kind === "news") return this.newsNode(bubble);
    if (kind === "template") return this.templateNode(bubble);
    if (kind === "msgmenu") return this.wordsNode(bubble);
    const text = bubble.text || LABELS[kind] || `[${kind}]`;
    const classes = ["bubble", bubble.from];
    if (bubble.from !== "user" && String(text).includes(FAULT_TEXT)) classes.push("failed");
    const content = bubble.from === "oa" ? textNodes(String(text), this.taps) : [String(text)];
    const node = make("div", { class: classes.join(" "), "data-from": bubble.from, "data-kind": kind }, ...content);
    this.addTrace(node, bubble);
    return node;
  }

  newsNode(bubble) {
    const node = make("div", { class: "bubble card", "data-from": "oa", "data-kind": "news" });
    for (const article of bubble.articles || []) {
      const open = () => this.taps.openPage(article.url);
      node.append(
        make("h3", {}, make("button", { type: "button", class: "word", onclick: open }, article.title || "")),
        make("p", { class: "hint" }, article.description || ""),
      );
    }
    this.addTrace(node, bubble);
    return node;
  }

  templateNode(bubble) {
    const node = make("div", { class: "bubble card", "data-from": "oa", "data-kind": "template" },
      make("h3", {}, bubble.title || "模板消息"), make("p", { class: "lines" }, bubble.text));
    if (bubble.url) {
      node.append(make("button", { type: "button", class: "word", onclick: () => this.taps.openPage(bubble.url) }, "查看详情"));
    }
    this.addTrace(node, bubble);
    return node;
  }

  wordsNode(bubble) {
    const words = (bubble.list || []).map((word) => make("li", {}, make("button", {
      type: "button", class: "word", "data-word": word.content, onclick: () => this.send(word.content, word.id),
    }, word.content)));
    const node = make("div", { class: "bubble oa", "data-from": "oa", "data-kind": "msgmenu" },
      ...textNodes(bubble.head_content || "", this.taps), make("ul", {}, ...words),
      ...textNodes(bubble.tail_content || "", this.taps));
    this.addTrace(node, bubble);
    return node;
  }

  addTrace(node, bubble) {
    if (!bubble.exchange_id) return;
    const show = () => this.taps.showExchange(bubble.exchange_id);
    node.append(make("button", { type: "button", class: "trace", onclick: show, "aria-label": `查看日志 ${bubble.exchange_id}` }, `#${bubble.exchange_id}`));
  }
}

function receiptNode(bubble) {
  const rows = [["收款方", bubble.merchant], ["商品", bubble.description], ["商户单号", bubble.out_trade_no], ["支付单号", bubble.transaction_id]]
    .filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]);
  const node = make("div", { class: "bubble card", "data-from": "pay", "data-kind": "receipt" }, make("h3", {}, "微信支付 · 支付凭证"));
  if (bubble.amount_fen !== undefined) node.append(make("p", { class: "sum" }, yuan(bubble.amount_fen)));
  node.append(make("dl", {}, ...rows));
  return node;
}
