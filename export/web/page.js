// Small things that both tabs do.

export const byId = (id) => document.getElementById(id);

// A message of a tab, which screen readers hear.
export function say(prefix, text, isError = false) {
  const place = byId(`${prefix}-message`);
  place.textContent = text;
  place.classList.toggle("error", isError);
}

// Shows progress in [0, 1], a moving bar for null, none for undefined.
export function progress(prefix, share) {
  const bar = byId(`${prefix}-progress`);
  bar.hidden = share === undefined;
  if (share === null) bar.removeAttribute("value");
  else if (share !== undefined) bar.value = share;
}

// Runs what a button asks for, once at a time; what fails is said.
export function onPress(prefix, id, action) {
  const button = byId(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      progress(prefix, undefined);
      say(prefix, error.message, true);
    } finally {
      button.disabled = false;
    }
  });
}

// Calls `taken` with the file that was chosen.
export function onFile(prefix, id, taken) {
  const input = byId(id);
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    try {
      await taken(file);
    } catch (error) {
      say(prefix, error.message, true);
    } finally {
      input.value = "";
    }
  });
}

export function slider(id, changed) {
  const input = byId(id);
  input.addEventListener("input", () => {
    byId(`${id}-value`).value = Number(input.value).toFixed(1);
  });
  input.addEventListener("change", () => changed?.());
  return () => Number(input.value);
}

// Hands bytes to the user as a file.
export function download(bytes, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export const seconds = (since) => (performance.now() - since) / 1000;
