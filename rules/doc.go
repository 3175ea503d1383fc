// Package rules decides what a site wants for a visitor: which segments he is
// in, which campaign he sees, where his chat is routed and whether he is
// invited to one.
//
// It is a pure function of three things: the site's config objects (compiled
// once into a Set), the Facts about the visitor, and the time. Every Decision
// carries an Explanation: rule by rule and condition by condition, what was
// expected, what was found and what came of it.
//
// The package must not know where documents are stored, who the visitor is
// connected to, or what time it is now: it does no I/O and reads no clock.
// The form of the documents is described in docs/rules.md.
//
// Validate judges documents of every kind of config object. What it accepts
// may grow from version to version, so it belongs on the node that received
// the document, before the log, and not inside the replicated state machine.
package rules
