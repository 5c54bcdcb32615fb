"""What a browser sees of a page: text that is too faint, and blocks that touch."""

from playwright.sync_api import Page

FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const shown = (element) => element.getClientRects().length
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
    && !element.closest("[disabled]") && element.tagName !== "OPTION"
    && getComputedStyle(element).visibility === "visible";
  return [...document.querySelectorAll("body *")].filter(shown).map((element) => {
    const pair = [getComputedStyle(element).color, behind(element)].map(light);
    return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), element];
  }).filter(([ratio]) => ratio < 4.5)
    .map(([ratio, element]) => `${ratio.toFixed(2)} ${element.outerHTML.slice(0, 120)}`);
}"""

TOUCHING = """() => {
  const BLOCKS = "main .panel, main .note, main .filters, main .chips";
  const found = [];
  for (const block of document.querySelectorAll(BLOCKS)) {
    let next = block.nextElementSibling;
    while (next && !next.getBoundingClientRect().height) next = next.nextElementSibling;
    if (!next || !block.getClientRects().length) continue;
    const [over, under] = [block, next].map((one) => one.getBoundingClientRect());
    const beside = over.right <= under.left || under.right <= over.left;
    if (!beside && Math.abs(under.top - over.bottom) < 4)
      found.push(`${block.className} touches ${next.outerHTML.slice(0, 80)}`);
  }
  return found;
}"""


def faults(page: Page) -> list[str]:
    """AA asks for a contrast of 4.5."""
    found: list[str] = [*page.evaluate(FAINT), *page.evaluate(TOUCHING)]
    return found
