// The search page fetches each hit for a snippet; browsers forbid that on file://, so there the
// hits are listed without one.
if (window.location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
