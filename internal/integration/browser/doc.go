// Package browser has tests of the self-service page in a real browser. They check how people use
// it on a desktop, on a phone and with a keyboard. They also check that no token appears in the
// console, in storage or in a request.
//
// The browser is Chromium. axe-core checks the accessibility:
//
//	apt-get install chromium
//	npm ci --prefix internal/integration/browser/axe
//	make browser
//
// make browser sets KEYHATCH_BROWSER. Without it the tests are skipped, since a browser would
// slow down the tests of other packages that run at the same time. They are also skipped if a
// program is missing; with KEYHATCH_REQUIRE_SERVERS they fail then. If KEYHATCH_SCREENSHOTS is
// the absolute path of a folder, the tests save screenshots there.
package browser
