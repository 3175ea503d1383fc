// Package webtest drives what web holds in a real browser, for tests: the story
// of a visitor's first chat, against any running Parlor. It needs to know no
// more of it than the URLs that people open, so the same story runs against one
// node inside a test and against a group of processes.
//
// A browser is found on the PATH (chromium, google-chrome …); tests are skipped
// with a message where there is none.
package webtest
