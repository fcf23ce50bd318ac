// What the leaderboard and a run's page share: how numbers look and what all tables have.
"use strict";

const brief = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const numberOr = (format) => (cell) => (cell.getValue() === null ? "–" : format.format(cell.getValue()));

// Cells are text unless a formatter says otherwise; a formatter returns text or an element, and
// text from a run reaches an element by textContent alone.
const textElement = (tag, text, className = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
};

const onPhone = window.matchMedia("(max-width: 700px)").matches;

const opener = { formatter: "responsiveCollapse", width: 34, headerSort: false, responsive: 0 };

const makeTable = (place, columns, options = {}) =>
  new Tabulator(place, {
    layout: onPhone ? "fitDataFill" : "fitDataStretch",
    columnDefaults: { headerSortTristate: true, headerFilterPlaceholder: "filter" },
    placeholder: "Nothing fits the filters",
    responsiveLayout: onPhone ? "collapse" : false,
    responsiveLayoutCollapseStartOpen: false,
    columns,
    ...options,
  });

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

const showCount = (shown, what) => {
  document.getElementById("count").textContent = `${shown} ${what}`;
};
