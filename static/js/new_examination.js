// Makes the photograph's form comfortable: drag and drop, the camera, a preview, an early warning, no double sending.

const BYTES_A_MEGABYTE = 1_000_000;
const TYPES = ["image/jpeg", "image/png"];

const form = document.querySelector("form.examination");
if (form) {
  prepare(form);
}

function prepare(form) {
  const input = form.querySelector("input[type=file]");
  form.querySelectorAll("[data-needs-script]").forEach((element) => {
    element.hidden = false;
  });
  input.addEventListener("change", () => showChosen(form, input.files[0]));
  acceptDrops(form.querySelector("[data-drop-zone]"), input);
  offerCamera(form.querySelector("[data-camera]"), input);
  sendOnce(form);
  showChosen(form, input.files[0]); // browsers keep the choice over a reload
}

function showChosen(form, file) {
  const preview = form.querySelector("[data-preview]");
  const image = preview.querySelector("img");
  if (image.src) {
    URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
  }
  preview.hidden = !file;
  form.querySelector("#image-check").textContent = file ? doubt(file, Number(form.dataset.maxUploadMb)) : "";
  if (!file) {
    return;
  }
  preview.querySelector("figcaption").textContent = `${file.name}, ${describeSize(file.size)}`;
  image.hidden = false;
  image.onerror = () => {
    image.hidden = true;
    preview.querySelector("figcaption").textContent = `${file.name}, ${describeSize(file.size)}: no preview possible`;
  };
  image.src = URL.createObjectURL(file);
}

// Only a hint: the server looks into the file and decides.
function doubt(file, maximumMb) {
  if (file.size === 0) {
    return "This file is empty. Choose another one.";
  }
  if (file.size > maximumMb * BYTES_A_MEGABYTE) {
    return `This file has ${describeSize(file.size)}; at most ${maximumMb} MB are taken. Send a smaller copy.`;
  }
  if (!TYPES.includes(file.type)) {
    return "This does not look like a JPEG or PNG. Save the photograph as JPEG and choose that.";
  }
  return "";
}

function describeSize(bytes) {
  return bytes < BYTES_A_MEGABYTE
    ? `${Math.max(1, Math.round(bytes / 1000))} kB`
    : `${(bytes / BYTES_A_MEGABYTE).toFixed(1)} MB`;
}

function acceptDrops(zone, input) {
  const over = (isOver) => zone.classList.toggle("drop-zone--over", isOver);
  // A photograph dropped beside the zone must not replace the page.
  for (const type of ["dragover", "drop"]) {
    window.addEventListener(type, (event) => event.preventDefault());
  }
  zone.addEventListener("dragover", () => over(true));
  zone.addEventListener("dragleave", () => over(false));
  zone.addEventListener("drop", (event) => {
    over(false);
    if (event.dataTransfer.files.length > 0) {
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      input.files = one.files;
      input.dispatchEvent(new Event("change"));
    }
  });
}

// The same input, told for once to open the camera: only one file can be sent.
function offerCamera(offer, input) {
  if (!window.matchMedia("(pointer: coarse)").matches) {
    return;
  }
  offer.hidden = false;
  offer.querySelector("button").addEventListener("click", () => {
    input.setAttribute("capture", "environment");
    input.click();
    input.removeAttribute("capture");
  });
}

function sendOnce(form) {
  const button = form.querySelector("[type=submit]");
  const sending = form.querySelector("[data-sending]");
  let isSending = false;
  form.addEventListener("submit", (event) => {
    if (isSending) {
      event.preventDefault();
      return;
    }
    isSending = true;
    button.setAttribute("aria-disabled", "true");
    const words = document.createElement("p");
    words.textContent = "Sending the photograph and waiting for the result …";
    const progress = document.createElement("progress");
    progress.setAttribute("aria-label", "Sending");
    sending.replaceChildren(words, progress);
  });
  // Coming back with the browser's button finds the page as it was left.
  window.addEventListener("pageshow", () => {
    isSending = false;
    button.removeAttribute("aria-disabled");
    sending.replaceChildren();
  });
}
