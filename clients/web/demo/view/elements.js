// Small helpers to make and change elements. Everything that anybody said enters as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export function find(id) {
  return document.getElementById(id);
}

export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(document.createElementNS(SVG, "use"));
  setIcon(drawing, name);
  return drawing;
}

export function setIcon(drawing, name) {
  drawing.firstChild.setAttribute("href", `#icon-${name}`);
}

/** Changes nothing where nothing is different, so that nothing is read out again. */
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Text in which addresses of web pages are links. */
export function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]])/).map((part, index) => {
    if (index % 2 === 0) {
      return part;
    }
    const link = element("a", "", part);
    link.href = part;
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
    return link;
  });
}
