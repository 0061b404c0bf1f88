// Parts of a page that are made by a script.

// An element with these attributes and children (elements or texts). What begins with `on` is a listener; true is an
// attribute without a value, and false none.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(key, value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// A button with words on it.
export function button(words, act, kind = "") {
  return element("button", { type: "button", class: `button ${kind}`.trim(), onclick: act }, words);
}

// By address: promises of stylesheets that the page does not have from the beginning.
const stylesheets = new Map();

// Load a stylesheet, once. Resolves when it is there; what is shown without it would move then. Rejects when it cannot be
// loaded, and the next call tries again.
export function styled({ href }) {
  if (!stylesheets.has(href)) stylesheets.set(href, loadStylesheet(href));
  return stylesheets.get(href);
}

function loadStylesheet(href) {
  const link = element("link", { rel: "stylesheet", href });
  const loading = new Promise((resolve, reject) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => {
      stylesheets.delete(href);
      link.remove();
      reject(new Error(`${href} could not be loaded`));
    });
  });
  document.head.append(link);
  return loading;
}
