// Before the first paint: that there are scripts, and the colours that this browser's reader chose, where that is not the system's.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  try {
    apply(localStorage.getItem("theme"));
  } catch (error) {
    console.warn("this browser keeps no settings", error);
  }
  addEventListener("storage", ({ key, newValue }) => { if (key === "theme") apply(newValue); });
  document.addEventListener("theme", ({ detail }) => {
    apply(detail);
    if (detail === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", detail);
  });
})();
