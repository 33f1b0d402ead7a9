// What a page needs beyond HTML: switching between before and after, zoom and pan, the list
// that is linked to the picture, filters, and keys. Everything works by keyboard.
"use strict";
(function () {
  const stages = Array.from(document.querySelectorAll(".stage"));
  let current = stages[0] || null;
  let blinking = 0;

  function modes(stage) { return Array.from(stage.closest(".viewer").querySelectorAll("button[data-mode]")); }

  function setMode(stage, mode) {
    if (mode === "side" && !stage.querySelector("svg.right")) {
      const left = stage.querySelector("svg");
      const right = left.cloneNode(true);
      left.classList.add("left");
      right.classList.add("right");
      right.setAttribute("aria-hidden", "true");
      stage.append(right);
      listen(stage, right);
    }
    stage.dataset.mode = mode;
    sizeNames(stage);
    for (const b of modes(stage)) b.setAttribute("aria-pressed", String(b.dataset.mode === mode));
  }

  function blink(stage) {
    const button = stage.closest(".viewer").querySelector("button[data-do=blink]");
    if (blinking) {
      clearInterval(blinking);
      blinking = 0;
      button && button.setAttribute("aria-pressed", "false");
      setMode(stage, "difference");
      return;
    }
    button && button.setAttribute("aria-pressed", "true");
    setMode(stage, "before");
    blinking = setInterval(() => setMode(stage, stage.dataset.mode === "before" ? "after" : "before"), 600);
  }

  // Zoom and pan move the view box; both halves of a side by side view move together.
  const home = new Map();
  function viewBox(svg) { return svg.getAttribute("viewBox").split(/[ ,]+/).map(Number); }
  function setBox(stage, box) {
    for (const svg of stage.querySelectorAll("svg")) svg.setAttribute("viewBox", box.join(" "));
    sizeNames(stage);
  }
  // Names are as large as they can be read, however far the picture is zoomed in or out.
  function sizeNames(stage) {
    for (const svg of stage.querySelectorAll("svg")) {
      const to = svg.getScreenCTM();
      svg.dataset.size = svg.dataset.size || svg.getAttribute("font-size");
      if (to && to.a) svg.setAttribute("font-size", Math.min(Math.max(svg.dataset.size * to.a, 11), 20) / to.a);
    }
  }
  function zoom(stage, factor, at) {
    const [x, y, w, h] = viewBox(stage.querySelector("svg"));
    const full = home.get(stage);
    const nw = Math.min(Math.max(w / factor, full[2] / 60), full[2] * 1.5), nh = nw * h / w;
    const p = at || [x + w / 2, y + h / 2];
    setBox(stage, [p[0] - (p[0] - x) * nw / w, p[1] - (p[1] - y) * nh / h, nw, nh]);
  }
  function pan(stage, dx, dy) {
    const [x, y, w, h] = viewBox(stage.querySelector("svg"));
    setBox(stage, [x + dx * w, y + dy * h, w, h]);
  }
  function pointIn(svg, e) {
    const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [p.x, p.y];
  }
  function listen(stage, svg) {
    svg.addEventListener("wheel", e => {
      if (!e.ctrlKey && !e.shiftKey && document.activeElement !== stage) return; // the page scrolls
      e.preventDefault();
      zoom(stage, e.deltaY < 0 ? 1.2 : 1 / 1.2, pointIn(svg, e));
    }, { passive: false });
    let from = null;
    svg.addEventListener("pointerdown", e => { current = stage; from = pointIn(svg, e); });
    svg.addEventListener("pointermove", e => {
      if (!from || e.buttons !== 1) return;
      const to = pointIn(svg, e), [x, y, w, h] = viewBox(svg);
      setBox(stage, [x + from[0] - to[0], y + from[1] - to[1], w, h]);
    });
    for (const end of ["pointerup", "pointerleave"]) svg.addEventListener(end, () => { from = null; });
    svg.addEventListener("click", e => {
      const shape = e.target.closest(".shape");
      if (shape) choose(stage, shape.dataset.n, true);
    });
  }

  function choose(stage, n, scroll) {
    const viewer = stage.closest(".viewer");
    for (const el of viewer.querySelectorAll("[data-n]")) el.classList.toggle("chosen", el.dataset.n === n);
    const entry = viewer.querySelector(".list [data-n=\"" + CSS.escape(n) + "\"]");
    if (entry && scroll) entry.scrollIntoView({ block: "nearest" });
    // Where the picture is zoomed in, it moves to the annotation.
    const shapes = Array.from(stage.querySelectorAll("svg:first-child .shape.chosen")).filter(s => getComputedStyle(s).display !== "none");
    const [x, y, w, h] = viewBox(stage.querySelector("svg"));
    if (!shapes.length || w >= home.get(stage)[2]) return;
    const b = shapes[shapes.length - 1].querySelector("path, circle").getBBox();
    const cx = b.x + b.width / 2, cy = b.y + b.height / 2;
    if (b.x < x || b.y < y || b.x + b.width > x + w || b.y + b.height > y + h) setBox(stage, [cx - w / 2, cy - h / 2, w, h]);
  }

  function step(stage, by) {
    const list = Array.from(stage.closest(".viewer").querySelectorAll(".list li:not(.off)"));
    if (!list.length) return;
    const at = list.findIndex(li => li.classList.contains("chosen"));
    const to = at < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + by, 0), list.length - 1);
    choose(stage, list[to].dataset.n, true);
  }

  function filter(viewer) {
    const want = {};
    for (const s of viewer.querySelectorAll("select[data-filter]")) if (s.value) want[s.dataset.filter] = s.value;
    let shown = 0, all = 0;
    for (const el of viewer.querySelectorAll("[data-n]")) {
      const off = Object.keys(want).some(k => el.dataset[k] !== want[k]);
      el.classList.toggle("off", off);
      if (el.tagName === "LI") { all++; if (!off) shown++; }
    }
    const note = viewer.querySelector(".shown");
    if (note) note.textContent = shown === all ? "" : shown + " of " + all + " shown";
  }

  addEventListener("resize", () => stages.forEach(sizeNames));
  for (const stage of stages) {
    sizeNames(stage);
    const svg = stage.querySelector("svg");
    home.set(stage, viewBox(svg));
    listen(stage, svg);
    const viewer = stage.closest(".viewer");
    viewer.addEventListener("focusin", () => { current = stage; });
    viewer.addEventListener("click", e => {
      const b = e.target.closest("button");
      if (!b) return;
      current = stage;
      if (b.dataset.mode) { if (blinking) blink(stage); setMode(stage, b.dataset.mode); }
      if (b.dataset.do === "blink") blink(stage);
      if (b.dataset.do === "names") name(stage);
      if (b.dataset.do === "in") zoom(stage, 1.4);
      if (b.dataset.do === "out") zoom(stage, 1 / 1.4);
      if (b.dataset.do === "whole") setBox(stage, home.get(stage));
      const li = b.closest("li[data-n]");
      if (li) choose(stage, li.dataset.n, false);
    });
    for (const s of viewer.querySelectorAll("select[data-filter]")) s.addEventListener("change", () => filter(viewer));
  }

  function name(stage) {
    const on = stage.classList.toggle("named");
    const b = stage.closest(".viewer").querySelector("button[data-do=names]");
    if (b) b.setAttribute("aria-pressed", String(on));
  }

  document.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) return;
    const link = rel => document.querySelector("a[rel~=" + rel + "]");
    if (e.key === "n" || e.key === "ArrowRight" && !e.shiftKey) { const a = link("next"); if (a) { e.preventDefault(); a.click(); } return; }
    if (e.key === "p" || e.key === "ArrowLeft" && !e.shiftKey) { const a = link("prev"); if (a) { e.preventDefault(); a.click(); } return; }
    if (!current) return;
    const has = mode => modes(current).some(b => b.dataset.mode === mode);
    const byKey = { 1: "before", 2: "after", 3: "difference", 4: "side" };
    if (byKey[e.key] && has(byKey[e.key])) { if (blinking) blink(current); setMode(current, byKey[e.key]); }
    else if (e.key === "b" && has("before")) blink(current);
    else if (e.key === "l") name(current);
    else if (e.key === "j" || e.key === "k") step(current, e.key === "j" ? 1 : -1);
    else if (e.key === "+" || e.key === "=") zoom(current, 1.4);
    else if (e.key === "-") zoom(current, 1 / 1.4);
    else if (e.key === "0") setBox(current, home.get(current));
    else if (e.shiftKey && e.key === "ArrowLeft") pan(current, -0.15, 0);
    else if (e.shiftKey && e.key === "ArrowRight") pan(current, 0.15, 0);
    else if (e.shiftKey && e.key === "ArrowUp") pan(current, 0, -0.15);
    else if (e.shiftKey && e.key === "ArrowDown") pan(current, 0, 0.15);
    else return;
    e.preventDefault();
  });

  // A page that shows a source while it is gone through says how far that is, and is shown
  // anew when it is done.
  const watch = document.querySelector("[data-watch]");
  async function look() {
    try {
      const state = await (await fetch(watch.dataset.watch, { cache: "no-store" })).json();
      if (state.done) { location.reload(); return; }
      watch.textContent = "Going through the source: " + state.text + ".";
    } catch (e) { watch.textContent = "The program that shows these pages has ended."; return; }
    setTimeout(look, 1000);
  }
  if (watch) look();

  document.documentElement.dataset.ready = "yes";
})();
