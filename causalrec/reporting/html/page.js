"use strict";
// Text reaches the page through textContent alone: nothing in a record is read as markup.
const held = JSON.parse(document.getElementById("differences").textContent);
const minus = (text) => text.replace("-", "\u2212");
const element = (name, text, kind) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
};

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, k) => row.cells[k].dataset.v;
  heads.forEach((head, k) => head.querySelector("button").addEventListener("click", () => {
    const first = head.dataset.first || "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((cell) => cell.setAttribute("aria-sort", cell === head ? order : "none"));
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [left, right] = [value(a, k), value(b, k)];
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      return sign * (k === 0 ? left.localeCompare(right, "en", { numeric: true }) : left - right);
    });
    table.tBodies[0].append(...rows);
  }));
}

function filterable(input) {
  const article = input.closest("article");
  const rows = [...article.querySelectorAll(".leader tbody tr")];
  const count = article.querySelector(".count");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (name) => words.every((word) => name.toLowerCase().includes(word));
    rows.forEach((row) => { row.hidden = !fits(row.textContent); });
    const shown = rows.filter((row) => !row.hidden).length;
    count.value = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    article.querySelectorAll(".panels [data-row], .forest tr[data-row]").forEach((node) => {
      node.hidden = !fits(node.dataset.row);
    });
  });
}

function plot(difference, half, reach, real) {
  const space = "http://www.w3.org/2000/svg";
  const at = (value) => 50 + (48 * value) / reach;
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 16");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = (x1, y1, x2, y2, kind) => {
    const stroke = document.createElementNS(space, "line");
    Object.entries({ x1, y1, x2, y2, class: kind }).forEach(([key, value]) => stroke.setAttribute(key, value));
    svg.append(stroke);
  };
  line(50, -4, 50, 20, "zero");
  const inside = (value) => Math.min(Math.max(at(value), 1), 99);
  line(inside(difference - half), 8, inside(difference + half), 8, "span");
  const box = element("span", undefined, real ? "plot real" : "plot");
  const off = Math.abs(difference) > reach;
  const mark = element("span", off ? (difference < 0 ? "\u2039" : "\u203a") : undefined, off ? "mark off" : "mark");
  mark.style.left = `${inside(difference)}%`;
  box.append(svg, mark);
  return box;
}

function forest(section, table) {
  const rival = section.querySelector(".rival");
  const column = section.querySelector(".column");
  const body = section.querySelector("tbody");
  const scale = section.querySelector(".scale");
  const pairs = (k) => ((table.cells[column.value] || {})[k] || []).length;
  const comparable = (name) => Object.values(table.cells[name] || {}).some((rows) => rows.length);
  const draw = () => {
    const compared = (table.cells[column.value] || {})[rival.value] || [];
    const sign = table.better[column.value] || 1;
    const rows = [...compared].sort((a, b) => sign * (b[1] - a[1]));
    const ends = (some) => Math.max(...some.map((row) => Math.abs(row[1]) + row[2]), 1e-9);
    const trained = rows.filter((row) => row[0] >= table.baselines);
    const near = 2 * ends(trained.length ? trained : rows);
    const reach = ends(rows.filter((row) => Math.abs(row[1]) + row[2] <= near));
    scale.textContent = !rows.length ? "" : `In ${column.value}, each row minus ${table.rows[rival.value]}. Upright line: no difference; ` +
      `the scale reaches from ${minus((-reach).toPrecision(2))} to ${reach.toPrecision(2)}.`;
    body.replaceChildren(...rows.map(([k, difference, half, p, seeds]) => {
      const row = element("tr");
      const name = element("th", table.rows[k]);
      name.scope = "row";
      if (k < table.baselines) name.append(element("span", "baseline", "badge"));
      row.dataset.row = table.rows[k];
      if (table.colours[k]) row.style.setProperty("--row", table.colours[k]);
      const real = p <= table.real;
      const plotCell = element("td", undefined, "l");
      plotCell.append(plot(difference, half, reach, real));
      const signed = (value) => minus((value > 0 ? "+" : "") + value.toFixed(4));
      const ends = `[${signed(difference - half)}, ${signed(difference + half)}]`;
      row.append(name, plotCell, element("td", signed(difference)), element("td", ends),
        element("td", (p < 0.001 ? "< .001" : p.toFixed(3)) + (real ? " *" : "")), element("td", String(seeds)));
      return row;
    }));
    if (!rows.length) {
      const none = Object.keys(table.cells).some(comparable) ?
        `No pair of runs to compare to ${table.rows[rival.value]} in ${column.value}.` :
        "No difference is told: the scores of these records hold no leave-groups-out values.";
      const cell = element("td", none, "l");
      cell.colSpan = 6;
      const row = element("tr");
      row.append(cell);
      body.append(row);
    }
    const filter = section.closest("article").querySelector(".filter");
    if (filter && filter.value) filter.dispatchEvent(new Event("input"));
  };
  if (!comparable(column.value)) {
    const other = [...column.options].find((option) => comparable(option.value));
    if (other) column.value = other.value;
  }
  if (!pairs(rival.value)) {
    const other = [...rival.options].find((option) => pairs(option.value));
    if (other) rival.value = other.value;
  }
  rival.addEventListener("change", draw);
  column.addEventListener("change", draw);
  draw();
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".filter").forEach(filterable);
document.querySelectorAll(".forest").forEach((box, k) => forest(box.closest("section"), held[k]));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => { fold.open = true; }));
