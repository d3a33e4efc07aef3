// Reminders on this device: the browser's subscription goes into a form. Without this script, or where the browser
// cannot do it, the button stays hidden and the other channels are the way.
"use strict";

const form = document.querySelector("form[data-push-key]");

function bytesOf(text) {
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
}

async function subscribe() {
  if ((await Notification.requestPermission()) !== "granted") {
    document.querySelector("[data-push-refused]").hidden = false;
    return;
  }
  const { pushManager } = await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: bytesOf(form.dataset.pushKey) };
  let subscription = await pushManager.getSubscription();
  // One that was made with an earlier key of the shop would take no message any more.
  const made = subscription && String(new Uint8Array(subscription.options.applicationServerKey));
  if (subscription && made !== String(options.applicationServerKey)) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ||= await pushManager.subscribe(options);
  form.elements.subscription.value = JSON.stringify(subscription);
  form.submit();
}

if (form && "serviceWorker" in navigator && "PushManager" in window) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation(); // it may be pressed again after a refusal
    subscribe().catch(() => {
      document.querySelector("[data-push-refused]").hidden = false;
    });
  });
}
