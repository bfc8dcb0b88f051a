// The pay page: our parameters, WeChat's pay sheet, and what it says.
import { ask, busy } from "./ui.js";

const BRIDGE_WAIT_MS = 6000;

const button = document.querySelector("[data-pay]");
const message = document.querySelector("[data-message]");

/** WeChat puts its bridge into the page some time after loading. */
function bridge() {
  if (window.WeixinJSBridge) return Promise.resolve(window.WeixinJSBridge);
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("请在微信中打开本页支付")), BRIDGE_WAIT_MS);
    document.addEventListener("WeixinJSBridgeReady", () => {
      clearTimeout(late);
      resolve(window.WeixinJSBridge);
    }, { once: true });
  });
}

function say(text) {
  message.textContent = text;
  message.hidden = false;
}

async function pay() {
  busy(button, true);
  message.hidden = true;
  try {
    const wechat = await bridge();
    const params = await ask(`${location.pathname}/params`, { method: "POST" });
    wechat.invoke("getBrandWCPayRequest", params, (result) => {
      if (result.err_msg === "get_brand_wcpay_request:ok") {
        // The sheet's word is a hint; the next page asks the server until it knows.
        location.replace(`${button.dataset.result}?paid=1`);
        return;
      }
      busy(button, false);
      say(result.err_msg === "get_brand_wcpay_request:cancel"
        ? "未支付，可继续支付"
        : "微信支付没有完成，可以再试一次");
    });
  } catch (error) {
    busy(button, false);
    say(error.message);
  }
}

button.addEventListener("click", pay);
// A tap before this would be lost.
button.disabled = false;
