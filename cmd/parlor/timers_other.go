//go:build !linux

package main

// setTimers does nothing: other systems have no such setting.
func setTimers() {}
