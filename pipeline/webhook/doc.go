// Package webhook delivers a site's events to HTTP endpoints, signed as
// Standard Webhooks (standardwebhooks.com) has it. Each config object of the
// kind "webhooks" is a consumer of its own; docs/webhooks.md says what
// arrives, and when it is sent again.
//
// The package knows one delivery at a time: order, retries, dead letters and
// cursors belong to package pipeline. It never follows redirects, uses no
// proxy, and connects to private addresses only where the config says so.
package webhook
