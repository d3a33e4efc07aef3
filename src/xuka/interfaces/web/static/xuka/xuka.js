// Two small comforts; every page works without them.
"use strict";

// The order's id is made here, once per page: sending the same page twice is the same order.
for (const input of document.querySelectorAll("input[data-new-id]")) {
  if (crypto.randomUUID) input.value = crypto.randomUUID();
}

// A second click while the first is under way does nothing. After a while it counts again: the browser's own Stop tells
// the page nothing, and the form's ids make sending it twice the same as once.
const COUNTS_AGAIN_AFTER = 10_000;

function countAgain(form, button) {
  delete form.dataset.sent;
  if (button) button.removeAttribute("aria-disabled");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = event.submitter;
  if (button) button.setAttribute("aria-disabled", "true");
  setTimeout(countAgain, COUNTS_AGAIN_AFTER, form, button);
});
window.addEventListener("pageshow", (event) => {
  // The payment's id in it was used: with another way to pay it would lead to the old payment. A fresh page has a new one.
  if (event.persisted && document.querySelector("input[name=payment]")) location.reload();
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
});

// In a block: scripts share their names, and other pages bring scripts of their own.
{
  // Without a network the last known state of the card is shown. It stays in this browser, and goes with signing out.
  const CARD = "xuka-card";

  function remember(card) {
    try {
      if (card) localStorage.setItem(CARD, JSON.stringify(card));
      else localStorage.removeItem(CARD);
    } catch {
      // A browser that keeps nothing shows nothing later.
    }
  }

  function remembered() {
    try {
      return JSON.parse(localStorage.getItem(CARD));
    } catch {
      return null;
    }
  }

  const shown = document.querySelector("[data-card-plan]");
  if (document.body.dataset.signed === "out") remember(null);
  else if (shown) {
    const { cardPlan, cardUntil, cardEnds, cardLeft, cardData, cardAt, cardSeen } = shown.dataset;
    remember({ plan: cardPlan, until: cardUntil, ends: cardEnds, left: cardLeft, data: cardData, at: cardAt, seen: cardSeen });
  }
  document.addEventListener("submit", (event) => {
    if (/\/(logout|sign-out-everywhere)\/$/.test(event.target.action)) remember(null);
  });

  const last = document.querySelector("[data-last-card]");
  const card = last && remembered();
  if (card) {
    for (const place of last.querySelectorAll("[data-last]")) {
      const text = card[place.dataset.last];
      place.textContent = text || "";
      if (!text) place.closest("[data-row]")?.setAttribute("hidden", "");
    }
    last.querySelector("[data-last-passed]").hidden = !card.ends || Date.parse(card.ends) > Date.now();
    last.hidden = false;
    document.querySelector("[data-last-none]").hidden = true;
  }
  document.querySelector("[data-again]")?.addEventListener("click", () => location.reload());

  // The worker keeps the page for "no network", in the language of the pages.
  if ("serviceWorker" in navigator) {
    window.addEventListener("load", async () => {
      try {
        await navigator.serviceWorker.register("/worker.js");
        const { active } = await navigator.serviceWorker.ready;
        active.postMessage({ language: document.documentElement.lang });
      } catch {
        // Some browsers forbid it; the pages do without.
      }
    });
  }

  // Where the browser offers to install the shop, the button for it appears.
  const install = document.querySelector("[data-install]");
  if (install) {
    window.addEventListener("beforeinstallprompt", (event) => {
      event.preventDefault();
      install.hidden = false;
      install.addEventListener("click", () => event.prompt(), { once: true });
    });
    window.addEventListener("appinstalled", () => { install.hidden = true; });
  }
}
