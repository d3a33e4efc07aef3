// Two small comforts; every page works without them.
"use strict";

// The order's id is made here, once per page: sending the same page twice is the same order.
for (const input of document.querySelectorAll("input[data-new-id]")) {
  if (crypto.randomUUID) input.value = crypto.randomUUID();
}

// A second click while the first is under way does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = event.submitter;
  if (button) button.setAttribute("aria-disabled", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
});
