// The average femur with the maps of every answer. Data: a JSON block (see report/html/explorer.py); drawing: plotly.js.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const place = (name) => document.getElementById(`explorer-${name}`);
  const [plot, legend, point] = [place("plot"), place("legend"), place("point")];
  const [answerChoice, mapChoice] = [place("answer"), place("map")];
  const MISSING = "–";

  const KINDS = { f4: Float32Array, u4: Uint32Array, u1: Uint8Array };
  function unpack(text, kind) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new KINDS[kind](bytes.buffer);
  }
  for (const mesh of data.meshes) {
    for (const axis of "xyz") mesh[axis] = unpack(mesh[axis], "f4");
    for (const corner of "ijk") mesh[corner] = unpack(mesh[corner], "u4");
    mesh.region = unpack(mesh.region, "u1");
  }
  for (const answer of data.answers) {
    for (const name of Object.keys(answer.arrays)) answer.arrays[name] = unpack(answer.arrays[name], "f4");
  }

  function written(value, decimals) {
    if (Number.isNaN(value)) return MISSING;
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "\u2212∞";
    const text = value.toFixed(decimals);
    return (Number(text) === 0 ? (0).toFixed(decimals) : text).replace("-", "\u2212");
  }
  // `kind` is a map or a fact: what it is written in.
  function inWords(value, kind) {
    if (kind.p && value < 1e-4) return "< 0.0001";
    return written(value, kind.decimals) + (Number.isFinite(value) && kind.unit ? ` ${kind.unit}` : "");
  }
  function colourOf(value, map) {
    if (!Number.isFinite(value)) return data.grey;
    const ramp = data.ramps[map.ramp];
    const share = (value - map.range[0]) / (map.range[1] - map.range[0]);
    return ramp[Math.round(Math.min(1, Math.max(0, share)) * (ramp.length - 1))];
  }

  let answer = data.answers[0];
  let map = answer.maps[0];
  const mesh = () => data.meshes[answer.mesh];

  function trace() {
    const values = answer.arrays[map.array];
    const { x, y, z, i, j, k, region } = mesh();
    return {
      type: "mesh3d", x, y, z, i, j, k,
      vertexcolor: Array.from(values, (value) => colourOf(value, map)),
      text: Array.from(values, (value, n) =>
        `${Number.isFinite(value) ? inWords(value, map) : map.grey}<br>${data.regions[region[n]]}`),
      hovertemplate: "%{text}<extra></extra>",
      flatshading: false,
      // The light goes with the eye: +x is right and +y up on the screen, −z towards the viewer.
      lighting: { ambient: 0.45, diffuse: 0.6, specular: 0.02, roughness: 0.9, fresnel: 0 },
      lightposition: { x: -3e4, y: 5e4, z: -1e5 },
    };
  }
  const DOT_ABOVE_MM = 1.5;
  const DOT = { type: "scatter3d", mode: "markers", x: [], y: [], z: [], hoverinfo: "skip",
    marker: { size: 5, color: "#111", line: { color: "#fff", width: 2 } } };
  function cameraOf(view) {
    const [x, y, z] = view.towards.map((part) => 1.4 * part);
    const [a, b, c] = view.up;
    return { eye: { x, y, z }, up: { x: a, y: b, z: c }, center: { x: 0, y: 0, z: 0 },
      projection: { type: "orthographic" } };
  }
  const hidden = { visible: false, showspikes: false };
  const layout = {
    margin: { l: 0, r: 0, t: 0, b: 0 },
    scene: { aspectmode: "manual", xaxis: hidden, yaxis: hidden, zaxis: hidden, camera: cameraOf(data.views[0]),
      dragmode: "orbit", hovermode: "closest" },
    hoverlabel: { font: { size: 14 } },
    uirevision: "kept",
  };
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["resetCameraLastSave3d", "toImage"]],
    toImageButtonOptions: { filename: "femur", scale: 2 } };

  // One scale along all axes, by which the longest of them fills the view.
  function extents({ x, y, z }) {
    const sizes = [x, y, z].map((axis) => axis.reduce((m, v) => Math.max(m, v), -Infinity)
      - axis.reduce((m, v) => Math.min(m, v), Infinity));
    const share = sizes.map((size) => 1.75 * size / Math.max(...sizes));
    return { x: share[0], y: share[1], z: share[2] };
  }

  function add(parent, name, text, look) {
    const made = document.createElement(name);
    made.textContent = text;
    if (look) made.className = look;
    parent.append(made);
    return made;
  }

  function drawLegend() {
    const values = answer.arrays[map.array];
    legend.replaceChildren();
    add(legend, "div", map.label, "legend-title");
    const bar = add(legend, "div", "", "legend-bar");
    bar.style.background = `linear-gradient(to top, ${data.ramps[map.ramp].join(",")})`;
    for (const [value, text] of map.ticks) {
      const tick = add(bar, "span", text, "legend-tick");
      tick.style.bottom = `${100 * (value - map.range[0]) / (map.range[1] - map.range[0])}%`;
    }
    const beyond = values.reduce((sum, v) => sum + (v < map.range[0] || v > map.range[1] ? 1 : 0), 0);
    if (beyond) add(legend, "div", `beyond the ends: ${beyond} points`, "legend-note");
    if (values.some((value) => !Number.isFinite(value))) {
      const note = add(legend, "div", ` ${map.grey}`, "legend-note");
      const box = document.createElement("i");
      box.style.background = data.grey;
      note.prepend(box);
    }
  }

  function showPoint(n) {
    point.replaceChildren();
    const show = (label, text) => {
      add(point, "dt", label);
      add(point, "dd", text);
    };
    point.dataset.vertex = n === null ? "" : n;
    if (n === null) {
      show("Under the pointer", MISSING);
      return;
    }
    const m = mesh();
    show("Region", data.regions[m.region[n]]);
    const value = answer.arrays[map.array][n];
    show(map.label, Number.isNaN(value) ? map.grey : inWords(value, map));
    for (const fact of answer.facts) {
      const text = inWords(answer.arrays[fact.array][n], fact);
      const bounds = (fact.bounds || []).map((name) => written(answer.arrays[name][n], fact.decimals));
      const known = text !== MISSING && bounds.some((bound) => bound !== MISSING);
      show(fact.label, known ? `${text} (95 % CI ${bounds.join(" to ")})` : text);
    }
    show("Right, anterior, superior", ["x", "y", "z"].map((axis) => written(m[axis][n], 0)).join(", ") + " mm");
  }

  // Arms over visits at a point: means and standard errors, as groups.csv and effect.vtp have them.
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
  const asText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  function showGroups(n) {
    const chart = place("groups");
    chart.parentElement.classList.toggle("shown", n !== null && answer.groups.length > 0);
    if (n === null || !answer.groups.length) return;
    const arms = [...new Set(answer.groups.map((group) => group.arm))];
    const lines = arms.map((arm, index) => {
      const groups = answer.groups.filter((group) => group.arm === arm);
      const at = (name) => groups.map((group) => answer.arrays[group[name]][n]);
      return {
        type: "scatter", mode: "lines+markers", name: asText(arm), x: groups.map((group) => `visit ${asText(group.visit)}`),
        y: at("mean"), error_y: { type: "data", array: at("error") },
        line: { color: COLOURS[index % COLOURS.length] }, marker: { size: 8, symbol: index },
      };
    });
    Plotly.react(chart, lines, {
      title: { text: `Mean ± standard error, ${data.regions[mesh().region[n]]}`, font: { size: 15 } },
      margin: { l: 70, r: 10, t: 40, b: 40 }, height: 380,
      yaxis: { title: { text: `${answer.measure} (${answer.groups[0].unit})` } }, xaxis: { type: "category" },
    }, { displayModeBar: false, responsive: true });
  }

  // A dot at the point that was clicked.
  function mark(n) {
    const normal = normalAt(n);  // half of a dot in the surface would be hidden by it
    const [x, y, z] = ["x", "y", "z"].map((axis, c) => [mesh()[axis][n] + DOT_ABOVE_MM * normal[c]]);
    Plotly.restyle(plot, { x: [x], y: [y], z: [z] }, [1]);
  }
  function normalAt(n) {
    const { x, y, z, i, j, k } = mesh();
    const sum = [0, 0, 0];
    for (let t = 0; t < i.length; t += 1) {
      if (i[t] !== n && j[t] !== n && k[t] !== n) continue;
      const edge = (to) => [x[to] - x[i[t]], y[to] - y[i[t]], z[to] - z[i[t]]];
      const [a, b] = [edge(j[t]), edge(k[t])];
      [0, 1, 2].forEach((c) => { sum[c] += a[(c + 1) % 3] * b[(c + 2) % 3] - a[(c + 2) % 3] * b[(c + 1) % 3]; });
    }
    const length = Math.hypot(...sum) || 1;
    return sum.map((part) => part / length);
  }
  // Plotly gives "plotly_click" at every frame that is drawn while a button is held down, while the femur is
  // turned as well, and a restyle draws frames: so its events only say which vertex is under the pointer, and
  // a click is a press that ends where it began.
  const STILL_PX = 4;
  function watchPointer() {
    let under = null;
    let pressed = null;
    const point_at = (event) => {
      const [hit] = event.points;
      if (hit.curveNumber !== 0 || hit.pointNumber === under) return;
      under = hit.pointNumber;
      showPoint(under);
    };
    plot.on("plotly_hover", point_at);
    plot.on("plotly_click", point_at);
    plot.on("plotly_unhover", () => { under = null; });
    // Before Plotly's own listeners, which may keep the events to themselves.
    const onStage = (event) => event.button === 0 && event.target.closest(".gl-container, .svg-container") !== null
      && event.target.closest(".modebar-container") === null;
    plot.addEventListener("pointerdown", (event) => {
      pressed = onStage(event) ? { x: event.clientX, y: event.clientY } : null;
    }, true);
    window.addEventListener("pointerup", (event) => {
      const from = pressed;
      pressed = null;
      if (!from || Math.hypot(event.clientX - from.x, event.clientY - from.y) > STILL_PX) return;
      // After the events that belong to this release, so that no frame is drawn with the button down.
      setTimeout(() => { if (under !== null) pick(under); }, 0);
    }, true);
  }
  function pick(n) {
    showPoint(n);
    showGroups(n);
    mark(n);
  }
  function goTo(index, n) {
    answerChoice.value = index;
    answerChoice.dispatchEvent(new Event("change"));
    const towards = normalAt(n);
    const up = Math.abs(towards[2]) > 0.9 ? [0, 1, 0] : [0, 0, 1];
    look(cameraOf({ towards, up }));
    pick(n);
  }

  function choose(list, entries, labelOf) {
    list.replaceChildren();
    entries.forEach((entry, n) => { add(list, "option", labelOf(entry)).value = n; });
  }
  function redraw() {
    drawLegend();
    showPoint(null);
    layout.scene.aspectratio = extents(mesh());
    showGroups(null);
    return Plotly.react(plot, [trace(), { ...DOT }], layout, config);
  }
  function look(camera) {
    layout.scene.camera = camera;
    Plotly.relayout(plot, { "scene.camera": camera });
  }

  function start() {
    choose(answerChoice, data.answers, (entry) => entry.name);
    choose(mapChoice, answer.maps, (entry) => entry.label);
    answerChoice.addEventListener("change", () => {
      const before = map.array;
      answer = data.answers[Number(answerChoice.value)];
      choose(mapChoice, answer.maps, (entry) => entry.label);
      map = answer.maps.find((entry) => entry.array === before) || answer.maps[0];
      mapChoice.value = answer.maps.indexOf(map);
      redraw();
    });
    mapChoice.addEventListener("change", () => {
      map = answer.maps[Number(mapChoice.value)];
      redraw();
    });
    for (const view of data.views) {
      const button = add(place("views"), "button", view.name);
      button.type = "button";
      button.addEventListener("click", () => look(cameraOf(view)));
    }
    redraw().then(() => {
      watchPointer();
      plot.dataset.ready = "yes";
      document.dispatchEvent(new Event("explorer-ready"));
    });
  }

  if (!document.createElement("canvas").getContext("webgl")) {
    plot.textContent = "This browser shows no 3-D graphics (WebGL is off); the figures below show the same maps.";
    document.querySelectorAll("#explorer .controls, #explorer .hint").forEach((part) => { part.hidden = true; });
    return;
  }
  document.querySelectorAll("button.peak").forEach((button) => {
    button.disabled = false;
    button.addEventListener("click", () => {
      const index = Number(button.closest("section").id.replace("analysis-", "")) - 1;
      const go = () => goTo(index, Number(button.dataset.vertex));
      document.getElementById("interactive").scrollIntoView();
      if (plot.dataset.ready) go();
      else document.addEventListener("explorer-ready", go, { once: true });
    });
  });

  // plotly.js is large: it runs, and the femur is drawn, when its place comes into sight.
  function load() {
    const script = document.createElement("script");
    script.textContent = document.getElementById("plotly").textContent;
    document.head.append(script);
    plot.replaceChildren();
    start();
  }
  new IntersectionObserver((seen, watch) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    plot.textContent = "The femur is being drawn …";
    requestAnimationFrame(() => setTimeout(load, 0));
  }).observe(plot);
})();
