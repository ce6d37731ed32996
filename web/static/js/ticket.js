// A ticket's page, and the same beside the board: its tabs, its forms, its keys.
import "./ticket-tabs.js";
import "./ticket-forms.js";
import "./ticket-keys.js";

// Keys and tabs work from here on; until then links lead to whole pages.
document.documentElement.dataset.ticket = "ready";
