// Tables that are sorted by a press on a column's head. Reference lines stay below what is compared.

const WORDS = { never: Infinity, start: 0 };

/** The first number of a cell; what is none is later than all. */
function cellNumber(row, column) {
  const cell = row.cells[column];
  if (cell?.dataset.value !== undefined) return cell.dataset.value === "inf" ? Infinity : Number(cell.dataset.value);
  const text = (cell?.firstChild?.textContent ?? "").trim();
  for (const [word, value] of Object.entries(WORDS)) if (text.startsWith(word)) return value;
  const found = text.replaceAll("\u2212", "-").replaceAll(",", "").match(/-?\d+(\.\d+)?(e[+-]?\d+)?/);
  return found ? Number(found[0]) : null;
}

function compare(column, sign) {
  return (one, other) => {
    const apart = one.classList.contains("reference") - other.classList.contains("reference");
    if (apart) return apart;
    if (column === 0) return sign * one.cells[0].textContent.localeCompare(other.cells[0].textContent);
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
    if (head.dataset.unsorted !== undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      body.append(...[...body.rows].sort(compare(column, falls ? -1 : 1)));
    });
  });
}
