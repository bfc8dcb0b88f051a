// The page's half of WeixinJSBridge. In the phone's frame it asks the phone; on its own it asks the sandbox.
(() => {
  "use strict";
  if (window.WeixinJSBridge) return;

  const framed = window.parent !== window;
  const waiting = new Map();
  const listeners = new Map();
  let serial = 0;

  window.addEventListener("message", (event) => {
    if (event.origin !== location.origin || event.source !== window.parent) return;
    const { bridge, id, answer } = event.data || {};
    if (bridge !== "answer" || !waiting.has(id)) return;
    waiting.get(id)(answer);
    waiting.delete(id);
  });

  function askPhone(api, params) {
    serial += 1;
    const id = serial;
    return new Promise((resolve) => {
      waiting.set(id, resolve);
      window.parent.postMessage({ bridge: "ask", id, api, params: JSON.parse(JSON.stringify(params || {})) }, location.origin);
    });
  }

  async function json(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    };
    return (await fetch(path, options)).json();
  }

  async function payHere(params) {
    const me = await json("/sim/phone/me");
    const answer = await json("/sim/students");
    const students = Array.isArray(answer) ? answer : answer.students;
    const student = students.find((item) => item.id === me.student);
    const sheet = await json("/sim/pay/invoke", { openid: student ? student.openid : "", params });
    if (!sheet.pay_token) return sheet;
    const password = await askPassword(sheet);
    if (password === null) return json("/sim/pay/cancel", { pay_token: sheet.pay_token });
    return json("/sim/pay/confirm", { pay_token: sheet.pay_token, password });
  }

  function element(tag, text, properties = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    return Object.assign(made, properties);
  }

  /** Six digits, or null when the payer gave up. */
  function askPassword(sheet) {
    return new Promise((resolve) => {
      const dialog = document.createElement("dialog");
      dialog.setAttribute("data-testid", "pay-sheet");
      dialog.setAttribute("aria-label", "模拟支付");
      const amount = element("p", `¥${(sheet.amount_fen / 100).toFixed(2)}`);
      amount.setAttribute("data-testid", "pay-amount");
      amount.style.fontSize = "2rem";
      const form = element("form", "", { method: "dialog" });
      const label = element("label", "支付密码（任意六位数字）");
      const input = element("input", "", {
        inputMode: "numeric", pattern: "[0-9]{6}", maxLength: 6, required: true, autocomplete: "off",
      });
      input.setAttribute("data-testid", "pay-password");
      label.append(input);
      const cancel = element("button", "取消", { type: "button" });
      cancel.setAttribute("data-testid", "pay-cancel");
      cancel.addEventListener("click", () => dialog.close());
      const pay = element("button", "支付", { type: "submit", value: "pay" });
      pay.setAttribute("data-testid", "pay-confirm");
      form.append(label, pay, cancel);
      dialog.append(element("p", "模拟环境 · 不是真的微信"), element("p", `${sheet.merchant} · ${sheet.description}`), amount, form);
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(dialog.returnValue === "pay" ? input.value : null);
      });
      document.body.append(dialog);
      dialog.showModal();
      input.focus();
    });
  }

  async function run(api, params) {
    if (api === "getBrandWCPayRequest") {
      try {
        return framed ? await askPhone(api, params) : await payHere(params || {});
      } catch (error) {
        return { err_msg: "get_brand_wcpay_request:fail", reason: String(error) };
      }
    }
    if (api === "closeWindow") {
      if (framed) askPhone(api, {});
      else window.close();
      return { err_msg: "close_window:ok" };
    }
    if (api === "getNetworkType") return { err_msg: "network_type:wifi" };
    if (/^(hide|show)(OptionMenu|Toolbar)$/.test(api)) return { err_msg: `${api}:ok` };
    return { err_msg: "system:function_not_exist" };
  }

  window.WeixinJSBridge = {
    invoke(api, params, callback) {
      run(api, params).then((answer) => {
        if (typeof callback === "function") callback(answer);
      });
    },
    call(api, params, callback) {
      this.invoke(api, params, callback);
    },
    on(event, callback) {
      listeners.set(event, callback);
    },
  };

  const ready = () => document.dispatchEvent(new Event("WeixinJSBridgeReady"));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
