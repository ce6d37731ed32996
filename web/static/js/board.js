// The board: each of these is one thing that it does. Without scripts it is links and forms.
import "./board-live.js";
import "./board-more.js";
import "./board-filter.js";
import "./board-pane.js";
import "./board-focus.js";
import "./board-select.js";
import "./board-new.js";
import "./board-drag.js";
import "./board-tabs.js";
import { columns, refreshed } from "./board-parts.js";

refreshed(columns()); // clocks and times, before the first second is over
