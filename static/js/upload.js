// Shows how far an upload is, and takes a file's path from the browser of folders.
(() => {
  "use strict";

  function words(sent, total) {
    const mib = (bytes) => (bytes / 1048576).toFixed(bytes < 104857600 ? 1 : 0);
    return `${mib(sent)} of ${mib(total)} MiB`;
  }

  // The web server refuses in a line of text, and shows no page.
  function reason(request) {
    const type = request.getResponseHeader("Content-Type") || "";
    if (type.startsWith("text/plain")) return request.responseText.trim();
    return `The upload was refused (${request.status}).`;
  }

  function send(form) {
    const bar = form.querySelector("[data-upload-progress]");
    const text = form.querySelector("[data-upload-text]");
    const button = form.querySelector("button[type='submit']");
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.addEventListener("progress", (event) => {
      bar.hidden = false;
      bar.value = (100 * event.loaded) / event.total;
      text.textContent = words(event.loaded, event.total);
    });
    request.addEventListener("load", () => {
      if (request.status === 200) {
        location.assign(request.responseURL);
        return;
      }
      // The page with its errors, as a plain form would have shown it.
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      const main = page.querySelector("#content");
      if (main) document.querySelector("#content").replaceWith(main);
      else text.textContent = reason(request);
      button.disabled = false;
      document.querySelector("#error-summary")?.focus();
    });
    request.addEventListener("error", () => {
      button.disabled = false;
      text.textContent = "The upload broke off. Nothing was kept: try again.";
    });
    button.disabled = true;
    request.send(new FormData(form));
  }

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-upload]");
    const file = form?.querySelector("input[type='file']")?.files[0];
    if (!file) return;
    event.preventDefault();
    if (file.size > Number(form.dataset.largest)) {
      form.querySelector("[data-upload-text]").textContent =
        `The file is larger than the limit, ${words(0, Number(form.dataset.largest)).slice(7)}.`;
      return;
    }
    send(form);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-take-path]");
    const input = button && document.querySelector("[name='path']");
    if (!input) return;
    input.value = button.dataset.takePath;
    input.focus();
  });
})();
