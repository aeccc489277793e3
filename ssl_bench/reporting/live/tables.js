// Tables that are sorted by a press on a column's head. Reference lines stay below what is compared.

const WORDS = { never: Infinity, start: 0 };

// At the beginning of a cell, and whole: neither a date nor an identity that begins with digits.
const NUMBER = /^[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?(?=$|[\s,;%\u00b1\u2013])/;

function cellText(row, column) {
  return (row.cells[column]?.firstChild?.textContent ?? "").trim();
}

/** The number a cell begins with; `null` for a dash or an empty cell, `NaN` for words. */
function cellNumber(row, column) {
  const raw = row.cells[column]?.dataset.value;
  if (raw !== undefined) return raw === "inf" ? Infinity : Number(raw);
  const text = cellText(row, column).replaceAll("\u2212", "-");
  if (text === "" || text === "\u2013") return null;
  for (const [word, value] of Object.entries(WORDS)) if (text.startsWith(word)) return value;
  const found = text.match(NUMBER);
  return found ? Number(found[0].replaceAll(",", "")) : NaN;
}

/** Whether all cells of a column are numbers or dashes: any other column is sorted as text. */
function isNumeric(rows, column) {
  return column > 0 && rows.every((row) => !Number.isNaN(cellNumber(row, column)));
}

/** Which of two rows is first; what has no number is last either way. */
function compare(column, sign, numeric) {
  return (one, other) => {
    const apart = one.classList.contains("reference") - other.classList.contains("reference");
    if (apart) return apart;
    if (!numeric) return sign * cellText(one, column).localeCompare(cellText(other, column));
    const [a, b] = [cellNumber(one, column), cellNumber(other, column)];
    if (a === null || b === null) return (a === null) - (b === null);
    return a === b ? 0 : sign * (a < b ? -1 : 1);
  };
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  if (body.rows.length < 2) return;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...body.rows];
      body.append(...rows.sort(compare(column, falls ? -1 : 1, isNumeric(rows, column))));
    });
  });
}
