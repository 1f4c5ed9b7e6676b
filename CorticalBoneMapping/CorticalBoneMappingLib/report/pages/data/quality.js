// Accept, reject and note the cases of a study, and save the decisions as a table. Data: report/html/quality_page.py.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("quality-data").textContent);
  const column = (name) => data.columns.indexOf(name);
  const [VERDICT, NOTE, OF_RESULT] = [column("verdict"), column("note"), column("of_result")];
  const list = document.getElementById("cases");
  const cards = [...list.children];
  const rowOf = (card) => data.rows[Number(card.dataset.place)];
  const resultOf = (card) => data.results[Number(card.dataset.place)];
  const byId = (name) => document.getElementById(name);
  let saved = true;

  // A verdict on an earlier result than the one that is shown waits to be given again.
  function verdictOf(card) {
    const row = rowOf(card);
    return row[OF_RESULT] && resultOf(card) && row[OF_RESULT] !== resultOf(card) ? "" : row[VERDICT];
  }
  function show(card) {
    const verdict = verdictOf(card);
    card.dataset.verdict = verdict;
    for (const button of card.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    }
  }
  function showProgress() {
    const judged = cards.filter((card) => verdictOf(card)).length;
    const rejected = cards.filter((card) => verdictOf(card) === "reject").length;
    byId("progress").textContent =
      `${judged} of ${data.rows.length} judged, ${rejected} rejected${saved ? "" : "; not saved yet"}`;
  }
  function change(card, values) {
    if (Object.entries(values).every(([place, value]) => rowOf(card)[place] === value)) return;
    Object.assign(rowOf(card), values);
    saved = false;
    show(card);
    showProgress();
  }
  const judge = (card, verdict) => change(card, { [VERDICT]: verdict, [OF_RESULT]: resultOf(card) });
  const oneLine = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();

  // As Python's csv module writes it: quotes only where they are needed.
  function cell(text) {
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
  function asTable() {
    return [data.columns, ...data.rows].map((row) => row.map(cell).join(",") + "\n").join("");
  }
  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([asTable()], { type: "text/csv;charset=utf-8" }));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = true;
    showProgress();
  }

  // data-fit-failed is dataset.fitFailed; what is not known comes first.
  const numberOf = (card, key) => {
    const value = Number(card.dataset[key.replace(/_(.)/g, (_, letter) => letter.toUpperCase())]);
    return Number.isNaN(value) ? Infinity : value;
  };
  function order() {
    const key = byId("order").value;
    const names = new Intl.Collator(undefined, { numeric: true });
    const compare = {
      concern: (a, b) => Number(a.dataset.place) - Number(b.dataset.place),
      name: (a, b) => names.compare(rowOf(a).slice(0, 3).join("\t"), rowOf(b).slice(0, 3).join("\t")),
    }[key] || ((a, b) => numberOf(b, key) - numberOf(a, key));
    list.append(...cards.sort(compare));
  }
  function filter() {
    const wanted = byId("filter").value;
    for (const card of cards) {
      const isIn = { all: true, open: verdictOf(card) === "", look: "look" in card.dataset };
      card.hidden = !isIn[wanted] && rowOf(card)[VERDICT] !== wanted;
    }
  }
  function step(card, by) {
    const seen = cards.filter((one) => !one.hidden);
    const next = seen[seen.indexOf(card) + by];
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "center" });
    }
  }

  const KEYS = { a: "accept", r: "reject", u: "" };
  for (const card of cards) {
    show(card);
    card.addEventListener("click", (event) => {
      if (event.target.tagName === "IMG") card.classList.toggle("large");
      if (event.target.tagName !== "BUTTON") return;
      const verdict = event.target.dataset.verdict;
      judge(card, verdictOf(card) === verdict ? "" : verdict);
    });
    card.querySelector("input").addEventListener("input", (event) => change(card, { [NOTE]: oneLine(event.target.value) }));
    card.addEventListener("keydown", (event) => {
      if (event.target !== card || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in KEYS) {
        judge(card, KEYS[event.key]);
        if (event.key !== "u") step(card, 1);
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") step(card, event.key === "ArrowDown" ? 1 : -1);
      else return;
      event.preventDefault();
    });
  }
  byId("order").addEventListener("change", order);
  byId("filter").addEventListener("change", filter);
  byId("save").addEventListener("click", save);
  window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  showProgress();
})();
