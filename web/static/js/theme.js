// Before the first paint: the colours that this browser's reader chose, where that is not the system's.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (error) {
  console.warn("this browser keeps no settings", error);
}
