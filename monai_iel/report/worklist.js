"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const OPENED_AT_ONCE = 20;
  const LONG = 24; // characters from which on a cell is broken into lines
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const index = read("index");
  const table = document.getElementById("cases");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows); // in the order of the list, whatever is sorted
  const details = new Map(); // row -> what was opened below it
  const headings = Array.from(table.tHead.rows[0].cells);
  const tags = Array.from(document.querySelectorAll("button.tag"));
  const search = document.getElementById("search");
  const texts = rows.map((row, i) => `${row.textContent} ${index.texts[i]}`.toLowerCase());
  const collator = new Intl.Collator(undefined, { numeric: true });

  // What comes from the data becomes text or an attribute, never markup.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function findingsTable(findings) {
    const long = findings.head.map((_, c) => findings.rows.some((cells) => cells[c].length > LONG));
    const kind = (column) => ({ class: findings.numeric[column] ? "number" : long[column] ? "text" : "" });
    const head = make("tr", {}, ...findings.head.map((name, c) => make("th", { scope: "col", ...kind(c) }, name)));
    const lines = findings.rows.map((cells) => make("tr", {}, ...cells.map((text, c) => make("td", kind(c), text))));
    return make("div", { class: "wide" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)));
  }

  function bars(values, marked) {
    const svg = document.createElementNS(SVG, "svg");
    const top = Math.max(...values, 0.05);
    const highest = values.indexOf(Math.max(...values));
    const told = `Slices 0 to ${values.length - 1}; the highest is ${highest} (${values[highest]}).`;
    const attributes = { viewBox: `0 0 ${values.length} 1`, preserveAspectRatio: "none", role: "img", class: "bars" };
    for (const [name, value] of Object.entries({ ...attributes, "aria-label": `${index.bars}. ${told}` })) svg.setAttribute(name, value);
    values.forEach((value, i) => {
      const rect = document.createElementNS(SVG, "rect");
      const height = Math.max(value / top, 0.01);
      const place = { x: i + 0.1, y: 1 - height, width: 0.8, height: height };
      for (const [name, number] of Object.entries(place)) rect.setAttribute(name, number);
      if (marked.includes(i)) rect.setAttribute("class", "marked");
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${i}: ${value}`;
      rect.append(title);
      svg.append(rect);
    });
    return [make("h3", {}, index.bars), svg, make("p", {}, `${told} `, make("span", { class: "swatch marked" }), "with findings")];
  }

  function gallery(pictures) {
    const names = index.legend.map(([name, kind], i) =>
      make("li", {}, make("span", { class: `swatch ${kind} kind${i}` }), name));
    const figures = pictures.map(([uri, caption]) =>
      make("figure", {}, make("img", { src: uri, alt: caption }), make("figcaption", {}, caption)));
    return [make("ul", { class: "legend" }, ...names), make("div", { class: "gallery" }, ...figures)];
  }

  function detail(number) {
    const content = read(`case-${number}`);
    const inside = make("div", { class: "inside" });
    if (content.pictures.length) inside.append(...gallery(content.pictures));
    if (content.findings.rows.length) inside.append(make("h3", {}, "Findings"), findingsTable(content.findings));
    if (content.bars.length > 1) inside.append(...bars(content.bars, content.marked));
    const facts = content.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
    if (facts.length) inside.append(make("dl", {}, ...facts));
    return make("tr", { class: "detail" }, make("td", { colspan: headings.length }, inside));
  }

  function open(row, wanted) {
    if (wanted === details.has(row)) return;
    row.querySelector("button").setAttribute("aria-expanded", String(wanted));
    row.classList.toggle("opened", wanted);
    if (wanted) {
      details.set(row, detail(rows.indexOf(row)));
      row.after(details.get(row));
    } else {
      details.get(row).remove(); // and its pictures leave the memory
      details.delete(row);
    }
  }

  function compare(values, sign) {
    return (a, b) => {
      const [left, right] = [values[a], values[b]];
      if (left === null || right === null) return (left === null) - (right === null) || a - b; // always last
      const order = typeof left === "number" && typeof right === "number"
        ? left - right : collator.compare(String(left), String(right));
      return sign * order || a - b;
    };
  }

  function sort(column) {
    const heading = headings[column];
    const first = heading.querySelector("button").dataset.worst === "max" ? "descending" : "ascending";
    const other = { ascending: "descending", descending: "ascending" };
    const now = heading.getAttribute("aria-sort");
    const wanted = now === "none" ? first : other[now];
    headings.forEach((each) => each.setAttribute("aria-sort", each === heading ? wanted : "none"));
    const order = [...rows.keys()].sort(compare(index.values[column], wanted === "ascending" ? 1 : -1));
    const sorted = document.createDocumentFragment();
    for (const i of order) {
      sorted.append(rows[i]);
      if (details.has(rows[i])) sorted.append(details.get(rows[i]));
    }
    body.append(sorted);
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = tags.filter((tag) => tag.getAttribute("aria-pressed") === "true").map((tag) => Number(tag.dataset.tag));
    let shown = 0;
    rows.forEach((row, i) => {
      const has = (tag) => (tag < 0 ? index.tags[i].length === 0 : index.tags[i].includes(tag));
      const fits = (!chosen.length || chosen.some(has)) && words.every((word) => texts[i].includes(word));
      row.hidden = !fits;
      if (details.has(row)) details.get(row).hidden = !fits;
      shown += fits;
    });
    document.getElementById("shown").textContent = `${shown} shown`;
    document.getElementById("none").hidden = shown > 0;
  }

  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => sort(column)));
  search.addEventListener("input", filter);
  tags.forEach((tag) => tag.addEventListener("click", () => {
    tag.setAttribute("aria-pressed", String(tag.getAttribute("aria-pressed") !== "true"));
    filter();
  }));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr.case");
    if (row && !String(window.getSelection())) open(row, !details.has(row)); // not where text is being marked
  });
  document.getElementById("open").addEventListener("click", () => {
    const shown = Array.from(body.rows).filter((row) => row.className.startsWith("case") && !row.hidden);
    shown.slice(0, OPENED_AT_ONCE).forEach((row) => open(row, true));
  });
  document.getElementById("close").addEventListener("click", () => Array.from(details.keys()).forEach((row) => open(row, false)));
  filter(); // a browser may keep what was typed before the page was loaded again
  document.documentElement.dataset.ready = "true";
})();
