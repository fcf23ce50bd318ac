// What the leaderboard and a run's page share: how numbers look and what all tables have.
"use strict";

const byId = (id) => document.getElementById(id);

// Cells are text unless a formatter says otherwise; a formatter returns text or an element, and
// text from a run reaches an element by textContent alone.
const textElement = (tag, text, className = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
};
const linkElement = (text, address, className = "") => {
  const link = textElement("a", text, className);
  link.href = address;
  return link;
};
const groupBy = (items, keyOf) => {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
};
const fill = (select, options) =>
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));

const onPhone = window.matchMedia("(max-width: 700px)").matches;

const opener = { formatter: "responsiveCollapse", width: 34, headerSort: false, responsive: 0 };
const amount = (title, field, rest = {}) => ({
  title, field, hozAlign: "right", sorter: "number", sorterParams: { alignEmptyValues: "bottom" }, ...rest,
});

const makeTable = (place, columns, options = {}) => {
  const table = new Tabulator(place, {
    layout: onPhone ? "fitDataFill" : "fitDataStretch",
    columnDefaults: { headerSortTristate: true },
    placeholder: "Nothing fits the filters",
    responsiveLayout: onPhone ? "collapse" : false,
    responsiveLayoutCollapseStartOpen: false,
    autoResize: false, // redrawWhenResized does it
    columns,
    ...options,
  });
  table.on("tableBuilt", () => {
    sortByKeyboard(table);
    redrawWhenResized(table, document.querySelector(place));
    hintAtMore(document.querySelector(place), document.querySelector(`${place} .tabulator-tableholder`), table);
  });
  return table;
};

// Tabulator's own autoResize also draws anew when the table is scrolled into sight or its rows grow
// taller, and a press on a row that is replaced before the finger is lifted is no click.
const redrawWhenResized = (table, box) => {
  let drawn = box.clientWidth;
  const redraw = () => {
    drawn = box.clientWidth;
    if (drawn) table.redraw();
  };
  new ResizeObserver(() => { if (box.clientWidth !== drawn) redraw(); }).observe(box);
  window.addEventListener("resize", redraw);
};

// Sorting from the keyboard: a title is reached by Tab, and Enter or Space sorts.
const sortByKeyboard = (table) => {
  for (const column of table.getColumns()) {
    const title = column.getElement().querySelector(".tabulator-col-title");
    if (!title || !column.getDefinition().title || column.getDefinition().headerSort === false) continue;
    title.tabIndex = 0;
    title.setAttribute("role", "button");
    title.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      title.click();
    });
  }
};

// What does not fit says so in words, and its edges are shaded until the end is reached.
const hintAtMore = (box, scroller, table = null) => {
  const hint = box.nextElementSibling?.matches(".more") ? box.nextElementSibling : textElement("p", "", "note more");
  box.after(hint);
  const show = () => {
    const wide = scroller.scrollWidth - scroller.clientWidth > 1;
    const high = scroller.scrollHeight - scroller.clientHeight > 1;
    const ways = [...(wide ? ["sideways for more columns"] : []), ...(high ? ["down for more rows"] : [])];
    hint.textContent = ways.length ? `Scroll the table ${ways.join(" and ")}.` : "";
    box.classList.toggle("more-right", wide && scroller.scrollLeft + scroller.clientWidth < scroller.scrollWidth - 1);
    box.classList.toggle("more-below", high && scroller.scrollTop + scroller.clientHeight < scroller.scrollHeight - 1);
  };
  scroller.addEventListener("scroll", show);
  new ResizeObserver(show).observe(scroller);
  table?.on("renderComplete", show);
  show();
};

const showCount = (shown, what) => {
  byId("count").textContent = `${shown} ${shown === 1 ? what : `${what}s`}`;
};
