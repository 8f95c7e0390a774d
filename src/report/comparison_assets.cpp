#include "report/comparison_assets.h"

namespace reprise::report {

const std::string_view kComparisonStyle = R"(
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5d636c; --paper: #fbfbfa; --card: #ffffff;
  --line: #dfe1e4; --accent: #0068a8; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e7e8ea; --soft: #a3aab4; --paper: #15171a;
  --card: #1d2024; --line: #33373d; --accent: #56a8e0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.75rem 0 .6rem; }
h3 { font-size: .95rem; margin: 0 0 .5rem; font-weight: 600; overflow-wrap: anywhere; }
h3 small, .soft, figcaption small, th { color: var(--soft); font-weight: 400; }
p { margin: .4rem 0; max-width: 48rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
svg { display: block; max-width: 100%; height: auto; }
.card, .bars svg, .chart { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
svg.chart { margin: 0; } svg.wide { display: block; width: 100%; } svg.narrow { display: none; }
.tabs { display: flex; flex-wrap: wrap; gap: .4rem; border: 0; padding: 0; margin: .75rem 0; }
.tabs input { position: absolute; opacity: 0; }
.tabs label, .controls button, .controls select { display: inline-block; padding: .3rem .8rem; font: inherit; font-size: .9rem;
  border: 1px solid var(--line); border-radius: 2rem; background: var(--card); color: var(--ink); cursor: pointer; }
.tabs input:checked + label { border-color: var(--ink); background: var(--ink); color: var(--paper); }
.tabs input:focus-visible + label { outline: 3px solid var(--accent); outline-offset: 2px; }
.chosen { display: none; }
.charts:has(#by0:checked) .chosen0, .charts:has(#by1:checked) .chosen1, .charts:has(#by2:checked) .chosen2 { display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; border-top: 0; font-variant-numeric: tabular-nums; background: var(--card); font-size: .92rem;
  border: 1px solid var(--line); }
th, td { padding: .35rem .8rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; vertical-align: bottom; white-space: normal; }
th:first-child, tbody th { text-align: left; color: var(--ink); font-weight: 600; }
tbody th { position: sticky; left: 0; background: var(--card); white-space: nowrap; }
.key { display: inline-block; font-size: inherit; width: .9em; height: .9em; margin-right: .4em; vertical-align: -.1em; }
tbody th { padding-left: calc(.8rem + 1.3em); text-indent: -1.3em; overflow-wrap: break-word; }
tr.fewer th { font-weight: 400; }
.pair { margin: 0 0 1.4rem; }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(7.5rem, 15rem); gap: .6rem; overflow-x: auto;
  padding: 3px; scroll-snap-type: x proximity; }
figure { margin: 0; scroll-snap-align: start; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; overflow: hidden; }
figure[role=button] { cursor: pointer; }
figure[aria-pressed=true] { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.picture { display: block; overflow: hidden; position: relative; width: 100%; }
.picture img { display: block; width: 100%; height: auto; }
.small-picture img { image-rendering: pixelated; }
.picture.video img { width: calc(100% * var(--frames)); max-width: none;
  animation: play calc(var(--frames) * .14s) steps(var(--frames)) infinite; }
@keyframes play { to { transform: translateX(-100%); } }
body:has(#play:not(:checked)) .video img { animation-play-state: paused; }
figcaption { padding: .45rem .5rem .5rem; font-size: .82rem; line-height: 1.35; }
figcaption b { display: block; overflow-wrap: anywhere; }
.viewer { display: grid; grid-template-columns: minmax(0, 27rem) minmax(0, 1fr); gap: 1.25rem; padding: 1rem; margin: 0 0 1.5rem; }
.viewer[hidden] { display: none; }
.stage { position: relative; overflow: hidden; border-radius: .4rem; touch-action: pan-y; cursor: ew-resize; background: #fff; }
.over { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--cut, 50%)); }
.bar { position: absolute; top: 0; bottom: 0; left: var(--cut, 50%); width: 3px; margin-left: -1.5px; background: #fff;
  box-shadow: 0 0 0 1px #0008; pointer-events: none; }
.stage.differing .over { clip-path: none; mix-blend-mode: difference; } .stage.differing .bar { display: none; }
.viewer input[type=range] { width: 100%; margin: .6rem 0 0; accent-color: var(--accent); }
.ends { display: flex; justify-content: space-between; gap: 1rem; font-size: .85rem; color: var(--soft); }
.controls { display: grid; gap: .7rem; align-content: start; }
.controls label { display: grid; gap: .2rem; font-size: .85rem; color: var(--soft); }
.controls select { border-radius: .5rem; max-width: 100%; } .controls label.tick { display: flex; gap: .5rem; align-items: center; }
.controls .turn { display: flex; gap: .5rem; }
.bars { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.bars > div { overflow-x: auto; } .bars svg { min-width: 30rem; width: 100%; }
dl { display: grid; grid-template-columns: fit-content(14rem) minmax(0, 1fr); gap: .15rem 1.25rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 44rem) { body { padding: 1.25rem .8rem 3rem; } svg.wide { display: none; } svg.narrow { display: block; width: 100%; }
  .viewer { grid-template-columns: minmax(0, 1fr); padding: .7rem; } h1 { font-size: 1.3rem; }
  .strip { grid-auto-columns: minmax(7.5rem, 46%); } .bars svg { min-width: 42rem; }
  tbody th { white-space: normal; min-width: 9rem; max-width: 11rem; } th, td { padding: .35rem .6rem; }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .4rem; } }
@media (prefers-reduced-motion: reduce) { .picture.video img { animation: none; } .picture.video { overflow-x: auto; } }
@media print { :root { --paper: #fff; --accent: #dfe1e4; } body { max-width: none; padding: 0; } .viewer, .tabs { display: none !important; } .chosen { display: block !important; margin-bottom: .8rem; }
  .scroll, .bars > div { overflow: visible; } table { width: 100%; font-size: .7rem; } th, td { white-space: normal; padding: .2rem .3rem; }
  tbody th { position: static; padding-left: 1.6em; white-space: normal; min-width: 0; max-width: none; } .bars svg { min-width: 0; }
  .strip { grid-auto-flow: row; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); overflow: visible; }
  .picture.video img { animation: none; } h2, h3 { break-after: avoid; } tr, figure, svg { break-inside: avoid; } }
)";

const std::string_view kComparisonScript = R"(
"use strict";
(() => {
  const viewer = document.getElementById("viewer");
  if (viewer) {
    const find = (selector) => viewer.querySelector(selector);
    const stage = find(".stage"), slider = find("input[type=range]"), pair = find("[name=pair]"), way = find("[name=way]");
    const figures = Array.from(document.querySelectorAll("figure[data-way]"));
    const figure = (p, w) => figures.find((one) => one.dataset.pair === p ? one.dataset.way === w : false);
    const keepInStep = () => {
      const all = document.getAnimations(), at = Math.max(...all.map((one) => Number(one.currentTime)));
      for (const one of all) {
        if (one.playState === "paused") one.currentTime = at;  // setting its start would make it run
        else one.startTime = 0;
      }
    };
    const cut = () => stage.style.setProperty("--cut", slider.value + "%");
    const show = () => {
      const full = figure(pair.value, "0"), other = figure(pair.value, way.value);
      find(".under").replaceChildren(full.querySelector(".picture").cloneNode(true));
      find(".over").replaceChildren(other.querySelector(".picture").cloneNode(true));
      find(".right").textContent = way.selectedOptions[0].textContent;
      find(".distance").textContent = other.querySelector("small").textContent;
      stage.classList.toggle("differing", find("[name=differing]").checked);
      keepInStep();
      for (const one of figures) one.setAttribute("aria-pressed", String(one === other));
      cut();
    };
    const turn = (by) => {
      pair.selectedIndex = (pair.selectedIndex + by + pair.length) % pair.length;
      show();
    };
    const drag = (event) => {
      if (event.buttons % 2 === 0) return;
      const box = stage.getBoundingClientRect();
      slider.value = String(Math.round(100 * (event.clientX - box.left) / box.width));
      cut();
    };
    slider.addEventListener("input", cut);
    stage.addEventListener("pointerdown", drag);
    stage.addEventListener("pointermove", drag);
    for (const control of [pair, way, find("[name=differing]")]) control.addEventListener("change", show);
    const play = document.getElementById("play");
    if (play) play.addEventListener("change", keepInStep);
    find(".before").addEventListener("click", () => turn(-1));
    find(".after").addEventListener("click", () => turn(1));
    for (const one of figures) {
      if (one.dataset.way === "0") continue;
      const open = () => {
        pair.value = one.dataset.pair;
        way.value = one.dataset.way;
        show();
        viewer.scrollIntoView({ block: "nearest" });
      };
      one.tabIndex = 0;
      one.setAttribute("role", "button");
      one.addEventListener("click", open);
      one.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") { if (event.key !== " ") return; }
        event.preventDefault();
        open();
      });
    }
    viewer.hidden = false;
    show();
  }
  document.documentElement.dataset.ready = "yes";
})();
)";

}  // namespace reprise::report
