// Package browser holds tests of the self-service page in a real browser: what
// people see and do there, on a screen, a phone and a keyboard, and what must
// never be seen, in the console, in storage and in a request. There is nothing
// here to import.
//
// The browser is Chromium, and accessibility is judged by axe-core:
//
//	apt-get install chromium
//	npm ci --prefix internal/integration/browser/axe
//	make browser
//
// The last sets KEYHATCH_BROWSER, without which the tests that need a browser are
// skipped: it would leave nothing to the tests of other packages that run beside
// these. Where one is missing, they are skipped too; with
// KEYHATCH_REQUIRE_SERVERS set they fail. KEYHATCH_SCREENSHOTS names a folder,
// by an absolute path, to which the tests save what they see.
package browser
