// Package redistest compares what commands answer here and on a real Redis
// server: it makes random commands, runs them on both sides, and knows what may
// differ. Tests use it on the commands alone and over real connections.
package redistest
