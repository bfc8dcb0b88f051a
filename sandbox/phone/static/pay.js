// The pay sheet: amount, six digits, cancel.

import { api } from "./api.js";
import { byId, make, toast, yuan } from "./dom.js";

const DIGITS = 6;

/** One sheet at a time; `pay()` resolves with what the page's callback receives. */
export class PaySheet {
  constructor() {
    this.token = "";
    this.typed = "";
    this.finish = null;
    const keys = [..."123456789", "", "0", "⌫"].map((sign) => this.key(sign));
    byId("pay-keys").append(...keys);
    byId("pay-dots").append(...Array.from({ length: DIGITS }, () => make("span")));
    byId("pay-cancel").addEventListener("click", () => this.cancel());
    byId("sheet").addEventListener("keydown", (event) => {
      if (/^[0-9]$/.test(event.key)) this.type(event.key);
      else if (event.key === "Backspace") this.erase();
      else if (event.key === "Escape") this.cancel();
    });
  }

  key(sign) {
    if (sign === "") return make("span");
    if (sign === "⌫") return make("button", { type: "button", "aria-label": "删除一位", "data-testid": "pay-erase", onclick: () => this.erase() }, sign);
    return make("button", { type: "button", "data-testid": `pay-key-${sign}`, onclick: () => this.type(sign) }, sign);
  }

  async pay(openid, params) {
    if (this.finish) return { err_msg: "get_brand_wcpay_request:fail", reason: "已有支付页面打开" };
    const answer = await api.invokePay(openid, params);
    if (!answer.pay_token) {
      if (answer.reason) toast(answer.reason);
      return answer;
    }
    this.token = answer.pay_token;
    byId("pay-merchant").textContent = answer.merchant;
    byId("pay-amount").textContent = yuan(answer.amount_fen);
    byId("pay-description").textContent = answer.description;
    return new Promise((resolve) => {
      this.finish = resolve;
      this.reveal(true);
    });
  }

  reveal(open) {
    this.typed = "";
    this.draw();
    byId("sheet").hidden = !open;
    for (const screen of document.querySelectorAll("#phone .screen, #phone .tabs")) screen.inert = open;
    if (open) byId("pay-keys").querySelector("button").focus();
  }

  draw() {
    byId("pay-dots").setAttribute("aria-label", `已输入 ${this.typed.length} 位`);
    [...byId("pay-dots").children].forEach((dot, index) => { dot.textContent = index < this.typed.length ? "●" : ""; });
  }

  erase() {
    this.typed = this.typed.slice(0, -1);
    this.draw();
  }

  type(digit) {
    if (!this.finish || this.typed.length >= DIGITS) return;
    this.typed += digit;
    this.draw();
    if (this.typed.length === DIGITS) this.close(api.confirmPay(this.token, this.typed));
  }

  cancel() {
    if (this.finish && this.typed.length < DIGITS) this.close(api.cancelPay(this.token));
  }

  async close(asked) {
    const answer = await asked.catch((error) => ({ err_msg: "get_brand_wcpay_request:fail", reason: error.message }));
    const finish = this.finish;
    this.finish = null;
    this.reveal(false);
    if (answer.err_msg.endsWith(":ok")) toast("支付成功");
    else if (answer.reason) toast(answer.reason);
    finish(answer);
  }
}
