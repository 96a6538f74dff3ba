"use strict";
// Text reaches the page through textContent alone: nothing in a record is read as markup.
const held = JSON.parse(document.getElementById("differences").textContent);
const minus = (text) => text.replace("-", "\u2212");
const made = (name, text, kind) => {
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
    heads.forEach((one) => one.setAttribute("aria-sort", one === head ? order : "none"));
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
    article.querySelectorAll(".panels [data-row], .forest tr[data-row]").forEach((one) => {
      one.hidden = !fits(one.dataset.row);
    });
  });
}

function plot(difference, half, reach, real) {
  const space = "http://www.w3.org/2000/svg";
  const at = (value) => 50 + (48 * value) / reach;
  const drawn = document.createElementNS(space, "svg");
  drawn.setAttribute("viewBox", "0 0 100 16");
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.setAttribute("aria-hidden", "true");
  const line = (x1, y1, x2, y2, kind) => {
    const one = document.createElementNS(space, "line");
    Object.entries({ x1, y1, x2, y2, class: kind }).forEach(([key, value]) => one.setAttribute(key, value));
    drawn.append(one);
  };
  line(50, -4, 50, 20, "zero");
  const inside = (value) => Math.min(Math.max(at(value), 1), 99);
  line(inside(difference - half), 8, inside(difference + half), 8, "span");
  const box = made("span", undefined, real ? "plot real" : "plot");
  const off = Math.abs(difference) > reach;
  const mark = made("span", off ? (difference < 0 ? "\u2039" : "\u203a") : undefined, off ? "mark off" : "mark");
  mark.style.left = `${inside(difference)}%`;
  box.append(drawn, mark);
  return box;
}

function forest(section, part) {
  const rival = section.querySelector(".rival");
  const column = section.querySelector(".column");
  const body = section.querySelector("tbody");
  const told = section.querySelector(".scale");
  const draw = () => {
    const found = (part.cells[column.value] || {})[rival.value] || [];
    const sign = part.better[column.value] || 1;
    const rows = [...found].sort((a, b) => sign * (b[1] - a[1]));
    const ends = (some) => Math.max(...some.map((one) => Math.abs(one[1]) + one[2]), 1e-9);
    const trained = rows.filter((one) => one[0] >= part.baselines);
    const near = 2 * ends(trained.length ? trained : rows);
    const reach = ends(rows.filter((one) => Math.abs(one[1]) + one[2] <= near));
    told.textContent = `In ${column.value}, each row minus ${part.rows[rival.value]}. Upright line: no difference; ` +
      `the scale reaches from ${minus((-reach).toPrecision(2))} to ${reach.toPrecision(2)}.`;
    body.replaceChildren(...rows.map(([k, difference, half, p, seeds]) => {
      const row = made("tr");
      const name = made("th", part.rows[k]);
      name.scope = "row";
      if (k < part.baselines) name.append(made("span", "baseline", "badge"));
      row.dataset.row = part.rows[k];
      const real = p <= part.real;
      const drawn = made("td", undefined, "l");
      drawn.append(plot(difference, half, reach, real));
      const signed = (value) => minus((value > 0 ? "+" : "") + value.toFixed(4));
      const ends = `[${signed(difference - half)}, ${signed(difference + half)}]`;
      row.append(name, drawn, made("td", signed(difference)), made("td", ends),
        made("td", (p < 0.001 ? "< .001" : p.toFixed(3)) + (real ? " *" : "")), made("td", String(seeds)));
      return row;
    }));
    if (!rows.length) {
      const cell = made("td", `No pair of runs to compare to ${part.rows[rival.value]} in ${column.value}.`, "l");
      cell.colSpan = 6;
      const row = made("tr");
      row.append(cell);
      body.append(row);
    }
    const filter = section.closest("article").querySelector(".filter");
    if (filter && filter.value) filter.dispatchEvent(new Event("input"));
  };
  rival.addEventListener("change", draw);
  column.addEventListener("change", draw);
  draw();
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".filter").forEach(filterable);
document.querySelectorAll(".forest").forEach((one, k) => forest(one.closest("section"), held[k]));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
