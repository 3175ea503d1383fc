//go:build !parlornext

package command

// unreleasedLevels is nothing in a program that people run: see
// unreleased_next.go.
func unreleasedLevels() []Level { return nil }

// Unreleased is the commands of levels that are not released: none.
func Unreleased() []Spec { return nil }
