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

// Load a stylesheet that the page does not have from the beginning, once.
export function styled(address) {
  const { href } = address;
  if ([...document.querySelectorAll('link[rel="stylesheet"]')].some((link) => link.href === href)) return;
  document.head.append(element("link", { rel: "stylesheet", href }));
}
